"""Access to the cluster: does it answer, to whom, and does it show the same time?"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from codexctl_tasks.checks.finding import Finding, doubt, failures, ok
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codexctl_tasks.checks.subject import Subject
    from codexctl_tasks.world.cluster import Cluster

SKEW_S = 30.0
"""Tokens that were just issued are refused by a clock that is so far behind."""
ANONYMOUS = "system:anonymous"
_REVIEW = Resource(
    "authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False
)


def check_cluster(subject: Subject) -> Iterator[Finding]:
    """
    Ask the server who we are, and which version it has.

    Raises:
        ClusterError: No usable kubeconfig, no answer, credentials that are not accepted.
    """
    cluster = subject.connect()
    user = _user(cluster)
    if user == ANONYMOUS:
        what = "takes this for an anonymous request: the credentials say nothing to it"
        yield from failures(ClusterError(cluster.address, what, "log in again"))
        return
    version = cluster.version()
    parts = [
        f"Kubernetes {version}" if version else "answers",
        f"context {cluster.context}" if cluster.context else "the pod's own account",
        *([f"as {user}"] if user else []),
    ]
    yield ok(cluster.address, ", ".join(parts))
    yield from _skew(cluster, subject)


def _user(cluster: Cluster) -> str:
    """Return who the server takes us for; empty: it does not tell."""
    body = {"apiVersion": _REVIEW.api_version, "kind": _REVIEW.kind, "metadata": {}}
    try:
        status = cluster.create(_REVIEW, "", body).get("status") or {}
    except ClusterError as error:
        if error.status == HTTPStatus.FORBIDDEN:
            return ANONYMOUS if ANONYMOUS in error.what else ""
        if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            return ""
        raise
    return str((status.get("userInfo") or {}).get("username") or "")


def _skew(cluster: Cluster, subject: Subject) -> Iterator[Finding]:
    server = cluster.now()
    if server is None:
        return
    ahead_s = (subject.now() - server).total_seconds()
    if abs(ahead_s) > SKEW_S:
        side = "ahead of" if ahead_s > 0 else "behind"
        yield doubt(
            cluster.address,
            f"this machine's clock is {abs(ahead_s):.0f} s {side} the server's",
            "set the clock (NTP): tokens and certificates are judged by it",
        )
