"""The tasks about slots: take one, make it ready, tell of it, give it back, remove it."""
