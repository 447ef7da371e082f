"""Blobs as they come from a registry: in pieces, resumed where the connection broke, verified."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.registry.challenges import Scope
from codexctl_tasks.registry.connections import ANSWER_TIMEOUT_S, drop
from codexctl_tasks.registry.failures import TransientRegistryError, broken
from codexctl_tasks.registry.interface import RegistryError
from codexctl_tasks.registry.session import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from codexctl_tasks.registry.interface import Descriptor
    from codexctl_tasks.registry.session import Session

    Repeat = Callable[[Callable[[], bytes]], bytes]

PIECE = 2**18
"""Bytes that are in memory at a time."""
_MARK = 2**24
"""Bytes between two places from which hashing can go on."""
ALGORITHMS = ("sha256", "sha512")


class Download:
    """
    A blob in pieces; each time it is iterated, it is fetched anew.

    Raises `RegistryError` while iterated. When the digest is not the blob's, that is a
    `TransientRegistryError` after the last piece: what was done with them must be undone.
    """

    def __init__(
        self,
        session: Session,
        repository: str,
        blob: Descriptor,
        repeat: Repeat,
    ) -> None:
        """
        Prepare.

        Args:
            session: Of the registry.
            repository: In which it is.
            blob: Its digest and size.
            repeat: Calls something until it works.
        """
        self._session, self._repository, self._blob = session, repository, blob
        self._repeat = repeat
        self._where = f"{session.host}/{repository}@{blob.digest}"
        self._marks: list[tuple[int, Any]] = [(0, new_hash(self._where, blob.digest))]

    def __iter__(self) -> Iterator[bytes]:
        return self.since(0)

    def since(self, offset: int) -> Generator[bytes, None, None]:
        """Yield what follows the first *offset* bytes; all of it is hashed nevertheless."""
        place = bisect_right(self._marks, offset, key=lambda mark: mark[0]) - 1
        position, digest = self._marks[place][0], self._marks[place][1].copy()
        with closing(self._pieces(position)) as pieces:
            for piece in pieces:
                digest.update(piece)
                position += len(piece)
                if position - self._marks[-1][0] >= _MARK:
                    self._marks.append((position, digest.copy()))
                if position > offset:
                    yield piece[max(len(piece) - (position - offset), 0) :]
        if digest.hexdigest() != self._blob.digest.partition(":")[2]:
            what = "the registry sent other bytes than the digest promises"
            raise TransientRegistryError(self._where, what, "push it anew")

    def _pieces(self, position: int) -> Generator[bytes, None, None]:
        """Yield the blob from a position on, over as many connections as that takes."""
        source = _Source(self._session, self._repository, self._blob, self._where, position)
        try:
            while source.position < self._blob.size:
                yield self._repeat(source.read)
        finally:
            source.close()


class _Source:
    """An open answer, or a new one where the last one broke off."""

    def __init__(
        self, session: Session, repository: str, blob: Descriptor, where: str, position: int
    ) -> None:
        self._session, self._repository, self._blob, self._where = session, repository, blob, where
        self.position = position
        """How much of the blob has been read, in bytes."""
        self._answer: Any = None
        self._skip = 0

    def read(self) -> bytes:
        """Return the next piece; after a failure, repeating this resumes."""
        from urllib3.exceptions import HTTPError

        if self._answer is None:
            self._open()
        try:
            piece: bytes = self._answer.read(PIECE)
            while piece and self._skip:
                kept, self._skip = piece[self._skip :], max(self._skip - len(piece), 0)
                piece = kept or self._answer.read(PIECE)
        except (HTTPError, OSError) as error:
            self._give_up()
            cause = broken(self._where, error, ANSWER_TIMEOUT_S)
            raise self._broken_off(cause.what) from error
        if not piece:
            self._give_up()
            raise self._broken_off("the answer ended early")
        self.position += len(piece)
        if self.position > self._blob.size:
            what = f"the registry sent more than {self._blob.size:,} bytes"
            raise RegistryError(self._where, what, "push it anew")
        return piece

    def close(self) -> None:
        """Keep the connection if all was read."""
        if self._answer is not None and self.position == self._blob.size:
            drop(self._answer)
        else:
            self._give_up()

    def _open(self) -> None:
        path = f"/v2/{self._repository}/blobs/{self._blob.digest}"
        headers = {"Range": f"bytes={self.position}-"} if self.position else {}
        scopes = frozenset({Scope(self._repository)})
        self._answer = self._session.send(Ask("GET", path, scopes, headers, fine=(200, 206)))
        # Whoever does not know Range sends all of it.
        self._skip = self.position if self._answer.status == HTTPStatus.OK else 0

    def _give_up(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _broken_off(self, why: str) -> TransientRegistryError:
        at = f"{self.position:,} of {self._blob.size:,} bytes"
        return TransientRegistryError(self._where, f"broke off at {at}: {why}", "try again")


def new_hash(where: str, digest: str) -> Any:
    """
    Return what computes a digest.

    Raises:
        RegistryError: Its algorithm is none that is secure.
    """
    algorithm = digest.partition(":")[0]
    if algorithm not in ALGORITHMS:
        what = f"has a digest of an algorithm that codexctl does not verify: {algorithm}"
        raise RegistryError(where, what, "push it anew with sha256")
    return hashlib.new(algorithm)
