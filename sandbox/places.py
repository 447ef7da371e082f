"""
Where the sandbox keeps things, and the only reader of the environment.

Two folders: the *cache* (what is built, shared by all checkouts) and the
*state* of one checkout (keys, data, logs). Nothing else on the machine is
written to.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import console

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOURCE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Places:
    """
    The folders of one sandbox.

    Attributes:
        checkout: path that this sandbox belongs to; its name and addresses
            are derived from it, so two checkouts never share one.
        cache: built components and images, for all checkouts.
        states: the parent of all state folders.

    """

    checkout: str
    cache: Path
    states: Path

    @property
    def name(self) -> str:
        """Name of the state folder: the checkout's own name and 8 hex digits of its path."""
        plain = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(self.checkout).name)[:32] or "checkout"
        return f"{plain}-{hashlib.sha256(self.checkout.encode()).hexdigest()[:8]}"

    @property
    def state(self) -> Path:
        """Folder of this sandbox: keys, data, logs and ``admin.conf``."""
        return self.states / self.name

    @property
    def logs(self) -> Path:
        """One log per component."""
        return self.state / "log"

    @property
    def admin_conf(self) -> Path:
        """Return the kubeconfig of a cluster administrator."""
        return self.state / "admin.conf"


def find_places(environ: Mapping[str, str] = os.environ) -> Places:
    """Derive the folders from the checkout and the XDG variables."""
    home = Path(environ.get("HOME") or "~").expanduser()

    def folder(override: str, xdg: str, default: str) -> Path:
        if environ.get(override):
            return Path(environ[override]).expanduser().absolute()
        return Path(environ.get(xdg) or home / default) / "codexctl-sandbox"

    checkout = environ.get("CODEXCTL_SANDBOX_CHECKOUT") or str(SOURCE.parent)
    return Places(
        checkout=str(Path(checkout).absolute()),
        cache=folder("CODEXCTL_SANDBOX_CACHE", "XDG_CACHE_HOME", ".cache"),
        states=folder("CODEXCTL_SANDBOX_STATE", "XDG_STATE_HOME", ".local/state"),
    )


@contextlib.contextmanager
def exclusive(lock: Path, what: str) -> Iterator[None]:
    """Let one process at a time do something; the others say that they wait."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say(f"waiting: another process is {what}")
            with console.heartbeat("waiting"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
