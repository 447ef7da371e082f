"""The outside: thin adapters around Kubernetes, time and threads, replaced by fakes in tests."""
