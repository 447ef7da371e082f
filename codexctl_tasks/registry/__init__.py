"""Registries of images: what they hold, and how it gets there."""
