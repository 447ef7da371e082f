"""What each task does, as a list of phases."""
