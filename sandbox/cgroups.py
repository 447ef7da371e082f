"""
The cgroup that all pods of one sandbox are below, in both kinds of hierarchy.

Version 1 has one tree per controller, version 2 a single one.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")
# What the kubelet limits pods with; a controller that the machine lacks is left out.
_CONTROLLERS = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids"}


def list_trees(mount: Path = _MOUNT) -> list[Path]:
    """Return the roots of all hierarchies on this machine."""
    if (mount / "cgroup.controllers").exists():
        return [mount]
    folders = [folder for folder in sorted(mount.iterdir()) if not folder.is_symlink()]
    return [folder for folder in folders if (folder / "cgroup.procs").exists()]


def make(name: str, mount: Path = _MOUNT) -> None:
    """Make the cgroup in every hierarchy, with all controllers that pods need."""
    for tree in list_trees(mount):
        group = tree / name
        if (tree / "cgroup.controllers").exists():
            _hand_down_controllers(tree)
            group.mkdir(exist_ok=True)
            _hand_down_controllers(group)
            continue
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # start out empty: nothing could run
            if (tree / setting).exists():
                (group / setting).write_text((tree / setting).read_text())


def _hand_down_controllers(group: Path) -> None:
    available = set((group / "cgroup.controllers").read_text().split())
    control = group / "cgroup.subtree_control"
    for controller in sorted(available & _CONTROLLERS - set(control.read_text().split())):
        with contextlib.suppress(OSError):  # some are not for everyone, e.g. in containers
            control.write_text(f"+{controller}")


def remove(name: str, mount: Path = _MOUNT, timeout_s: float = 5) -> bool:
    """
    Remove the cgroup and all below it; False when something still runs there.

    The kernel lets go of a cgroup a moment after its last process died.
    """
    deadline = time.monotonic() + timeout_s
    while not _remove_from_all(name, mount):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _remove_from_all(name: str, mount: Path) -> bool:
    removed = [_remove_tree(tree / name) for tree in list_trees(mount)]
    return all(removed)


def _remove_tree(group: Path) -> bool:
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    return not group.exists()
