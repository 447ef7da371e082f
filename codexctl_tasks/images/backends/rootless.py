"""A BuildKit of our own for each build, without root: started with it, ended with it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.images.backends import companion
from codexctl_tasks.images.backends.buildctl import build_words, warn_of_arguments
from codexctl_tasks.images.backends.buildkit import EPOCH, digest_in
from codexctl_tasks.images.backends.registry_settings import plain_http_hosts
from codexctl_tasks.images.backends.workshop import RefusedError, Workshop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from codexctl_tasks.images.backend import BuildOrder


@dataclass(frozen=True, kw_only=True, slots=True)
class Rootless:
    """
    A `Backend`.

    One program is run, whose end is the end of all: rootlesskit makes the namespaces, in them
    `companion` starts the daemon, waits for it, and runs the client.
    """

    workshop: Workshop
    rootlesskit: str
    daemon: str
    client: str
    name: str = "rootless"

    def build(self, order: BuildOrder, *, tell: Callable[[str], None], deadline_s: float) -> str:
        """See `Backend`."""
        bench = self.workshop.bench("buildkitd", order, tell, deadline_s)
        warn_of_arguments(order, tell)
        with self.workshop.storage(self.rootlesskit) as folder:
            metadata = folder / "metadata.json"
            address = f"unix://{folder}/buildkitd.sock"
            (folder / "buildkitd.toml").write_text(_settings(order, self.workshop))
            daemon = [self.daemon, "--addr", address, "--root", str(folder / "root")]
            daemon += ["--config", str(folder / "buildkitd.toml"), "--containerd-worker=false"]
            client = [self.client, "--addr", address]
            words = [*client, *build_words(order, self.workshop, metadata)]
            command = [*self._companion(folder), *companion.join(daemon, client, words)]
            bench.work(command, {**EPOCH, **self._environ(folder)})
            return digest_in(metadata, order) if order.push else ""

    def _environ(self, folder: Path) -> dict[str, str]:
        """Return what keeps the daemon in its folder: there it has a second socket, for traces."""
        # Without a name, or with root's, it takes itself for the real root.
        user = self.workshop.environ.get("USER", "")
        name = user if user not in ("", "root") else "builder"
        return {"XDG_RUNTIME_DIR": str(folder), "TMPDIR": str(folder), "USER": name}

    def _companion(self, folder: Path) -> list[str]:
        space = [self.rootlesskit, "--net=host", f"--state-dir={folder / 'state'}"]
        return [*space, sys.executable, "-I", companion.__file__]


def probe_rootless(workshop: Workshop, uid: int | None = None) -> Rootless:
    """
    Return what starts a BuildKit without root; *uid*: of the user, None: of this process.

    Raises:
        RefusedError: One of its programs is missing, or this user may make no namespaces.
    """
    if (os.geteuid() if uid is None else uid) == 0:
        raise RefusedError("it is for users other than root")
    names = ("rootlesskit", "buildkitd", "buildctl")
    rootlesskit, daemon, client = (workshop.find(name) for name in names)
    mount = ("mount", "-t", "tmpfs", "none", "/tmp")  # noqa: S108 - seen by this mount alone
    workshop.ask(rootlesskit, "--net=host", *mount)
    return Rootless(workshop=workshop, rootlesskit=rootlesskit, daemon=daemon, client=client)


def _settings(order: BuildOrder, workshop: Workshop) -> str:
    """Return a ``buildkitd.toml``."""
    hosts = dict.fromkeys(plain_http_hosts(order, workshop))
    return "".join(f'[registry."{host}"]\nhttp = true\ninsecure = true\n' for host in hosts)
