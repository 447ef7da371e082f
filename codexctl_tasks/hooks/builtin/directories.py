"""
Directories below a folder that others may write to, reached name by name.

Every name is opened relative to the file descriptor of its parent and never through a symbolic
link. So neither ``..`` nor a link that somebody plants, at whatever moment, leads out of the
folder.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.hooks.contract import HookError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
"""To open a directory for reading, and nothing else."""
NO_DIRECTORY = (errno.ENOTDIR, errno.ELOOP)
"""What opening anything else says, a link among them; which of both depends on the system."""

_PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
"""To go through a directory one needs no right to read it; only Linux can say so."""
_ATTEMPTS = 10
"""How often a directory that another run removes is made anew."""


class Descent:
    """A way down, from a folder that is trusted; the directory it has come to is open."""

    def __init__(self, start: Path) -> None:
        """
        Open *start*, through links if there are any.

        Raises:
            HookError: It does not exist, or may not be entered.
        """
        self.path = start
        try:
            self.fd = os.open(start, _PASS & ~os.O_NOFOLLOW)
        except FileNotFoundError:
            fix = "create it, mount the disk that it is on, or name another data root"
            raise HookError(str(start), "does not exist", fix) from None
        except OSError as error:
            raise failure(start, "cannot be entered", error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self.fd)

    def enter(self, name: str) -> None:
        """
        Go into the directory of that name.

        Raises:
            FileNotFoundError: There is none.
            HookError: Something else is in its place, or it may not be entered.
        """
        path = self.path / name
        try:
            inner = os.open(name, _PASS, dir_fd=self.fd)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno in NO_DIRECTORY:
                raise self._obstacle(name) from None
            raise failure(path, "cannot be entered", error) from None
        os.close(self.fd)
        self.fd, self.path = inner, path

    def make(self, name: str, mode: int) -> bool:
        """
        Go into the directory of that name; create it if there is none, and tell whether.

        Raises:
            FileNotFoundError: Another run has removed it, or where it would be, in this moment.
            HookError: See `enter`; or it cannot be created.
        """
        made = False
        try:
            self.enter(name)
        except FileNotFoundError:
            try:
                os.mkdir(name, mode, dir_fd=self.fd)
                made = True
            except FileExistsError:
                pass  # another run was faster
            except FileNotFoundError:
                raise
            except OSError as error:
                raise failure(self.path / name, "cannot be created", error) from None
            self.enter(name)
        return made

    def check_writable(self) -> None:
        """Raise `HookError` if nothing can be created here."""
        effective = os.access in os.supports_effective_ids
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=self.fd, effective_ids=effective):
            what = f"is not writable for user {os.geteuid()}"
            raise HookError(
                str(self.path), what, "change its owner or mode, or run as another user"
            )

    def _obstacle(self, name: str) -> HookError:
        path = self.path / name
        try:
            found = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except OSError as error:
            return failure(path, "cannot be entered", error)
        if stat.S_ISLNK(found.st_mode):
            fix = "put a directory in its place: below the data root no link is followed"
            return HookError(str(path), "is a symbolic link", fix)
        return HookError(str(path), "is no directory", "move it away")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what with a directory."""

    mode: int
    """Permission bits."""
    uid: int = -1
    """-1: whoever it is."""
    gid: int = -1
    """-1: whichever it is."""


def check_way(start: Path, names: Sequence[str]) -> None:
    """
    Raise `HookError` if *names*, one in the other, could not be made in *start*.

    Nothing is changed.
    """
    with Descent(start) as way:
        try:
            for name in names:
                way.enter(name)
        except FileNotFoundError:
            way.check_writable()


def make_way(start: Path, names: Sequence[str], mode: int) -> tuple[Descent, bool]:
    """
    Return the open way through *names*, and whether the last one was created with *mode*.

    Raises:
        HookError: Something is in the way, or may not be created.
    """
    for _ in range(_ATTEMPTS):
        way = Descent(start)
        try:
            for name in names[:-1]:
                way.make(name, 0o777)
            return way, way.make(names[-1], mode)
        except FileNotFoundError:
            os.close(way.fd)
        except BaseException:
            os.close(way.fd)
            raise
    what = "is removed again and again while it is created"
    raise HookError(str(start.joinpath(*names)), what, "look which program does so")


def grant(way: Descent, wanted: Access) -> Iterator[str]:
    """
    Give a directory its owner and mode, as far as they differ.

    Yields what could not be done.
    """
    found = os.fstat(way.fd)
    owners = ((wanted.uid, found.st_uid), (wanted.gid, found.st_gid))
    if any(new not in (-1, old) for new, old in owners):
        try:
            with opened(way.fd) as fd:
                os.fchown(fd, wanted.uid, wanted.gid)
        except OSError as error:
            yield f"cannot change the owner of {way.path}: {error.strerror}"
        found = os.fstat(way.fd)  # a new owner takes bits of the mode away
    if stat.S_IMODE(found.st_mode) != wanted.mode:
        try:
            with opened(way.fd) as fd:
                os.fchmod(fd, wanted.mode)
        except OSError as error:
            yield f"cannot change the mode of {way.path} to {wanted.mode:04o}: {error.strerror}"


@contextmanager
def opened(directory: int) -> Iterator[int]:
    """Open a directory once more, to read and to change it."""
    fd = os.open(".", READ, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)


def failure(path: Path, what: str, error: OSError) -> HookError:
    """Return the line for what the system has refused."""
    rights = "change the owner or mode of its folder, or run as another user"
    fixes = {
        errno.EACCES: rights,
        errno.EPERM: rights,
        errno.ENOSPC: "make room",
        errno.EROFS: "mount it for writing",
        errno.ENOTEMPTY: "end what writes into it",
    }
    return HookError(str(path), f"{what}: {error.strerror}", fixes.get(error.errno or 0, ""))
