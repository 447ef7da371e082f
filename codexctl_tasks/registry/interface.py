"""
What the rest of the package needs of registries: the shape of the boundary.

One object speaks to all registries; a reference says to which one. Names are those of the OCI
distribution specification.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from codexctl_tasks.errors import CodexctlError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codexctl_tasks.references import Reference

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class RegistryError(CodexctlError):
    """A registry refused a request or cannot be reached; repeating it will not help."""

    exit_code = 4

    def __init__(self, where: str, what: str, fix: str = "", *, status: int = 0) -> None:
        """Describe an answer; *status*: of HTTP, 0 if there was none. See `CodexctlError`."""
        super().__init__(where, what, fix)
        self.status = status


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a registry says about a piece of content without sending it."""

    digest: str
    """``sha256:...``."""
    media_type: str = ""
    size: int = 0
    """In bytes; of a manifest: of its text, not of its layers."""


@dataclass(frozen=True)
class Manifest:
    """A manifest or index, byte by byte as it was sent: its digest depends on every blank."""

    raw: bytes
    media_type: str

    @cached_property
    def digest(self) -> str:
        """``sha256:...`` of the bytes."""
        return f"sha256:{hashlib.sha256(self.raw).hexdigest()}"

    @cached_property
    def content(self) -> Any:
        """What it says, as JSON."""
        return json.loads(self.raw)

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests, one for each platform."""
        return self.media_type in INDEX_TYPES


class Registry(Protocol):
    """
    All registries.

    Calls raise `RegistryError`; what passes by itself has been repeated by then. They may be made
    from several threads.
    """

    def find(self, reference: Reference, *, for_writing: bool = False) -> Descriptor | None:
        """
        Return what a tag or digest stands for, by HEAD; None: there is no such image.

        *for_writing*: something will be stored there. Some registries say only to those who may
        write that a repository does not exist yet.
        """
        ...

    def fetch(self, reference: Reference) -> Manifest | None:
        """Return a manifest or index, its digest verified; None: there is none."""
        ...

    def store(self, reference: Reference, manifest: Manifest) -> None:
        """Store a manifest under the reference's tag, or under its digest if it has no tag."""
        ...

    def delete(self, reference: Reference) -> bool:
        """Delete a manifest by its digest, with every tag on it; False: it was gone already."""
        ...

    def tags(self, repository: Reference) -> list[str]:
        """Return all tags of a repository; none if there is no such repository."""
        ...

    def has_blob(self, repository: Reference, digest: str) -> bool:
        """Tell whether a repository holds a blob."""
        ...

    def read_blob(self, repository: Reference, blob: Descriptor) -> Iterable[bytes]:
        """
        Return a blob in pieces, resumed when the connection breaks; its digest is verified.

        It is fetched when it is iterated, each time anew. That its digest is wrong is raised
        after the last piece.
        """
        ...

    def mount_blob(self, repository: Reference, digest: str, source: Reference) -> bool:
        """Let a repository have a blob of another one of the same registry; False: refused."""
        ...

    def write_blob(self, repository: Reference, blob: Descriptor, pieces: Iterable[bytes]) -> None:
        """Upload a blob from pieces; whenever it is sent again they are iterated again."""
        ...
