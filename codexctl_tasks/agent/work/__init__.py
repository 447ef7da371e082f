"""The work of an agent: taken out of its pod, looked at, and where it may go."""
