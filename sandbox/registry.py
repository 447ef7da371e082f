"""A registry's HTTP API, as much of it as pushing needs."""

from __future__ import annotations

import hashlib
import http.client
import json
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from types import TracebackType

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
_ACCEPT = f"{MANIFEST}, application/vnd.docker.distribution.manifest.v2+json"
_TIMEOUT_S = 60


def digest_of(data: bytes) -> str:
    """Return the digest that names some content."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Registry:
    """
    One connection to a registry.

    Args:
        address: ``host:port`` as in image references; plain HTTP on loopback,
            HTTPS elsewhere.

    """

    def __init__(self, address: str) -> None:
        self.address = address
        local = address.partition(":")[0] in {"localhost", "127.0.0.1"}
        kind = http.client.HTTPConnection if local else http.client.HTTPSConnection
        self._connection = kind(address, timeout=_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def is_answering(self) -> bool:
        """Tell whether the registry takes requests."""
        try:
            return self._request("GET", "/v2/")[0] == http.client.OK
        except SandboxError:
            return False

    def find_manifest(self, name: str, tag: str) -> dict[str, Any] | None:
        """Return the manifest of an image; None when there is none."""
        path = f"/v2/{name}/manifests/{tag}"
        status, _, body = self._request("GET", path, headers={"Accept": _ACCEPT})
        return json.loads(body) if status == http.client.OK else None

    def read_blob(self, name: str, digest: str) -> bytes:
        """Return a blob, such as the configuration of an image."""
        status, _, body = self._request("GET", f"/v2/{name}/blobs/{digest}")
        if status != http.client.OK:
            raise self._refusal(f"{name} {digest}", status, body)
        return body

    def has_blob(self, name: str, digest: str) -> bool:
        """Tell whether an image name has a blob already."""
        return self._request("HEAD", f"/v2/{name}/blobs/{digest}")[0] == http.client.OK

    def mount_blob(self, name: str, digest: str, source: str) -> bool:
        """Let an image use a blob of another one; False when the registry does not do that."""
        path = f"/v2/{name}/blobs/uploads/?mount={digest}&from={source}"
        return self._request("POST", path)[0] == http.client.CREATED

    def push_blob(self, name: str, digest: str, data: bytes | IO[bytes], size: int) -> None:
        """Upload a blob unless it is there."""
        if self.has_blob(name, digest):
            return
        status, headers, body = self._request("POST", f"/v2/{name}/blobs/uploads/")
        if status != http.client.ACCEPTED:
            raise self._refusal(name, status, body)
        target = urlsplit(headers["Location"])
        query = f"{target.query}&digest={digest}".lstrip("&")
        sent = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        status, _, body = self._request("PUT", f"{target.path}?{query}", data, sent)
        if status != http.client.CREATED:
            raise self._refusal(name, status, body)

    def push_manifest(self, name: str, tag: str, manifest: dict[str, Any]) -> str:
        """Name an image; return its digest."""
        body = json.dumps(manifest).encode()
        path = f"/v2/{name}/manifests/{tag}"
        headers = {"Content-Type": manifest["mediaType"]}
        status, _, answer = self._request("PUT", path, body, headers)
        if status != http.client.CREATED:
            raise self._refusal(f"{name}:{tag}", status, answer)
        return digest_of(body)

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | IO[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        try:
            self._connection.request(method, path, body, headers or {})
            response = self._connection.getresponse()
            return response.status, response.headers, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            reason = str(error) or type(error).__name__
            raise SandboxError(self.address, reason, "python3 -m sandbox up") from error

    def _refusal(self, what: str, status: int, body: bytes) -> SandboxError:
        reason = f"the registry answers {status} for {what}: {body[:200].decode(errors='replace')}"
        return SandboxError(self.address, reason, "python3 -m sandbox logs registry")
