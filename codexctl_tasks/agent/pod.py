"""The container in which an agent works: scripts run there, and what became of it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.scripts import CUT, HOME, MOST_BYTES, RUNS
from codexctl_tasks.errors import (
    BrokenStreamError,
    ClusterError,
    CodexctlError,
)
from codexctl_tasks.world.retrying import TRANSFER, retrying
from codexctl_tasks.world.scripting import Container, run_script
from codexctl_tasks.world.starting import POD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster

QUESTION_S = 120.0
"""No script of codexctl takes longer, unless the agent has made it."""
_MOST_PRINTED = MOST_BYTES + 2**16
"""Bytes; what a script of codexctl prints at most."""
_LONGEST_HOST = 63
"""Characters of a pod's name that are its host name."""


_FIX = "see docs/ai-run.md: what an image needs"


class LostRunError(CodexctlError):
    """What the agent ran in is gone, or cannot be reached any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A container that sees the workspace."""

    namespace: str
    pod: str
    uid: str
    """Of the pod."""
    container: str
    container_id: str
    """Of this start of it."""
    folder: str
    """Where the agent works, absolute."""
    state: str
    """Folder on the same volume for what codexctl keeps there, absolute."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}:{self.folder}"

    @property
    def runs(self) -> str:
        """Folder of all runs."""
        return f"{self.state}/{RUNS}"

    @property
    def home(self) -> str:
        """Folder of the agent's own files: its configuration, its threads."""
        return f"{self.state}/{HOME}"


def site_in(pod: Mapping[str, Any], container: str, *, folder: str, state: str) -> Site:
    """Return a container of a pod as it is now."""
    return Site(
        namespace=pod["metadata"]["namespace"],
        pod=pod["metadata"]["name"],
        uid=pod["metadata"]["uid"],
        container=container,
        container_id=_status_of(pod, container).get("containerID", ""),
        folder=folder,
        state=state,
    )


class Shell:
    """Runs scripts in a container."""

    def __init__(self, site: Site, cluster: Cluster, clock: Clock) -> None:
        self.site, self._cluster, self._clock = site, cluster, clock

    def run(
        self,
        script: str,
        *arguments: str,
        given: Sequence[bytes] = (),
        repeats: bool = True,
    ) -> bytes:
        """
        Run a script and return what it prints.

        Args:
            script: For ``sh``; running it twice does no harm.
            arguments: Its arguments.
            given: Its stdin.
            repeats: Try again when the stream was cut; False: for callers that do so.

        Raises:
            BrokenStreamError: It was cut, again and again.
            LostRunError: The container is not there any more.
            ClusterError: Everything else; also if it takes longer or prints more than it can.
        """
        try:
            if not repeats:
                return self._once(script, arguments, given)
            return retrying(lambda: self._once(script, arguments, given), self._clock, TRANSFER)
        except ClusterError as error:
            if why := self.why_lost():
                raise LostRunError(str(self.site), why, "run again") from error
            raise

    def _once(self, script: str, arguments: Sequence[str], given: Iterable[bytes]) -> bytes:
        left = _MOST_PRINTED

        def take(piece: bytes) -> None:
            nonlocal left
            left -= len(piece)
            if left < 0:
                what = f"a script of codexctl printed more than {_MOST_PRINTED} bytes there"
                raise ClusterError(str(self.site), what, _FIX)

        where = Container(self.site.namespace, self.site.pod, self.site.container)
        question = (script, *arguments)
        printed, ended = run_script(
            self._cluster, where, *question, stdin=given, take=take, limit_s=QUESTION_S
        )
        if ended.exit_code == CUT:
            raise BrokenStreamError(str(self.site), "the stream was cut")
        if ended.exit_code:
            said = " ".join(ended.stderr.split())[:500] or f"exit code {ended.exit_code}"
            what = f"a script of codexctl failed there: {said}"
            raise ClusterError(str(self.site), what, _FIX)
        return printed

    def is_elsewhere(self, host: str) -> bool:
        """Tell whether a pod with this host name runs, or may run, beside this one."""
        pods, _ = self._cluster.list_objects(POD, self.site.namespace)
        for pod in pods:
            is_over = (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")
            if pod["metadata"]["name"][:_LONGEST_HOST] == host and not is_over:
                return True
        return False

    def why_lost(self) -> str:
        """Say what has become of the container; empty: it is there, or nobody knows."""
        try:
            pod = self._cluster.get(POD, self.site.namespace, self.site.pod)
        except ClusterError:  # the server is away, or this account may not look
            return ""
        if pod is None:
            return "its pod was deleted while the agent worked"
        return _why_lost(pod, self.site)


def _why_lost(pod: Mapping[str, Any], site: Site) -> str:
    status = pod.get("status") or {}
    if pod["metadata"]["uid"] != site.uid:
        return "its pod was replaced while the agent worked"
    if "deletionTimestamp" in pod["metadata"]:
        return "its pod is being deleted"
    if status.get("phase") in ("Failed", "Succeeded"):
        said = ": ".join(filter(None, (status.get("reason"), status.get("message"))))
        return f"its pod has ended: {said or status['phase']}"
    container = _status_of(pod, site.container)
    if container.get("containerID", site.container_id) == site.container_id:
        return ""
    ended = (container.get("lastState") or {}).get("terminated") or {}
    why = ended.get("reason") or f"exit code {ended.get('exitCode', 'unknown')}"
    return f"its container was started again while the agent worked ({why})"


def _status_of(pod: Mapping[str, Any], container: str) -> Mapping[str, Any]:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    found: Mapping[str, Any] = next((s for s in statuses if s["name"] == container), {})
    return found
