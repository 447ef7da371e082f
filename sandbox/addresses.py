"""
Addresses and names of one sandbox, so that several run side by side.

Sandbox number *n* of 64 uses ``10.213.n.0/30`` for the cable between host and
node, ``10.214.4n.0/22`` for pods, ``10.215.4n.0/22`` for services and port
``5001 + n`` for the registry. The first choice of *n* follows from the
checkout's path; what is taken is skipped, and the choice is recorded.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CHOICES = 64
REGISTRY_PORT = 5000  # on the node's own address, the same in every sandbox
API_PORT = 6443
_RECORD = "number"
# A route for a whole private range (a VPN's 10.0.0.0/8) is no collision: ours is more exact.
_EXACT_PREFIX = 16


@dataclass(frozen=True)
class Addresses:
    """All addresses and names that follow from a sandbox's number."""

    number: int

    @property
    def host(self) -> str:
        """The host's end of the cable."""
        return f"10.213.{self.number}.1"

    @property
    def node(self) -> str:
        """The node's end: API server, registry and DNS listen here."""
        return f"10.213.{self.number}.2"

    @property
    def cable(self) -> str:
        """Network of the two ends."""
        return f"10.213.{self.number}.0/30"

    @property
    def pods(self) -> str:
        """Network of the pods, behind the node."""
        return f"10.214.{4 * self.number}.0/22"

    @property
    def services(self) -> str:
        """Network of cluster IPs; the host has a route to it."""
        return f"10.215.{4 * self.number}.0/22"

    @property
    def first_service(self) -> str:
        """Cluster IP of the service ``kubernetes``."""
        return f"10.215.{4 * self.number}.1"

    @property
    def link(self) -> str:
        """Name of the network link on the host (15 characters at most)."""
        return f"codexctl{self.number}"

    @property
    def cgroup(self) -> str:
        """Name of the cgroup that all pods are below."""
        return f"codexctl-sandbox-{self.number}"

    @property
    def registry_port(self) -> int:
        """Port of the registry on the host's loopback."""
        return 5001 + self.number

    @property
    def registry(self) -> str:
        """The registry as image references name it."""
        return f"localhost:{self.registry_port}"

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.node}:{API_PORT}"


def first_choice(checkout: str) -> int:
    """Derive the preferred number from the checkout's path."""
    return int(hashlib.sha256(checkout.encode()).hexdigest()[:8], 16) % CHOICES


def choose(checkout: str, is_free: Callable[[Addresses], bool]) -> Addresses:
    """Return the first free number, counting up from the checkout's own."""
    first = first_choice(checkout)
    for step in range(CHOICES):
        candidate = Addresses((first + step) % CHOICES)
        if is_free(candidate):
            return candidate
    raise SandboxError(
        "addresses",
        f"all {CHOICES} address ranges are taken",
        "end a sandbox of another checkout: python3 -m sandbox down --wipe",
    )


def recorded(state: Path) -> Addresses | None:
    """Return the addresses that a state folder was made for."""
    try:
        number = int((state / _RECORD).read_text())
    except (OSError, ValueError):
        return None
    return Addresses(number) if 0 <= number < CHOICES else None


def record(state: Path, chosen: Addresses) -> None:
    """Write down which addresses this state folder uses."""
    (state / _RECORD).write_text(f"{chosen.number}\n")


def recorded_by_others(state: Path) -> set[int]:
    """Return the numbers in the state folders beside this one."""
    if not state.parent.is_dir():
        return set()
    others = (recorded(folder) for folder in state.parent.iterdir() if folder != state)
    return {other.number for other in others if other}


def is_free(addresses: Addresses) -> bool:
    """Tell whether nothing on this machine uses the addresses now."""
    return not is_in_use(addresses) and not overlaps(addresses, _list_routes())


def is_in_use(addresses: Addresses) -> bool:
    """Tell whether a sandbox, or another program on its port, runs with these addresses."""
    link = Path("/sys/class/net") / addresses.link
    return link.exists() or not _is_port_free(addresses.registry_port)


def overlaps(addresses: Addresses, routes: Iterable[str]) -> bool:
    """Tell whether a route (``10.1.2.0/24``) leads into the sandbox's networks."""
    ours = [ipaddress.ip_network(n) for n in (addresses.cable, addresses.pods, addresses.services)]
    theirs = [ipaddress.ip_network(route, strict=False) for route in routes]
    return any(
        there.version == here.version and there.prefixlen >= _EXACT_PREFIX and here.overlaps(there)
        for here in ours
        for there in theirs
    )


def _list_routes() -> list[str]:
    command = ["ip", "-4", "-json", "route", "show", "table", "all"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    routes = [str(route.get("dst", "default")) for route in json.loads(shown or "[]")]
    return [route for route in routes if route[:1].isdigit()]


def _is_port_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
