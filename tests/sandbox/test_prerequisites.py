"""What a machine lacks is said in one line each, with the command that mends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sandbox.prerequisites import Machine, find_missing, find_problems
from sandbox.rootfs import read_release

FINE = Machine(
    system="Linux",
    architecture="x86_64",
    python=(3, 11),
    uid=0,
    capabilities=(1 << 40) - 1,
    filesystems=frozenset({"ext4", "overlay"}),
    namespaces=frozenset({"mnt", "net", "pid", "ipc", "uts", "user"}),
    has_cgroups=True,
    distribution=frozenset({"debian"}),
    missing=(),
)


def test_a_machine_with_everything_has_no_problems() -> None:
    """Where the sandbox can run, it runs."""
    assert find_problems(FINE) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"system": "Darwin"}, "machine: runs Darwin: use Linux, or set SANDBOX=off"),
        ({"architecture": "riscv64"}, "machine: is riscv64: use x86_64 or aarch64"),
        ({"python": (3, 9)}, "python3: is older than 3.11: run a newer one: python3.11 -m sandbox"),
        ({"uid": 1000}, "user: is not root: sudo python3 -m sandbox up"),
        (
            {"capabilities": 0},
            (
                "root: may not make namespaces (no CAP_SYS_ADMIN or CAP_NET_ADMIN): "
                "run it outside the container, or: docker run --privileged"
            ),
        ),
        ({"filesystems": frozenset({"ext4"})}, "kernel: has no overlayfs: modprobe overlay"),
        (
            {"namespaces": frozenset({"mnt"})},
            "kernel: lacks namespaces: boot a kernel with CONFIG_NAMESPACES",
        ),
        (
            {"has_cgroups": False},
            "kernel: has no writable /sys/fs/cgroup: mount -t cgroup2 none /sys/fs/cgroup",
        ),
        (
            {"missing": ("containerd", "runc")},
            "packages: missing: containerd runc: python3 -m sandbox prepare",
        ),
    ],
)
def test_one_line_per_problem(change: dict[str, Any], line: str) -> None:
    """The line names the place, the problem and the remedy."""
    assert [str(problem) for problem in find_problems(replace(FINE, **change))] == [line]


def test_all_problems_are_reported_at_once() -> None:
    """Nobody has to run ``up`` again to learn of the next problem."""
    machine = replace(FINE, uid=1, filesystems=frozenset(), missing=("runc",))
    assert len(find_problems(machine)) == 3


def test_exactly_the_missing_packages_are_named() -> None:
    """A package is named once, and only when something of it is not there."""
    gone = {"containerd", "containerd-shim-runc-v2", "ip"}
    assert find_missing(lambda thing: thing not in gone) == ("containerd", "iproute2")


def test_the_release_is_read_with_and_without_quotes() -> None:
    """Debian and Ubuntu write ``/etc/os-release`` differently."""
    text = 'ID=ubuntu\nID_LIKE="debian"\nVERSION_CODENAME=noble\n'
    assert read_release(text) == {"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_CODENAME": "noble"}
