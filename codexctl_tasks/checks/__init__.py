"""What has to be there before the work: programs, cluster, permissions, registries, disk."""
