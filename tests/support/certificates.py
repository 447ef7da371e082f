"""Real certificates for tests: authorities, servers, and everything that can be wrong with them."""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

PEM = serialization.Encoding.PEM
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)

    def secret(self, name: str, **metadata: Any) -> dict[str, Any]:
        """Return them as a Secret."""
        return tls_secret(name, self.certificate, self.key, **metadata)

    def write(self, folder: Path) -> Path:
        """Write both into one file, as servers read them."""
        path = folder / "server.pem"
        path.write_bytes(self.certificate + self.key)
        return path


def tls_secret(name: str, certificate: bytes, key: bytes, **metadata: Any) -> dict[str, Any]:
    """Return a Secret of these bytes, whatever they are."""
    data = {"tls.crt": certificate, "tls.key": key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, **metadata},
        "data": {k: base64.b64encode(v).decode() for k, v in data.items()},
    }


class Authority:
    """Signs certificates; made by itself or by *parent*."""

    def __init__(self, name: str = "Test CA", parent: Authority | None = None) -> None:
        self.name, self._parent = name, parent
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._now = datetime.now(UTC).replace(microsecond=0)

    @cached_property
    def certificate(self) -> bytes:
        """PEM."""
        signer = self._parent or self
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = _builder(_name(self.name), _name(signer.name), self._key)
        builder = builder.not_valid_before(self._now - timedelta(days=3650))
        builder = builder.not_valid_after(self._now + timedelta(days=3650))
        builder = builder.add_extension(constraints, critical=True)
        return builder.sign(signer._key, hashes.SHA256()).public_bytes(PEM)  # noqa: SLF001

    def issue(
        self,
        *hosts: str,
        name: str = "",
        begins: timedelta = timedelta(days=-1),
        ends: timedelta = timedelta(days=89),
        key: Key | None = None,
        self_signed: bool = False,
    ) -> Issued:
        """
        Return a certificate for hosts and addresses.

        Args:
            hosts: Its subject alternative names; none: it has none.
            name: Its common name.
            begins: From now.
            ends: From now.
            key: None: a new one.
            self_signed: Whether its own key signs it.
        """
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = _name(name or (hosts[0] if hosts else "nobody"))
        builder = _builder(subject, subject if self_signed else _name(self.name), key)
        builder = builder.not_valid_before(self._now + begins)
        builder = builder.not_valid_after(self._now + ends)
        if hosts:
            names = x509.SubjectAlternativeName([_general(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        signer: Key = key if self_signed else self._key
        algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        signed = builder.sign(signer, algorithm).public_bytes(PEM)
        chain = self.certificate if self._parent else b""
        return Issued(signed + chain, private_pem(key))


def private_pem(key: Key, password: bytes = b"") -> bytes:
    """Return a key as PEM; encrypted if there is a password."""
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption)


def _builder(subject: x509.Name, issuer: x509.Name, key: Key) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    return builder.public_key(key.public_key()).serial_number(x509.random_serial_number())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
