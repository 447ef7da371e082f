"""
References of images, taken apart, and names of repositories (pure).

The rules are those of Docker's ``distribution/reference``: what stands before the first slash is a
host if it has a dot or a port, or is ``localhost``; anything else is an image of docker.io.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_HOST = "docker.io"
_USER = re.compile(r"\A(?:https?://(?:[^/@]*@)?|[^/@:]+:[^/@]*@(?=[^/]+/))", re.IGNORECASE)
"""Scheme, name and password before a host; what follows the ``@`` of a digest has no slash."""
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_IMAGE = re.compile(
    rf"(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9+._-]*:[0-9a-fA-F]{32,}))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a registry."""

    host: str
    """Of the registry, with the port if it has one, in lower case."""
    repository: str
    """Name in the registry: ``library/redis``."""
    tag: str = ""
    """Empty: none is given, which means ``latest`` unless there is a digest."""
    digest: str = ""
    """Such as ``sha256:...``; wins over the tag; empty: none."""

    def __str__(self) -> str:
        """Return it in full, as every tool reads it."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.repository}{tag}{digest}"

    @property
    def name(self) -> str:
        """Host and repository, without tag and digest."""
        return f"{self.host}/{self.repository}"

    def with_tag(self, tag: str) -> Reference:
        """Return another tag of the same repository."""
        return Reference(self.host, self.repository, tag)

    def with_digest(self, digest: str) -> Reference:
        """Return exactly this content of the same repository, whatever its tag."""
        return Reference(self.host, self.repository, digest=digest)


def parse_reference(text: str) -> Reference:
    """
    Take a reference apart; a scheme, a name and a password before the host are dropped.

    Raises:
        ValueError: It is none; the text may hold a password and is not repeated.
    """
    plain = _USER.sub("", text.strip())
    host, slash, rest = plain.partition("/")
    if not slash or not _looks_like_host(host):
        host, rest = DEFAULT_HOST, plain
    host = "docker.io" if host.lower() == "index.docker.io" else host.lower()
    found = _IMAGE.fullmatch(rest)
    if found is None or not re.fullmatch(_HOST, host):
        raise ValueError("no reference of an image")
    repository = found["repository"]
    if host == DEFAULT_HOST and "/" not in repository:
        repository = f"library/{repository}"
    return Reference(host, repository, found["tag"] or "", found["digest"] or "")


def parse_host(text: str) -> str:
    """
    Return the host of a registry, which may be written with a path: ``ghcr.io/org``.

    Raises:
        ValueError: It is none; the text may hold a password and is not repeated.
    """
    host = _USER.sub("", text.strip()).partition("/")[0].rpartition("@")[2].lower()
    if not re.fullmatch(_HOST, host):
        raise ValueError("no host name")
    return host


def _looks_like_host(part: str) -> bool:
    is_marked = any(mark in part for mark in ".:") or part.lower() != part
    return is_marked or part == "localhost"


def check_repository(text: str) -> str:
    """Return the name of a repository on GitHub, or an empty one; others raise ``ValueError``."""
    if not text or re.fullmatch(r"[\w-][\w.-]*/[\w.-]*[\w-][\w.-]*", text, re.ASCII):
        return text
    raise ValueError(f"{text!r} is no repository: write owner/name")
