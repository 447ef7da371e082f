"""The model key, out of the reach of the agent."""
