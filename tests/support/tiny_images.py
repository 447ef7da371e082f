"""Small images in a registry on loopback, pushed and read in a few lines, without any client."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import shutil
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
APPLETS = ("sh", "cat", "echo", "false", "ls", "mkdir", "sleep", "touch", "true")


def push_image(
    host: str, name: str, tag: str, files: Mapping[str, bytes | str], **config: Any
) -> str:
    """
    Push an image of one layer and return its digest.

    Args:
        host: Of the registry, with its port.
        name: Name of the image in it.
        tag: The tag.
        files: What is in the image: contents of files, and where links lead to.
        config: What ``config`` of the image holds.
    """
    layer = _archive(files)
    settings = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": config,
        "history": [{"created_by": "a test"}],
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    blobs = [(_CONFIG, json.dumps(settings).encode()), (_LAYER, layer)]
    described = [_push_blob(host, name, media_type, blob) for media_type, blob in blobs]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described[0],
        "layers": described[1:],
    }
    body = json.dumps(manifest).encode()
    _ask(host, "PUT", f"/v2/{name}/manifests/{tag}", body, MANIFEST)
    return _digest(body)


def push_base(host: str) -> str:
    """Push ``base:1``, a BusyBox with some of its commands; return its digest."""
    busybox = shutil.which("busybox") or ""
    with open(busybox, "rb") as file:  # noqa: PTH123 - a program, not a path
        program = file.read()
    links = {f"bin/{applet}": "busybox" for applet in APPLETS}
    return push_image(host, "base", "1", {"bin/busybox": program, **links}, Env=["PATH=/bin"])


def read_config(host: str, name: str, reference: str) -> dict[str, Any]:
    """Return the settings of an image: what runs in it, and how it came about."""
    manifest = read_manifest(host, name, reference)
    found: dict[str, Any] = json.loads(_read_blob(host, name, manifest["config"]["digest"]))
    return found


def read_files(host: str, name: str, reference: str) -> dict[str, bytes]:
    """Return the files of an image, from all of its layers."""
    files: dict[str, bytes] = {}
    for layer in read_manifest(host, name, reference)["layers"]:
        blob = io.BytesIO(_read_blob(host, name, layer["digest"]))
        with tarfile.open(fileobj=blob) as archive:
            for member in archive:
                if member.isfile() and (file := archive.extractfile(member)):
                    files[member.name] = file.read()
    return files


def read_manifest(host: str, name: str, reference: str) -> dict[str, Any]:
    """Return the manifest of a tag or digest."""
    _, body = _ask(host, "GET", f"/v2/{name}/manifests/{reference}", accept=MANIFEST)
    found: dict[str, Any] = json.loads(body)
    return found


def find_digest(host: str, name: str, tag: str) -> str:
    """Return the digest of a tag; empty: there is no such tag."""
    try:
        headers, _ = _ask(host, "HEAD", f"/v2/{name}/manifests/{tag}", accept=MANIFEST)
    except LookupError:
        return ""
    return headers["docker-content-digest"]


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


def _push_blob(host: str, name: str, media_type: str, blob: bytes) -> dict[str, Any]:
    headers, _ = _ask(host, "POST", f"/v2/{name}/blobs/uploads/")
    location = headers["location"].removeprefix(f"http://{host}")
    separator = "&" if "?" in location else "?"
    path = f"{location}{separator}digest={_digest(blob)}"
    _ask(host, "PUT", path, blob, "application/octet-stream")
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _read_blob(host: str, name: str, digest: str) -> bytes:
    return _ask(host, "GET", f"/v2/{name}/blobs/{digest}")[1]


def _ask(
    host: str, method: str, path: str, body: bytes = b"", kind: str = "", *, accept: str = ""
) -> tuple[dict[str, str], bytes]:
    connection = http.client.HTTPConnection(host, timeout=30)
    headers = {"Content-Type": kind} if kind else {}
    try:
        connection.request(
            method, path, body, {**headers, **({"Accept": accept} if accept else {})}
        )
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status >= http.client.BAD_REQUEST:
        raise LookupError(f"{method} {path}: {answer.status}")
    return {name.lower(): value for name, value in answer.getheaders()}, content


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
