"""Delete broken pods of an old revision that keep a StatefulSet from going on, where allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.rollout.judge import State, Verdict
from codexctl_tasks.rollout.symptoms import Site, Trouble
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from codexctl_tasks.console import Console
    from codexctl_tasks.rollout.inquiry import Aside
    from codexctl_tasks.world.cluster import Cluster

_POD = Resource("v1", "Pod", "pods", namespaced=True)


class Unblocker:
    """Deletes each pod once."""

    def __init__(self, cluster: Cluster, console: Console, aside: Aside) -> None:
        self._cluster, self._console, self._aside = cluster, console, aside
        self._deleted: set[str] = set()
        self._refused: set[str] = set()

    def unblocked(self, verdict: Verdict) -> Verdict:
        """
        Return the verdict; a failure that deleting a pod mends is one that is waited for.

        The manifest must allow it (``codexctl/replace-broken-pods``), and so must the server.
        """
        is_blocked = verdict.symptoms and verdict.symptoms[0].trouble is Trouble.BLOCKED
        if verdict.state is not State.FAILED or not is_blocked or not verdict.target.replaces_pods:
            return verdict
        site, namespace = verdict.symptoms[0].site, verdict.target.name.namespace
        if site.pod_uid not in self._deleted:
            self._deleted.add(site.pod_uid)
            cause = verdict.symptoms[0].cause
            self._console.step("wait", f"deleting Pod {namespace}/{site.pod}: {cause}")
            self._aside(lambda: self._delete(namespace, site))
        if site.pod_uid in self._refused:
            return verdict
        return replace(verdict, state=State.WAITING, detail=f"replacing pod {site.pod}")

    def _delete(self, namespace: str, site: Site) -> None:
        try:
            self._cluster.delete(_POD, namespace, site.pod, site.pod_uid, propagation="Background")
        except CodexctlError as error:
            self._refused.add(site.pod_uid)
            self._console.warn(f"pod {site.pod} was not deleted: {error}")
