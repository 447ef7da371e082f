"""
A real one-node Kubernetes for the demo and the tests: ``python3 -m sandbox up``.

Needs Linux, root and a few Debian packages (``python3 -m sandbox prepare``);
uses the standard library only, so that any Python 3.11 runs it from a fresh
clone. ``docs/sandbox.md`` explains how it works.
"""
