"""What the machine must have, said in one line each, and how to get it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import console
from sandbox.errors import PrerequisitesError, SandboxError
from sandbox.places import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PREPARE = "python3 -m sandbox prepare"
# Program or file that must be there, and the Debian package that brings it.
PROVIDED_BY = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "docker-registry": "docker-registry",
    "mmdebstrap": "mmdebstrap",
    "buildah": "buildah",
    "openssl": "openssl",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
    "unshare": "util-linux",
    "mount": "mount",
}
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CAP_SYS_ADMIN = 21
_CAP_NET_ADMIN = 12
_NAMESPACES = ("mnt", "net", "pid", "ipc", "uts")
_LOCK_WAIT_S = 300
_APT_LOCK = Path("/var/lock/codexctl-apt.lock")


@dataclass(frozen=True)
class Machine:
    """
    What is known about this machine.

    Attributes:
        system: ``Linux``, ``Darwin``, ...
        architecture: as ``uname -m`` says.
        python: version of the running Python.
        uid: effective user id.
        capabilities: bits of ``CapEff``.
        filesystems: names in ``/proc/filesystems``.
        namespaces: names in ``/proc/self/ns``.
        has_cgroups: whether a cgroup hierarchy can be written to.
        distribution: ``ID`` and ``ID_LIKE`` of ``/etc/os-release``.
        missing: packages whose programs are not there.

    """

    system: str
    architecture: str
    python: tuple[int, int]
    uid: int
    capabilities: int
    filesystems: frozenset[str]
    namespaces: frozenset[str]
    has_cgroups: bool
    distribution: frozenset[str]
    missing: tuple[str, ...]


def find_problems(machine: Machine, *, with_packages: bool = True) -> list[SandboxError]:
    """Return everything that keeps the sandbox from running here."""
    if machine.system != "Linux":
        return [SandboxError("machine", f"runs {machine.system}", "use Linux, or set SANDBOX=off")]
    checks = [
        (
            machine.architecture in {"x86_64", "aarch64"},
            SandboxError("machine", f"is {machine.architecture}", "use x86_64 or aarch64"),
        ),
        (
            machine.python >= (3, 11),
            SandboxError("python3", "is older than 3.11", "run a newer one: python3.11 -m sandbox"),
        ),
        (machine.uid == 0, SandboxError("user", "is not root", "sudo python3 -m sandbox up")),
        (
            machine.uid != 0
            or all(machine.capabilities >> bit & 1 for bit in (_CAP_SYS_ADMIN, _CAP_NET_ADMIN)),
            SandboxError(
                "root",
                "may not make namespaces (no CAP_SYS_ADMIN or CAP_NET_ADMIN)",
                "run it outside the container, or: docker run --privileged",
            ),
        ),
        (
            "overlay" in machine.filesystems,
            SandboxError("kernel", "has no overlayfs", "modprobe overlay"),
        ),
        (
            set(_NAMESPACES) <= machine.namespaces,
            SandboxError("kernel", "lacks namespaces", "boot a kernel with CONFIG_NAMESPACES"),
        ),
        (
            machine.uid != 0 or machine.has_cgroups,
            SandboxError(
                "kernel", "has no writable /sys/fs/cgroup", "mount -t cgroup2 none /sys/fs/cgroup"
            ),
        ),
    ]
    problems = [problem for fine, problem in checks if not fine]
    if with_packages and machine.missing:
        problems.append(
            SandboxError("packages", f"missing: {' '.join(machine.missing)}", _how(machine))
        )
    return problems


def _how(machine: Machine) -> str:
    if machine.distribution & {"debian", "ubuntu"}:
        return PREPARE
    return "install them with the system's package manager (only Debian and Ubuntu are tried)"


def examine() -> Machine:
    """Look at this machine."""
    release = read_release_file()
    names = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    linux = platform.system() == "Linux"
    return Machine(
        system=platform.system(),
        architecture=platform.machine(),
        python=sys.version_info[:2],
        uid=os.geteuid(),
        capabilities=_read_capabilities() if linux else 0,
        filesystems=_read_filesystems() if linux else frozenset(),
        namespaces=frozenset(os.listdir("/proc/self/ns")) if linux else frozenset(),  # noqa: PTH208
        has_cgroups=_has_cgroups(),
        distribution=frozenset(names),
        missing=find_missing(_is_there),
    )


def find_missing(is_there: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the packages of which something is not there."""
    return tuple(sorted({p for thing, p in PROVIDED_BY.items() if not is_there(thing)}))


def _is_there(thing: str) -> bool:
    if thing.startswith("/"):
        return Path(thing).exists()
    return shutil.which(thing, path=_SYSTEM_PATH) is not None


def read_release_file() -> dict[str, str]:
    """Return the fields of ``/etc/os-release``."""
    from sandbox.rootfs import read_release

    file = Path("/etc/os-release")
    return read_release(file.read_text()) if file.exists() else {}


def _read_capabilities() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("CapEff:")).split()[1], 16)


def _read_filesystems() -> frozenset[str]:
    found = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
    if "overlay" not in found and os.geteuid() == 0 and shutil.which("modprobe"):
        loaded = subprocess.run(["modprobe", "overlay"], check=False, capture_output=True)
        if loaded.returncode == 0:
            found.add("overlay")
    return frozenset(found)


def _has_cgroups() -> bool:
    root = Path("/sys/fs/cgroup")
    found = [root, *root.iterdir()] if root.is_dir() else []
    return any((f / "cgroup.procs").exists() and os.access(f, os.W_OK) for f in found)


def check() -> None:
    """Raise `PrerequisitesError` when the sandbox cannot run here."""
    if problems := find_problems(examine()):
        raise PrerequisitesError(problems)


def prepare() -> None:
    """Install exactly the packages that are missing."""
    machine = examine()
    if problems := find_problems(machine, with_packages=False):
        raise PrerequisitesError(problems)
    wanted = machine.missing
    if not importlib.util.find_spec("ensurepip"):  # Debian's python3 comes without
        wanted += ("python3-venv",)
    if not wanted:
        console.say("all packages are there")
        return
    if not machine.distribution & {"debian", "ubuntu"}:
        raise SandboxError("packages", f"missing: {' '.join(wanted)}", _how(machine))
    install(*wanted)
    if left := find_missing(_is_there):
        raise SandboxError("packages", f"still missing: {' '.join(left)}", "apt-get install them")


def install(*packages: str) -> None:
    """Install Debian's packages, and nothing that they only recommend."""
    names, known = " ".join(packages), _are_known(packages)
    if not known:
        with exclusive(_APT_LOCK, "installing packages"):
            _apt(["update"], "reading the package lists")
    command = ["install", "--yes", "--no-install-recommends", *packages]
    # apt waits for dpkg's lock, but not for that of its lists; and the rule for services is one.
    with exclusive(_APT_LOCK, "installing packages"), _services_kept_down():
        try:
            _apt(command, names)
        except SandboxError:
            if not known:
                raise
            _apt(["update"], "reading the package lists anew: versions may have been replaced")
            _apt(command, names)


def _are_known(packages: tuple[str, ...]) -> bool:
    shown = subprocess.run(
        ["apt-cache", "policy", *packages], check=False, capture_output=True, text=True
    ).stdout
    return shown.count("Candidate:") == len(packages) and "Candidate: (none)" not in shown


def _apt(arguments: list[str], what: str) -> None:
    console.say(f"apt-get {arguments[0]}: {what}")
    command = ["apt-get", "--quiet", "--quiet", "-o", f"DPkg::Lock::Timeout={_LOCK_WAIT_S}"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    began = time.monotonic()
    with console.heartbeat(f"running apt-get {arguments[0]}"):
        done = subprocess.run(
            [*command, *arguments], check=False, capture_output=True, text=True, env=environment
        )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        reason = (errors or done.stderr.splitlines() or ["failed"])[0]
        raise SandboxError("apt-get", reason, f"apt-get {' '.join(arguments)}")
    console.say(f"apt-get {arguments[0]} took {time.monotonic() - began:.0f} s")


@contextlib.contextmanager
def _services_kept_down() -> Iterator[None]:
    """
    Keep Debian from starting the machine's own containerd and registry.

    See https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
    """
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():  # somebody has decided already
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()
