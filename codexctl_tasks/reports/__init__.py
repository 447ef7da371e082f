"""What is told of a run at its end, for people and programs; all of it is pure."""
