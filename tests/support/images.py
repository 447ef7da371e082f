"""Images made by hand and pushed byte by byte, and what registries hold of them."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import random
import tarfile
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
OCI_INDEX = f"{OCI}.index.v1+json"
DOCKER_LIST = f"{DOCKER}.distribution.manifest.list.v2+json"
OCI_MANIFEST = f"{OCI}.manifest.v1+json"
DOCKER_MANIFEST = f"{DOCKER}.distribution.manifest.v2+json"
ACCEPT = f"{OCI_INDEX}, {DOCKER_LIST}, {OCI_MANIFEST}, {DOCKER_MANIFEST}"
_DOCKER_KINDS = {
    "config": f"{DOCKER}.container.image.v1+json",
    "layer": f"{DOCKER}.image.rootfs.diff.tar.gzip",
}
_OCI_KINDS = {"config": f"{OCI}.config.v1+json", "layer": f"{OCI}.layer.v1.tar+gzip"}


def digest_of(data: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Layer:
    """A layer as it travels."""

    data: bytes = field(repr=False)
    """Compressed."""
    content: str
    """Digest of what is in it."""

    @property
    def digest(self) -> str:
        """Digest of what travels."""
        return digest_of(self.data)


def layer(name: str, size: int = 1000) -> Layer:
    """Return a layer with one file of bytes that cannot be compressed, always the same ones."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = size
        archive.addfile(entry, io.BytesIO(random.Random(name).randbytes(size)))  # noqa: S311
    raw = buffer.getvalue()
    return Layer(gzip.compress(raw, 0, mtime=0), digest_of(raw))


@dataclass
class Pusher:
    """Puts images into a registry, by nothing but http.client."""

    host: str
    user: str = ""
    password: str = ""

    def request(
        self, method: str, path: str, body: bytes = b"", kind: str = "", accept: str = ACCEPT
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send a request and return status, headers and body."""
        headers = {"Accept": accept, "Content-Type": kind or "application/octet-stream"}
        if self.user:
            pair = b64encode(f"{self.user}:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def blob(self, repository: str, data: bytes) -> str:
        """Push a blob; return its digest."""
        digest = digest_of(data)
        status, headers, _ = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202
        to = urlsplit(headers["Location"])
        path = f"{to.path}?{to.query}&digest={digest}"
        assert self.request("PUT", path, data)[0] == 201
        return digest

    def manifest(self, repository: str, name: str, content: Any, *, indent: int = 3) -> str:
        """Push a manifest as nobody else would write it; return its digest."""
        data = json.dumps(content, indent=indent).encode() + b"\n"
        name = name or digest_of(data)
        path = f"/v2/{repository}/manifests/{name}"
        status, _, body = self.request("PUT", path, data, content["mediaType"])
        assert status == 201, body
        return digest_of(data)

    def image(
        self,
        repository: str,
        tag: str,
        layers: Sequence[Layer],
        *,
        platform: str = "linux/amd64",
        docker: bool = False,
        foreign: bool = False,
        created: str = "",
    ) -> dict[str, Any]:
        """
        Push an image; return its entry of an index.

        Args:
            repository: Where to.
            tag: Empty: it gets none.
            layers: In their order.
            platform: What it runs on.
            docker: Docker's kinds instead of those of OCI.
            foreign: It has one more layer, which is somewhere else.
            created: When it was made; empty: it does not say.
        """
        kinds = _DOCKER_KINDS if docker else _OCI_KINDS
        os, architecture, *variant = platform.split("/")
        runs_on = {"os": os, "architecture": architecture}
        runs_on |= {"variant": variant[0]} if variant else {}
        config = {
            **runs_on,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [each.content for each in layers]},
            "history": [{"created_by": f"{repository}:{tag}"}],
        }
        config |= {"created": created} if created else {}
        data = json.dumps(config).encode()
        entries = [
            {
                "mediaType": kinds["layer"],
                "digest": self.blob(repository, each.data),
                "size": len(each.data),
            }
            for each in layers
        ]
        if foreign:
            entries.append(
                {
                    "mediaType": f"{DOCKER}.image.rootfs.foreign.diff.tar.gzip",
                    "digest": digest_of(b"elsewhere"),
                    "size": 9,
                    "urls": ["https://example.com/elsewhere"],
                }
            )
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
            "config": {
                "mediaType": kinds["config"],
                "digest": self.blob(repository, data),
                "size": len(data),
            },
            "layers": entries,
        }
        digest = self.manifest(repository, tag, manifest)
        size = len(self.raw(repository, digest))
        entry = {"mediaType": manifest["mediaType"], "digest": digest, "size": size}
        return {**entry, "platform": runs_on}

    def attestation(self, repository: str, subject: str) -> dict[str, Any]:
        """Push what BuildKit says about how an image was built; return its entry of an index."""
        statement = self.blob(repository, b'{"_type": "https://in-toto.io/Statement/v0.1"}')
        config = self.blob(repository, b'{"architecture": "unknown", "os": "unknown"}')
        content = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": f"{OCI}.config.v1+json", "digest": config, "size": 44},
            "layers": [
                {"mediaType": "application/vnd.in-toto+json", "digest": statement, "size": 46}
            ],
        }
        digest = self.manifest(repository, "", content)
        return {
            "mediaType": OCI_MANIFEST,
            "digest": digest,
            "size": len(self.raw(repository, digest)),
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.digest": subject},
        }

    def index(
        self, repository: str, tag: str, entries: Sequence[Any], *, docker: bool = False
    ) -> str:
        """Push an index; return its digest."""
        kind = DOCKER_LIST if docker else OCI_INDEX
        content = {"schemaVersion": 2, "mediaType": kind, "manifests": list(entries)}
        return self.manifest(repository, tag, content)

    def raw(self, repository: str, name: str) -> bytes:
        """Return a manifest; empty: there is none."""
        status, _, body = self.request("GET", f"/v2/{repository}/manifests/{name}")
        return body if status == 200 else b""

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest."""
        assert self.request("DELETE", f"/v2/{repository}/manifests/{digest}")[0] == 202

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository."""
        status, _, body = self.request("GET", f"/v2/{repository}/tags/list")
        return sorted(json.loads(body)["tags"] or ()) if status == 200 else []
