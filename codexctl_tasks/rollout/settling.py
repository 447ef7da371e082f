"""
Whether containers that nobody probes have really come to stay.

Without a readiness probe Kubernetes calls a container ready as soon as it runs, after each of its
crashes anew: every tool is green for a program that crashes four seconds after its start.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.containers import container_statuses, service_containers, site_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from codexctl_tasks.rollout.symptoms import Site

    Object = Mapping[str, Any]

SETTLE_S = 8.0
"""Programs that cannot run usually end within 5 s; the kubelet tells it up to 2 s later."""
CLOCK_LAG_S = 2.0
"""``startedAt`` and the server's time have no fractions, and nodes have clocks of their own."""
SETTLE_DOUBTED_S = 30.0
"""Once it has been restarted, or its liveness probe fails; one was ready for 8 s between kills."""


class Runs:
    """Since when each container has been seen to run, by the judge's own clock."""

    def __init__(self) -> None:
        self._since: dict[Site, tuple[str, float]] = {}

    def settles_in_s(
        self,
        pods: Sequence[Object],
        now_s: float,
        server: datetime | None,
        doubted: Collection[str] = (),
    ) -> float:
        """
        Return for how many seconds more containers must run to be believed.

        Args:
            pods: Of the new template.
            now_s: The judge's clock.
            server: The time of the cluster, None if it is not known: it tells how long a container
                has been running that was there before we looked.
            doubted: UIDs of pods whose liveness probe fails.

        Returns:
            0 or less: all have settled, or are probed.
        """
        left = [
            need_s - self._age_s(site, started, now_s, server)
            for pod in pods
            for site, started, need_s in _unprobed(pod, doubted)
        ]
        return max(left, default=0.0)

    def _age_s(self, site: Site, started: str, now_s: float, server: datetime | None) -> float:
        """Return how long a container has been running; 0 while it does not."""
        if not started:
            self._since.pop(site, None)
            return 0.0
        known = self._since.get(site)
        if known is None or known[0] != started:
            known = self._since[site] = (started, now_s)
        seen_s = now_s - known[1]
        told_s = _seconds_between(started, server) - CLOCK_LAG_S if server else 0.0
        return max(seen_s, told_s)


def _unprobed(pod: Object, doubted: Collection[str]) -> Iterator[tuple[Site, str, float]]:
    """Yield each container without readiness probe: where, since when it runs, how long it must."""
    if (pod.get("spec") or {}).get("restartPolicy", "Always") != "Always":
        return
    statuses = {status["name"]: status for status in container_statuses(pod)}
    for spec in service_containers(pod):
        if spec.get("readinessProbe"):
            continue
        status = statuses.get(spec["name"]) or {}
        running = (status.get("state") or {}).get("running") or {}
        is_doubted = status.get("restartCount") or pod["metadata"]["uid"] in doubted
        need_s = SETTLE_DOUBTED_S if is_doubted else SETTLE_S
        yield site_of(pod, spec["name"]), str(running.get("startedAt") or ""), need_s


def _seconds_between(started: str, server: datetime) -> float:
    try:
        moment = datetime.fromisoformat(started)
    except ValueError:
        return 0.0
    return (server - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))).total_seconds()
