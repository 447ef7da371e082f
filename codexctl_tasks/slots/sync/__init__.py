"""Source sync: the workspace of a slot gets the files of a folder, and only what differs."""
