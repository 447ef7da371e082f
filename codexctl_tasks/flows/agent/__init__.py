"""The tasks about runs of agents."""
