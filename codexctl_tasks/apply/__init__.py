"""Make the objects on the server as they are desired: plan, check, apply in stages, prune."""
