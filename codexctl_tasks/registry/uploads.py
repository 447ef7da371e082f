"""Blobs on their way into a registry: in one request, or in parts where that would take long."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from codexctl_tasks.registry.challenges import Scope
from codexctl_tasks.registry.connections import drop
from codexctl_tasks.registry.failures import TransientRegistryError
from codexctl_tasks.registry.interface import RegistryError
from codexctl_tasks.registry.session import STORED_TIMEOUT_S, Ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from codexctl_tasks.registry.interface import Descriptor
    from codexctl_tasks.registry.session import Session

PART = 64 * 10**6
"""Bytes of one part of a large blob: at most so much is sent again when it breaks off."""
_PARTS = 4
"""A blob that is not larger than so many parts is sent in one request."""
_BYTES = "application/octet-stream"
_NO_PARTS = frozenset({400, 405, 411, 413, 416, 501})
"""How registries refuse parts that would take the whole."""


@runtime_checkable
class Resumable(Protocol):
    """Pieces that can begin in the middle."""

    def since(self, offset: int) -> Iterator[bytes]:
        """Yield what follows the first *offset* bytes."""
        ...


@dataclass
class Upload:
    """A blob on its way; `attempt` may be repeated until it has arrived."""

    session: Session
    repository: str
    blob: Descriptor
    pieces: Iterable[bytes]
    location: str = ""
    """Where an upload was begun already; empty: nowhere."""
    part: int = PART
    """Bytes, see `PART`."""
    _takes_parts: bool = True

    def attempt(self) -> None:
        """
        Send it, or what is missing of it.

        Raises:
            TransientRegistryError: Another attempt may work; it goes on where this one ended.
            RegistryError: Also what the pieces raise.
        """
        if self.blob.size <= _PARTS * self.part or not self._takes_parts:
            location, self.location = self.location or self._begin(), ""
            with opened(self.pieces) as pieces:
                self._finish(location, pieces, self.blob.size)
            return
        if not self._send_parts(self._arrived()):
            self.location, self._takes_parts = "", False
            self.attempt()

    def _send_parts(self, offset: int) -> bool:
        """Send what follows the first *offset* bytes; False: the registry takes no parts."""
        if offset < self.blob.size:
            with opened(self.pieces, offset) as pieces:
                if not self._send_rest(_Parts(pieces), offset):
                    return False
        self._finish(self.location, iter(()), 0)
        return True

    def _send_rest(self, pieces: _Parts, offset: int) -> bool:
        while offset < self.blob.size:
            size = min(self.part, self.blob.size - offset)
            headers = {
                "Content-Type": _BYTES,
                "Content-Length": str(size),
                "Content-Range": f"{offset}-{offset + size - 1}",
            }
            fine = (202, 204, *_NO_PARTS)
            answer = self._send("PATCH", self.location, headers, pieces.take(size), fine)
            if answer.status in _NO_PARTS:
                drop(answer)
                return False
            offset += size
            self._move(answer, offset)
        try:
            pieces.finish()
        except RegistryError:
            self.location = ""  # what was sent is not what it should be
            raise
        return True

    def _begin(self) -> str:
        path = f"/v2/{self.repository}/blobs/uploads/"
        answer = self._send("POST", path, {"Content-Length": "0"}, None, (202,))
        self.location = ""
        return self._location(answer)

    def _arrived(self) -> int:
        """Return how much is there, in bytes; begin anew if that upload is gone."""
        if self.location:
            answer = self._send("GET", self.location, {}, None, (200, 204, 404, 405, 416))
            drop(answer)
            end = _end_of(answer.headers.get("Range") or "", otherwise=-1)
            if answer.status in (200, 204) and 0 <= end <= self.blob.size:
                self._move(answer, end)
                return end
        self.location = self._begin()
        return 0

    def _finish(self, location: str, pieces: Iterator[bytes], size: int) -> None:
        url = f"{location}{'&' if '?' in location else '?'}digest={self.blob.digest}"
        headers = {"Content-Type": _BYTES, "Content-Length": str(size)}
        body = pieces if size else b""
        drop(self._send("PUT", url, headers, body, (201, 202, 204)))

    def _move(self, answer: Any, offset: int) -> None:
        """Go on at the address that the registry names, if it has all that was sent."""
        if answer.headers.get("Location"):
            self.location = self._location(answer)
        drop(answer)
        arrived = _end_of(answer.headers.get("Range") or "", otherwise=offset)
        if arrived != offset:
            what = f"the registry has {arrived:,} bytes of {offset:,} that were sent"
            raise TransientRegistryError(self._where, what, "try again")

    def _location(self, answer: Any) -> str:
        drop(answer)
        found = str(answer.headers.get("Location") or "")
        if not found:
            raise RegistryError(
                self._where, "takes an upload and does not say where", "see its log"
            )
        return self.session.resolve(self.session.address, found)

    def _send(
        self, method: str, url: str, headers: dict[str, str], body: Any, fine: tuple[int, ...]
    ) -> Any:
        scopes = frozenset({Scope(self.repository, writes=True)})
        if method in ("PUT", "PATCH"):
            fine = (*fine, HTTPStatus.NOT_FOUND)
        answer = self.session.send(Ask(method, url, scopes, headers, body, fine, STORED_TIMEOUT_S))
        if answer.status == HTTPStatus.NOT_FOUND and method in ("PUT", "PATCH"):
            drop(answer)
            what = "the registry knows nothing of the upload any more"
            raise TransientRegistryError(self._where, what, "try again", status=answer.status)
        return answer

    @property
    def _where(self) -> str:
        return f"{self.session.host}/{self.repository}@{self.blob.digest}"


class _Parts:
    """Pieces, cut to parts of a given size."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def take(self, size: int) -> Iterator[bytes]:
        """Yield the next *size* bytes."""
        while size > 0:
            piece = self._rest or next(self._pieces, b"")
            if not piece:
                return
            self._rest = piece[size:]
            yield piece[:size]
            size -= min(size, len(piece))

    def finish(self) -> None:
        """Let the pieces end, which is when they are verified."""
        for _ in self._pieces:
            pass


@contextmanager
def opened(pieces: Iterable[bytes], offset: int = 0) -> Iterator[Iterator[bytes]]:
    """
    Let pieces be iterated from an offset on, without making those before if that can be avoided.

    Afterwards they are closed, however far that went: they may hold a connection.
    """
    if isinstance(pieces, Resumable):
        found = pieces.since(offset)
    else:
        found = _without(iter(pieces), offset)
    try:
        yield found
    finally:
        if isinstance(found, Generator):
            found.close()


def _without(pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
    for piece in pieces:
        if offset < len(piece):
            yield piece[offset:]
        offset = max(offset - len(piece), 0)


def _end_of(header: str, *, otherwise: int) -> int:
    """Return how many bytes a ``Range`` such as ``0-99`` stands for; ``0-0`` means none."""
    found = re.fullmatch(r"(?:bytes[= ])?0-(\d+)", header.strip())
    if found is None:
        return otherwise
    return int(found[1]) + 1 if int(found[1]) else 0
