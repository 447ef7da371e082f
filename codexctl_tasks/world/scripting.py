"""
A shell script in a container, of whose output nothing may be missing.

A stream of exec that loses what was printed last can end like one that is whole, with exit code 0.
So the words of a script are followed by a mark that it cannot know.
"""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, NamedTuple

from codexctl_tasks.errors import BrokenStreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.execution import Executed

_BEGIN = "(\n"
_END = """
)
code=$?
printf '\\n%s' "$0"
exit "$code"
"""


class Container(NamedTuple):
    """Where a script runs."""

    namespace: str
    pod: str
    name: str
    """Empty: the pod's default one."""


class Said(NamedTuple):
    """What became of a script."""

    printed: bytes
    ended: Executed


def run_script(
    cluster: Cluster,
    container: Container,
    script: str,
    *arguments: str,
    stdin: Iterable[bytes] = (),
    take: Callable[[bytes], object] = lambda _: None,
    limit_s: float = math.inf,
) -> Said:
    """
    Run a script for ``sh`` and return all that it printed.

    Args:
        cluster: It leads to the container.
        container: Has a shell.
        script: May end by ``exit``; its ``$0`` is the mark.
        arguments: ``$1`` and so on.
        stdin: What it reads.
        take: Gets each piece when it comes, with the mark; what it raises ends the stream.
        limit_s: What takes longer is a `ClusterError`.

    Raises:
        BrokenStreamError: It ended with 0, and not all that it printed is here.
        ClusterError: The stream could not be opened, or has broken.
    """
    mark, printed = secrets.token_hex(16), bytearray()

    def hear(piece: bytes) -> None:
        printed.extend(piece)
        take(piece)

    command = ["sh", "-c", framed(script), mark, *arguments]
    ended = cluster.execute(*container, command, stdin=stdin, take=hear, limit_s=limit_s)
    end = f"\n{mark}".encode()
    if printed.endswith(end):
        return Said(bytes(printed[: -len(end)]), ended)
    if ended.exit_code == 0:
        what = "the end of what a script printed is missing"
        raise BrokenStreamError(f"Pod {container.namespace}/{container.pod}", what)
    return Said(bytes(printed), ended)


def framed(script: str) -> str:
    """Return a script that prints a line feed and its ``$0`` after all else."""
    return f"{_BEGIN}{script}{_END}"


def unframed(script: str) -> str:
    """Return the script that was framed."""
    return script.removeprefix(_BEGIN).removesuffix(_END)
