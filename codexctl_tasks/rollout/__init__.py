"""Making the cluster agree with the manifests: order, apply, wait, judge, explain."""
