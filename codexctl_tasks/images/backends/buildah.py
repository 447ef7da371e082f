"""buildah, which needs no daemon: every build gets a storage of its own, which does not stay."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.images.backend import CREATED, BuildError
from codexctl_tasks.images.backends.build_arguments import hand_over
from codexctl_tasks.images.backends.buildkit import named_contexts
from codexctl_tasks.images.backends.registry_settings import auth_file, write_settings
from codexctl_tasks.images.backends.workshop import RefusedError, Workshop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from codexctl_tasks.images.backend import BuildOrder

OLDEST = (1, 28)
"""Named contexts and caches in registries."""
_USERS = ("unshare",)
"""Its command that runs a program as the users of its namespace."""
_ROOT_SPACE = ("unshare", "--mount")
_USER_SPACE = ("unshare", "--user", "--map-auto", "--map-root-user", "--mount")


@dataclass(frozen=True, kw_only=True, slots=True)
class Buildah:
    """
    A `Backend`.

    As root it runs in a mount namespace of its own: whatever becomes of it, its mounts vanish
    with it. As somebody else it makes one itself, together with a user namespace.
    """

    workshop: Workshop
    program: str
    storage: str
    """``overlay``, else ``vfs``, which copies every layer."""
    is_root: bool
    """It may mount without a user namespace."""
    name: str = "buildah"

    def build(self, order: BuildOrder, *, tell: Callable[[str], None], deadline_s: float) -> str:
        """See `Backend`."""
        bench = self.workshop.bench("buildah", order, tell, deadline_s)
        with self.workshop.storage(self.program, *_USERS) as folder:
            words, values = self._words(order)
            base, environ = self._base(order, folder)
            bench.work([*base, "build", *words], {**environ, **values})
            if not order.push:
                return ""
            digest = folder / "digest"
            words = ["push", "--digestfile", str(digest), str(order.target)]
            bench.work([*base, *words, f"docker://{order.target}"], environ)
            return _read(digest, order)

    def _base(self, order: BuildOrder, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Return the program with the flags that hold for every command, and its environment."""
        settings = write_settings(order, self.workshop, folder / "registries.conf")
        storage = ["--root", str(folder / "root"), "--runroot", str(folder / "run")]
        storage += ["--storage-driver", self.storage, "--registries-conf", str(settings)]
        storage += ["--short-name-alias-conf", str(folder / "aliases.conf")]
        environ = _own_environ(self.workshop, folder) | auth_file(self.workshop.environ)
        return [*(_ROOT_SPACE if self.is_root else ()), self.program, *storage], environ

    def _words(self, order: BuildOrder) -> tuple[list[str], dict[str, str]]:
        """Return the arguments of ``build``, and what its environment needs for them."""
        words = ["--isolation", "chroot", "--format", "oci", "--timestamp", "0"]
        words += ["--identity-label=false", "--file", str(order.dockerfile)]
        words += ["--ignorefile", str(order.ignore_file or os.devnull)]
        words += ["--tag", str(order.target)]
        if order.created:
            words += ["--annotation", f"{CREATED}={order.created}"]
        if order.platform:
            words += ["--platform", order.platform]
        arguments, values = hand_over(order.arguments, self.workshop.environ)
        for argument in arguments:
            words += ["--build-arg", argument]
        for name, value in named_contexts(order):
            words += ["--build-context", f"{name}={value}"]
        if order.cache:
            words += ["--layers", "--cache-from", order.cache.name]
            words += ["--cache-to", order.cache.name] if order.push else []
        return [*words, str(order.context)], values


def probe_buildah(workshop: Workshop) -> Buildah:
    """
    Return a buildah that may mount.

    Raises:
        RefusedError: It is missing or too old, or this user may not mount.
    """
    program = workshop.find("buildah")
    workshop.find("unshare")
    with workshop.storage(program, *_USERS) as folder:
        is_root = _may_mount_as_root(workshop, folder)
        _check_version(workshop, program, folder)
        storage = "overlay" if _has_overlay(workshop, folder, is_root=is_root) else "vfs"
    return Buildah(workshop=workshop, program=program, storage=storage, is_root=is_root)


def _check_version(workshop: Workshop, program: str, folder: Path) -> None:
    said = " ".join(workshop.ask(program, "--version", **_own_environ(workshop, folder)))
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise RefusedError(f"{said or 'its version is unknown'}: {oldest} or newer is needed")


def _own_environ(workshop: Workshop, folder: Path) -> dict[str, str]:
    """Return what its environment must say; without a home it does not begin."""
    home = workshop.environ.get("HOME") or str(folder)
    # --timestamp says it; newer versions refuse to be told twice.
    return {"TMPDIR": str(folder), "HOME": home, "SOURCE_DATE_EPOCH": ""}


def _may_mount_as_root(workshop: Workshop, folder: Path) -> bool:
    """Tell whether this user may mount without a user namespace; one of both must work."""
    mount = ("mount", "-t", "tmpfs", "none", str(folder))
    with suppress(RefusedError):
        workshop.ask(*_ROOT_SPACE, *mount)
        return True
    workshop.ask(*_USER_SPACE, *mount)
    return False


def _has_overlay(workshop: Workshop, folder: Path, *, is_root: bool) -> bool:
    """Tell whether layers can be laid over each other in this folder, as with any file system."""
    layers = {name: folder / name for name in ("lowerdir", "upperdir", "workdir")}
    for path in (*layers.values(), folder / "merged"):
        path.mkdir()
    options = ",".join(f"{name}={path}" for name, path in layers.items())
    space, more = (_ROOT_SPACE, "") if is_root else (_USER_SPACE, ",userxattr")
    mount = ("mount", "-t", "overlay", "-o", f"{options}{more}", "none", str(folder / "merged"))
    try:
        workshop.ask(*space, *mount)
    except RefusedError:
        return False
    return True


def _read(digest: Path, order: BuildOrder) -> str:
    try:
        return digest.read_text().strip()
    except OSError as error:
        what = "buildah does not say under which digest it has pushed"
        raise BuildError(order.name, what) from error
