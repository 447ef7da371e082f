"""All registries, over HTTP: the real `Registry`."""

from __future__ import annotations

import json
import re
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from codexctl_tasks.registry.challenges import Scope
from codexctl_tasks.registry.connections import Connections, drop, is_loopback, origin_of, read
from codexctl_tasks.registry.credentials import Logins
from codexctl_tasks.registry.downloads import Download
from codexctl_tasks.registry.failures import TransientRegistryError
from codexctl_tasks.registry.interface import Descriptor, RegistryError
from codexctl_tasks.registry.manifests import ask_manifest, media_type, read_manifest
from codexctl_tasks.registry.session import STORED_TIMEOUT_S, Ask, Session
from codexctl_tasks.registry.uploads import PART, Upload
from codexctl_tasks.world.retrying import REGISTRY, retrying

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from codexctl_tasks.references import Reference
    from codexctl_tasks.registry.interface import Manifest
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.process import RunProgram

T = TypeVar("T")

_LARGEST_PAGE = 2**24
_NO_RIGHT = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_BLOB_IS_UNKNOWN = "MANIFEST_BLOB_UNKNOWN"
_TAGS_PER_PAGE = 1000
_MOST_PAGES = 1000
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')


def connect(
    variables: Mapping[str, str],
    *,
    plain_http_hosts: Collection[str],
    clock: Clock,
    announce: Callable[[str], None],
    run: RunProgram,
    part: int = PART,
) -> RegistryClient:
    """
    Return the registries; nothing is sent or read before the first call.

    Args:
        variables: The environment: proxies, and where the logins are.
        plain_http_hosts: Registries that may be asked without TLS, as references name them.
            Those on this machine always may.
        clock: For pauses, and for the life of tokens.
        announce: Receives one line before each repeated attempt.
        run: Runs Docker's credential helpers.
        part: Bytes of one part of a large upload.
    """
    logins = Logins(variables, run, announce)
    plain = frozenset(host.lower() for host in plain_http_hosts)
    return RegistryClient(Connections(variables), logins, plain, clock, announce, part=part)


class RegistryClient:
    """See `Registry`; one session for each host."""

    def __init__(
        self,
        connections: Connections,
        logins: Logins,
        plain_http_hosts: frozenset[str],
        clock: Clock,
        announce: Callable[[str], None],
        *,
        part: int,
    ) -> None:
        """See `connect`."""
        self._connections, self._logins, self._plain = connections, logins, plain_http_hosts
        self._clock, self._announce, self._part = clock, announce, part
        self._sessions: dict[str, Session | RegistryError] = {}
        self._greeting: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._begun: dict[tuple[str, str], str] = {}

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def find(self, reference: Reference, *, for_writing: bool = False) -> Descriptor | None:
        """See `Registry.find`."""
        try:
            answer = self._send(reference, ask_manifest("HEAD", reference, writes=for_writing))
        except RegistryError as error:
            if not for_writing or error.status not in _NO_RIGHT:
                raise
            return self.find(reference)
        drop(answer)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        digest = str(answer.headers.get("Docker-Content-Digest") or reference.digest)
        if not digest:  # some registries leave it out
            found = self.fetch(reference)
            return Descriptor(found.digest, found.media_type, len(found.raw)) if found else None
        size = str(answer.headers.get("Content-Length") or "0")
        return Descriptor(digest, media_type(answer), int(size) if size.isdecimal() else 0)

    def fetch(self, reference: Reference) -> Manifest | None:
        """See `Registry.fetch`."""

        def attempt() -> Manifest | None:
            answer = self._session(reference.host).send(ask_manifest("GET", reference))
            if answer.status == HTTPStatus.NOT_FOUND:
                drop(answer)
                return None
            return read_manifest(reference, answer)

        return self._repeat(attempt)

    def store(self, reference: Reference, manifest: Manifest) -> None:
        """See `Registry.store`."""
        name = reference.tag or reference.digest or manifest.digest
        ask = Ask(
            "PUT",
            f"/v2/{reference.repository}/manifests/{name}",
            frozenset({Scope(reference.repository, writes=True)}),
            {"Content-Type": manifest.media_type},
            manifest.raw,
            (HTTPStatus.CREATED, HTTPStatus.OK, HTTPStatus.ACCEPTED),
            STORED_TIMEOUT_S,
        )

        def attempt() -> None:
            try:
                drop(self._session(reference.host).send(ask))
            except RegistryError as error:
                if _BLOB_IS_UNKNOWN not in error.what:
                    raise
                # Somebody else may be writing the same: it is not there yet, or no longer.
                where, what, fix = error.where, error.what, "push it again"
                raise TransientRegistryError(where, what, fix, status=error.status) from error

        self._repeat(attempt)

    def delete(self, reference: Reference) -> bool:
        """See `Registry.delete`."""
        path = f"/v2/{reference.repository}/manifests/{reference.digest}"
        scopes = frozenset({Scope(reference.repository, writes=True, deletes=True)})
        answer = self._send(reference, Ask("DELETE", path, scopes, fine=(200, 202, 204, 404)))
        drop(answer)
        return bool(answer.status != HTTPStatus.NOT_FOUND)

    def tags(self, repository: Reference) -> list[str]:
        """See `Registry.tags`."""
        found: list[str] = []
        url = f"/v2/{repository.repository}/tags/list?n={_TAGS_PER_PAGE}"
        for _ in range(_MOST_PAGES):
            page, following = self._page(repository, url)
            found += page
            if not following:
                break
            url = following
        return found

    def _page(self, repository: Reference, url: str) -> tuple[list[str], str]:
        """Return the tags of a page, and the address of the next one."""

        def attempt() -> tuple[list[str], str]:
            session = self._session(repository.host)
            answer = session.send(
                Ask("GET", url, frozenset({Scope(repository.repository)}), fine=(200, 404))
            )
            data = read(repository.name, answer, _LARGEST_PAGE)
            if answer.status == HTTPStatus.NOT_FOUND:
                return [], ""
            link = _NEXT.search(answer.headers.get("Link") or "")
            base = session.resolve(session.address, url)
            following = session.resolve(base, link[1]) if link else ""
            if following and origin_of(following) != origin_of(session.address):
                what = "continues its list of tags on another host"
                raise RegistryError(repository.name, what, "ask who runs it")
            return _read_tags(repository.name, data), following

        return self._repeat(attempt)

    def has_blob(self, repository: Reference, digest: str) -> bool:
        """See `Registry.has_blob`."""
        path = f"/v2/{repository.repository}/blobs/{digest}"
        scopes = frozenset({Scope(repository.repository)})
        # Whoever sends us to where it is has it; that address may be good for GET alone.
        answer = self._send(repository, Ask("HEAD", path, scopes, fine=(200, 302, 307, 404)))
        drop(answer)
        return bool(answer.status != HTTPStatus.NOT_FOUND)

    def read_blob(self, repository: Reference, blob: Descriptor) -> Download:
        """See `Registry.read_blob`."""
        session = self._session(repository.host)
        return Download(session, repository.repository, blob, self._repeat)

    def mount_blob(self, repository: Reference, digest: str, source: Reference) -> bool:
        """See `Registry.mount_blob`."""
        path = f"/v2/{repository.repository}/blobs/uploads/"
        query = f"mount={digest}&from={quote(source.repository, safe='')}"
        scopes = frozenset({Scope(repository.repository, writes=True), Scope(source.repository)})
        ask = Ask("POST", f"{path}?{query}", scopes, {"Content-Length": "0"}, fine=(201, 202))
        try:
            answer = self._send(repository, ask)
        except RegistryError as error:
            if error.status and not _is_out_of_order(error.status):
                return False
            raise
        drop(answer)
        if answer.status == HTTPStatus.CREATED:
            return True
        if location := answer.headers.get("Location"):  # it has begun an upload instead
            session = self._session(repository.host)
            begun = session.resolve(session.address, location)
            self._begun[repository.name, digest] = begun
        return False

    def write_blob(self, repository: Reference, blob: Descriptor, pieces: Iterable[bytes]) -> None:
        """See `Registry.write_blob`."""
        session = self._session(repository.host)
        location = self._begun.pop((repository.name, blob.digest), "")
        upload = Upload(session, repository.repository, blob, pieces, location, self._part)
        self._repeat(upload.attempt)

    def _send(self, reference: Reference, ask: Ask) -> Any:
        return self._repeat(lambda: self._session(reference.host).send(ask))

    def _repeat(self, call: Callable[[], T]) -> T:
        """Repeat a call while its trouble passes; what is left of it then is final."""
        try:
            return retrying(call, self._clock, REGISTRY, lambda pause: self._announce(str(pause)))
        except TransientRegistryError as error:
            where, what, fix = error.where, error.what, error.fix
            raise RegistryError(where, what, fix, status=error.status) from error

    def _session(self, host: str) -> Session:
        """Return the session of a host; of many threads one greets it, also if it is away."""
        with self._lock:
            lock = self._greeting.setdefault(host, threading.Lock())
        with lock:
            if host not in self._sessions:
                self._sessions[host] = self._greeted(host)
            found = self._sessions[host]
        if isinstance(found, RegistryError):
            raise RegistryError(found.where, found.what, found.fix, status=found.status)
        return found

    def _greeted(self, host: str) -> Session | RegistryError:
        def attempt() -> Session:
            try:
                return Session(
                    *(host, self._connections, self._logins, self._clock),
                    allows_http=host in self._plain or is_loopback(host),
                )
            except TransientRegistryError as error:
                if error.was_sent:
                    raise
                # A wrong address is told while the user still looks.
                raise RegistryError(error.where, error.what, error.fix) from error

        try:
            return self._repeat(attempt)
        except RegistryError as error:
            return error


def _is_out_of_order(status: int) -> bool:
    return status in (408, 425, 429) or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _read_tags(where: str, data: bytes) -> list[str]:
    try:
        return [str(tag) for tag in json.loads(data)["tags"] or ()]
    except (ValueError, KeyError, TypeError):
        what = "the registry sent something that is no list of tags"
        raise RegistryError(where, what, "correct the host name") from None
