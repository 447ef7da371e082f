"""Tasks that render, apply and watch Kubernetes deployments from GitHub Actions or a laptop."""

__version__ = "0.1.0"
