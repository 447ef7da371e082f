"""Slots: which there are, who works in which, and when one is over."""
