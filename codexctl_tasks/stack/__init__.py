"""What a stack says: services.yaml, templates and manifests as plain data."""
