"""
What the node sees of the machine: a network, mounts and settings of its own.

Called by process 1 of the node, in its own mount and process namespaces. All
of it goes away with the last process inside.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.addresses import Addresses

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_LIBC = ctypes.CDLL(None, use_errno=True)
# The kubelet insists on these settings of the whole machine. It gets to see a file that says
# they are as it likes, and leaves the machine alone.
_KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def leave_network() -> int:
    """Move into a new, empty network; return a handle of the one left behind."""
    left = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if _LIBC.unshare(_NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "cannot make a network namespace")
    return left


def enter_network(handle: int) -> None:
    """Move into the network of a handle."""
    if _LIBC.setns(handle, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")


def plug_cable(addresses: Addresses, host_network: int) -> None:
    """Join host and node by a cable, with routes from each to the other."""
    at_host = ["nsenter", f"--net=/proc/self/fd/{host_network}", "ip"]

    def host(command: str) -> None:
        subprocess.run([*at_host, *command.split()], check=True, pass_fds=[host_network])

    def node(command: str) -> None:
        subprocess.run(["ip", *command.split()], check=True)

    link = addresses.link
    host(f"link add {link} type veth peer name eth0 netns {os.getpid()}")
    host(f"link set {link} addrgenmode none")
    host(f"addr add {addresses.host}/30 dev {link}")
    host(f"link set {link} up")
    host(f"route add {addresses.services} via {addresses.node}")
    host(f"route add {addresses.pods} via {addresses.node}")
    node("link set lo up")
    node(f"addr add {addresses.node}/30 dev eth0")
    node("link set eth0 up")
    node(f"route add default via {addresses.host}")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def arrange_mounts(state: Path, binaries: Path) -> None:
    """
    Give every program its usual folders without a trace on the machine.

    ``/run``, ``/tmp``, ``/var/lib`` and ``/var/log`` are the node's own; state
    and binaries appear below ``/run/sandbox``, wherever they really are.
    """
    node = state / "node"
    stage = node / "stage"
    for folder in (stage, node / "lib", node / "log", node / "volumes", node / "settings"):
        folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", "mode=755", "sandbox", str(stage))
    for name, source in (("state", state), ("bin", binaries)):
        (stage / "sandbox" / name).mkdir(parents=True)
        _mount("--bind", str(source), str(stage / "sandbox" / name))
    _mount("--move", str(stage), "/run")
    inside = Path("/run/sandbox/state/node")
    _mount("--bind", str(inside / "lib"), "/var/lib")
    _mount("--make-rshared", "/var/lib")  # the kubelet passes volumes on to containers
    _mount("--bind", str(inside / "log"), "/var/log")
    _mount("-t", "tmpfs", "-o", "mode=1777", "sandbox", "/tmp")  # noqa: S108
    volumes = Path("/tmp/hostpath_pv")  # noqa: S108 - fixed by the controller manager
    volumes.mkdir()
    _mount("--bind", str(inside / "volumes"), str(volumes))
    for name, value in _KERNEL_SETTINGS.items():
        if (setting := Path("/proc/sys") / name).exists():
            pretended = inside / "settings" / name.replace("/", ".")
            pretended.write_text(f"{value}\n")
            _mount("--bind", str(pretended), str(setting))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", "--no-mtab", *arguments], check=True)
