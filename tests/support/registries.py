"""Debian's docker-registry on loopback: open, with passwords, with tokens, read-only, with TLS."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sandbox import prerequisites
from tests.support.certificates import Authority
from tests.support.listeners import free_port
from tests.support.shell import QUICK_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

USER, PASSWORD = "ci", "hunter2-pass"
IDENTITY_TOKEN = "hunter2-identity"
_HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuupZyqSFCdzZnE7q5IyXKISfuyKPPdAt.\n"
"""bcrypt, as htpasswd writes it, at the least cost."""
_ISSUER, _SERVICE = "tests", "registry"


def require(*packages: str) -> None:
    """Install programs that have the names of their packages, or skip."""
    missing = [package for package in packages if shutil.which(package) is None]
    if missing and os.geteuid() != 0:
        pytest.skip(f"missing packages: {' '.join(missing)}; only root can install them")
    if missing:
        prerequisites.install(*missing)


@dataclass(frozen=True)
class Running:
    """A registry that runs."""

    host: str
    folder: Path
    """Where it keeps what it holds."""


@contextmanager
def registry(
    folder: Path,
    *,
    passwords: bool = False,
    tokens: TokenServer | None = None,
    readonly: bool = False,
    deletes: bool = True,
    tls: Path | None = None,
    says: str = "",
) -> Iterator[Running]:
    """
    Run a registry.

    Args:
        folder: Where it keeps what it holds, and its configuration.
        passwords: It wants `USER` and `PASSWORD`.
        tokens: It wants tokens of this server.
        readonly: It takes nothing.
        deletes: It lets images be deleted, which it does not without being told to.
        tls: A file with key and certificate.
        says: The scheme that it believes to have, as behind a proxy.
    """
    require("docker-registry")
    folder.mkdir(exist_ok=True)
    host = f"127.0.0.1:{free_port()}"
    settings: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "data")},
            "delete": {"enabled": deletes},
            "maintenance": {"readonly": {"enabled": readonly}},
        },
        "http": {"addr": host},
        "validation": {"manifests": {"urls": {"allow": ["^https://example.com/"]}}},
    }
    if passwords:
        (folder / "htpasswd").write_text(_HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    if tokens is not None:
        settings["auth"] = {"token": tokens.settings(folder)}
    if tls is not None:
        settings["http"]["tls"] = {"certificate": str(tls), "key": str(tls)}
    if says:
        settings["http"]["host"] = f"{says}://{host}"
    config = folder / "config.yml"
    config.write_text(yaml.safe_dump(settings))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", config], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait_for(host, server)
            yield Running(host, folder / "data")
        finally:
            server.kill()
            server.wait(QUICK_S)


def _wait_for(host: str, server: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + QUICK_S
    while time.monotonic() < end_s:
        assert server.poll() is None, "the registry did not start"
        connection = http.client.HTTPConnection(host, timeout=5)
        try:
            connection.request("GET", "/v2/")
            connection.getresponse().read()
        except ConnectionRefusedError:
            time.sleep(0.02)
        except (OSError, http.client.HTTPException):
            return  # it speaks TLS
        else:
            return
        finally:
            connection.close()
    pytest.fail("the registry does not listen")


@dataclass
class TokenServer:
    """Gives out tokens that docker-registry accepts; to `USER`, and to nobody for reading."""

    address: str = ""
    life_s: int = 300
    """Of the tokens, as it says; docker-registry believes what is in them."""
    real_life_s: int = 300
    """Of the tokens, as is in them; docker-registry allows a minute more."""
    allows_anybody: bool = False
    asked: list[list[str]] = field(default_factory=list)
    """The scopes of each request, sorted."""
    given: list[str] = field(default_factory=list)
    refuses: int = 0
    """A status for every request; 0: none."""
    _key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def settings(self, folder: Path) -> dict[str, Any]:
        """Return what the registry must know; its certificate goes to a file."""
        issued = Authority().issue("tokens.example", key=self._key, self_signed=True)
        bundle = folder / "tokens.pem"
        bundle.write_bytes(issued.certificate)
        return {
            "realm": f"{self.address}/token",
            "service": _SERVICE,
            "issuer": _ISSUER,
            "rootcertbundle": str(bundle),
        }

    def answer(self, user: str, scopes: list[str]) -> tuple[int, dict[str, Any]]:
        """Return status and body for somebody who wants scopes."""
        self.asked.append(sorted(scopes))
        if self.refuses:
            return self.refuses, {"errors": [{"code": "TOOMANYREQUESTS", "message": "slowly"}]}
        if not user and not self.allows_anybody:
            return 401, {"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            allowed = [each for each in actions.split(",") if user or each == "pull"]
            access.append({"type": kind, "name": name, "actions": allowed})
        token = self._sign(user, access)
        self.given.append(token)
        return 200, {"token": token, "expires_in": self.life_s}

    def _sign(self, user: str, access: list[dict[str, Any]]) -> str:
        now = int(time.time())
        head = {"typ": "JWT", "alg": "ES256", "kid": self._key_id()}
        claims = {
            "iss": _ISSUER,
            "sub": user,
            "aud": _SERVICE,
            "jti": uuid.uuid4().hex,
            "exp": now + self.real_life_s,
            "nbf": now - 900,
            "iat": now,
            "access": access,
        }
        signed = f"{_plain(json.dumps(head).encode())}.{_plain(json.dumps(claims).encode())}"
        pair = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = b"".join(number.to_bytes(32, "big") for number in pair)
        return f"{signed}.{_plain(signature)}"

    def _key_id(self) -> str:
        """Return libtrust's name of a key: a hash of it in groups of four letters."""
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        name = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
        return ":".join(name[at : at + 4] for at in range(0, len(name), 4))


def _plain(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@contextmanager
def token_server(**more: Any) -> Iterator[TokenServer]:
    """Run a server of tokens."""
    web = ThreadingHTTPServer(("127.0.0.1", 0), _TokenHandler)
    web.daemon_threads = True
    server = TokenServer(f"http://127.0.0.1:{web.server_port}", **more)
    web.tokens = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        web.shutdown()
        web.server_close()
        thread.join(5)


class _TokenHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer somebody who has a name and a password, or neither."""
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        said = self.headers.get("Authorization") or ""
        if said not in ("", f"Basic {wanted}"):
            self._send(401, {"errors": [{"code": "UNAUTHORIZED", "message": f"not {said}"}]})
            return
        scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
        self._answer(USER if said else "", scopes)

    def do_POST(self) -> None:
        """Answer somebody who has an identity token."""
        data = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = parse_qs(data)
        if form.get("refresh_token") != [IDENTITY_TOKEN]:
            self._send(401, {"error": f"unknown: {data}"})
            return
        self._answer(USER, [each for text in form.get("scope", []) for each in text.split()])

    def _answer(self, user: str, scopes: list[str]) -> None:
        tokens: TokenServer = self.server.tokens  # type: ignore[attr-defined]
        self._send(*tokens.answer(user, scopes))

    def _send(self, status: int, body: Mapping[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""
