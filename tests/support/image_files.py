"""Images with given files, pushed and read."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from typing import TYPE_CHECKING, Any

from tests.support.images import Layer, Pusher, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

APPLETS = ("sh", "cat", "echo", "false", "ls", "mkdir", "sleep", "touch", "true")


def push_files(host: str, name: str, tag: str, files: Mapping[str, bytes | str]) -> str:
    """
    Push an image of one layer and return its digest.

    Args:
        host: Of the registry, with its port.
        name: Name of the image in it.
        tag: The tag.
        files: What is in the image: contents of files, and where links lead to.
    """
    raw = _archive(files)
    layer = Layer(gzip.compress(raw, 1, mtime=0), digest_of(raw))
    digest: str = Pusher(host).image(name, tag, [layer])["digest"]
    return digest


def push_base(host: str) -> str:
    """Push ``base:1``, a BusyBox with some of its commands; return its digest."""
    busybox = shutil.which("busybox") or ""
    with open(busybox, "rb") as file:  # noqa: PTH123 - a program, not a path
        program = file.read()
    links = {f"bin/{applet}": "busybox" for applet in APPLETS}
    return push_files(host, "base", "1", {"bin/busybox": program, **links})


def read_config(host: str, name: str, tag: str) -> dict[str, Any]:
    """Return the settings of an image: what runs in it, and how it came about."""
    digest = json.loads(Pusher(host).raw(name, tag))["config"]["digest"]
    found: dict[str, Any] = json.loads(_read_blob(host, name, digest))
    return found


def read_files(host: str, name: str, tag: str) -> dict[str, bytes]:
    """Return the files of an image, from all of its layers."""
    files: dict[str, bytes] = {}
    for layer in json.loads(Pusher(host).raw(name, tag))["layers"]:
        blob = io.BytesIO(_read_blob(host, name, layer["digest"]))
        with tarfile.open(fileobj=blob) as archive:
            for member in archive:
                if member.isfile() and (file := archive.extractfile(member)):
                    files[member.name] = file.read()
    return files


def find_digest(host: str, name: str, tag: str) -> str:
    """Return the digest of a tag; empty: there is no such tag."""
    raw = Pusher(host).raw(name, tag)
    return digest_of(raw) if raw else ""


def _archive(files: Mapping[str, bytes | str]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.mode = 0o755
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def _read_blob(host: str, name: str, digest: str) -> bytes:
    return Pusher(host).request("GET", f"/v2/{name}/blobs/{digest}")[2]
