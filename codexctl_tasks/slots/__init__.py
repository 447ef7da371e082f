"""Slots: numbered environments, each for one Issue or PR, recorded in the cluster."""
