"""The run of an agent: what it is told, where it works, what came of it, what is published."""
