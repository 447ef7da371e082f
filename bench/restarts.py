"""When the API server first showed how often containers had been restarted."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_SHOWN = 'jsonpath={.metadata.namespace} {.status}{"\\n"}'


class Restarts:
    """Follows all pods of the cluster with one watch while it is entered."""

    def __init__(self, environment: dict[str, str]) -> None:
        """Start the watch; *environment* leads to the cluster."""
        kubectl = environment.get("SANDBOX_KUBECTL", "kubectl")
        self._process = subprocess.Popen(
            [kubectl, "get", "pods", "--all-namespaces", "--watch", "--output", _SHOWN],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._seen: dict[str, dict[int, float]] = defaultdict(dict)

    def __enter__(self) -> Self:
        threading.Thread(target=self._follow, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()

    def reached(self, namespace: str) -> dict[int, float]:
        """
        Return when a container of a namespace had first been restarted so often and did not run.

        Returns:
            `time.monotonic` by number of restarts.

        """
        return dict(self._seen[namespace])

    def _follow(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        for line in self._process.stdout:
            namespace, _, status = line.partition(" ")
            for count in _restarts_of_stopped(json.loads(status or "{}")):
                self._seen[namespace].setdefault(count, time.monotonic())


def _restarts_of_stopped(status: dict[str, Any]) -> Iterator[int]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            if "running" not in container.get("state", {}):
                yield container["restartCount"]
