"""Blobs on their way into a registry: in one request, or in parts where that would take long."""

from __future__ import annotations

import re
from dataclasses import dataclass
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

MOST_AT_ONCE = 256 * 10**6
"""Bytes of a blob that is sent in one request: what breaks off is sent again."""
PART = 64 * 10**6
"""Bytes of one part of a larger blob."""
_BYTES = "application/octet-stream"
_NO_PARTS = frozenset({400, 404, 405, 411, 413, 416, 501})
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
    most_at_once: int = MOST_AT_ONCE
    part: int = PART
    _in_parts: bool = True

    def attempt(self) -> None:
        """
        Send it, or what is missing of it.

        Raises:
            TransientRegistryError: Another attempt may work; it goes on where this one ended.
            RegistryError: Also what the pieces raise.
        """
        if self.blob.size <= self.most_at_once or not self._in_parts:
            location, self.location = self.location or self._begin(), ""
            self._finish(location, iter(self.pieces), self.blob.size)
            return
        offset = self._arrived()
        try:
            self._send_parts(offset)
        except RegistryError as error:
            if isinstance(error, TransientRegistryError) or error.status not in _NO_PARTS:
                raise
            self.location, self._in_parts = "", False
            self.attempt()

    def _send_parts(self, offset: int) -> None:
        pieces = (
            _Parts(pieces_since(self.pieces, offset))
            if offset < self.blob.size
            else _Parts(iter(()))
        )
        while offset < self.blob.size:
            size = min(self.part, self.blob.size - offset)
            headers = {
                "Content-Type": _BYTES,
                "Content-Length": str(size),
                "Content-Range": f"{offset}-{offset + size - 1}",
            }
            answer = self._send("PATCH", self.location, headers, pieces.take(size), (202, 204))
            offset += size
            self._move(answer)
            arrived = _end_of(answer.headers.get("Range") or "", otherwise=offset)
            if arrived != offset:
                what = f"the registry has {arrived:,} bytes of {offset:,} that were sent"
                raise TransientRegistryError(self._where, what, "try again")
        pieces.finish()
        self._finish(self.location, iter(()), 0)

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
                self._move(answer)
                return end
        self.location = self._begin()
        return 0

    def _finish(self, location: str, pieces: Iterator[bytes], size: int) -> None:
        url = f"{location}{'&' if '?' in location else '?'}digest={self.blob.digest}"
        headers = {"Content-Type": _BYTES, "Content-Length": str(size)}
        body = pieces if size else b""
        drop(self._send("PUT", url, headers, body, (201, 202, 204)))

    def _move(self, answer: Any) -> None:
        """Go on at the address that the registry names for the next request."""
        if answer.headers.get("Location"):
            self.location = self._location(answer)
        drop(answer)

    def _location(self, answer: Any) -> str:
        drop(answer)
        found = str(answer.headers.get("Location") or "")
        if not found:
            raise RegistryError(
                self._where, "takes an upload and does not say where", "see its log"
            )
        return self.session.resolve(self.session.address, found)

    def _send(self, method: str, url: str, headers: dict[str, str], body: Any, fine: Any) -> Any:
        scopes = frozenset({Scope(self.repository, writes=True)})
        ask = Ask(method, url, scopes, headers, body, fine, STORED_TIMEOUT_S)
        return self.session.send(ask)

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


def pieces_since(pieces: Iterable[bytes], offset: int) -> Iterator[bytes]:
    """Yield what follows the first *offset* bytes, without making those if that can be avoided."""
    if isinstance(pieces, Resumable):
        return pieces.since(offset)
    return _without(iter(pieces), offset)


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
