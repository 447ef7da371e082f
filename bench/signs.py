"""What the API server showed of pods, and when: by watches of the benchmark's own."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_MESSAGE = '{{with .message}}{{printf "%q" .}}{{end}}{{"\\n"}}'
_SHOWN = {
    "pods": 'jsonpath={.metadata.namespace} {.status}{"\\n"}',
    "events": "go-template={{.metadata.namespace}} " + _MESSAGE,
}


@dataclass(frozen=True)
class Told:
    """A line that somebody wrote, and `time.monotonic` when it did."""

    at: float
    text: str


def first_match(pattern: str, told: list[Told]) -> float | None:
    """Return when a regular expression first matched."""
    return next((each.at for each in told if re.search(pattern, each.text)), None)


class Signs:
    """Follows all pods and events of the cluster while it is entered."""

    def __init__(self, environment: dict[str, str]) -> None:
        """Start the watches; *environment* leads to the cluster."""
        kubectl = environment.get("SANDBOX_KUBECTL", "kubectl")
        self._watches = {
            kind: subprocess.Popen(
                [kubectl, "get", kind, "--all-namespaces", "--watch", "--output", shown],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for kind, shown in _SHOWN.items()
        }
        self._told: dict[str, list[Told]] = defaultdict(list)
        self._restarts: dict[str, dict[int, float]] = defaultdict(dict)

    def __enter__(self) -> Self:
        for kind, process in self._watches.items():
            threading.Thread(target=self._follow, args=(kind, process), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._watches.values():
            process.kill()
            process.wait()

    def told(self, namespace: str) -> list[Told]:
        """Return the messages of events, containers and conditions, oldest first."""
        return list(self._told[namespace])

    def restarts(self, namespace: str) -> dict[int, float]:
        """
        Return when a container had first been restarted so often and did not run.

        Returns:
            `time.monotonic` by number of restarts.

        """
        return dict(self._restarts[namespace])

    def _follow(self, kind: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        for line in process.stdout:
            now = time.monotonic()
            namespace, _, shown = line.partition(" ")
            try:
                found = json.loads(shown)
            except ValueError:  # nothing yet, or characters that JSON writes in another way
                continue
            texts = _texts(found) if kind == "pods" else [found]
            self._told[namespace] += [Told(now, text) for text in texts]
            for count in _restarts_of_stopped(found) if kind == "pods" else ():
                self._restarts[namespace].setdefault(count, now)


def _texts(found: Any) -> Iterator[str]:
    """Yield each message with the reason beside it, wherever they are."""
    if isinstance(found, dict):
        if "message" in found:
            yield f"{found['message']} ({found.get('reason')})"
        for each in found.values():
            yield from _texts(each)
    elif isinstance(found, list):
        for each in found:
            yield from _texts(each)


def _restarts_of_stopped(status: dict[str, Any]) -> Iterator[int]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            if "running" not in container.get("state", {}):
                yield container["restartCount"]
