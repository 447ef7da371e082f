"""Builders of images: whether each can work here, and how it is asked."""
