"""X.509: which hosts a certificate is for, how long it is valid, which key belongs to it (pure)."""

from __future__ import annotations

import ipaddress
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

_TEMPORARY_ISSUER = "cert-manager.local"
"""Signs what cert-manager puts into a Secret until the real certificate is there."""
_DEFAULTS = ("Kubernetes Ingress Controller Fake Certificate", "TRAEFIK DEFAULT CERT")
"""What ingress-nginx and Traefik show for hosts that they have no certificate of."""
_LONGEST = 100
"""Characters of a name that are shown."""
_WILDCARD_LABELS = 3
"""``*.com`` would be for half of the world: no client takes it."""


class UnreadableError(ValueError):
    """Something is no certificate or no private key; says in few words why, never quoting it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """What is asked of a certificate; of a chain, the first one."""

    hosts: tuple[str, ...]
    """Its DNS names, in lower case; the common name is none of them, as for all clients."""
    addresses: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]
    not_before: datetime
    not_after: datetime
    subject: str
    """Its common name, for people; empty: it has none."""
    issuer: str
    """The common name of who signed it."""
    is_self_signed: bool
    public_key: bytes = field(repr=False)
    """DER."""

    @property
    def is_temporary(self) -> bool:
        """Whether cert-manager made it to bridge the time until the real one is there."""
        return self.issuer == _TEMPORARY_ISSUER

    @property
    def is_default(self) -> bool:
        """Whether an ingress controller made it for hosts without a certificate."""
        return self.subject in _DEFAULTS

    def covers(self, host: str) -> bool:
        """Tell whether it is for *host*: a DNS name, with or without a wildcard, or an address."""
        try:
            return ipaddress.ip_address(host) in self.addresses
        except ValueError:
            wanted = _ascii(host)
        return any(name == wanted or _matches(name, wanted) for name in self.hosts)

    def doubt(self, hosts: Iterable[str], now: datetime) -> str:
        """Say in few words why it is of no use for *hosts*; empty: it is good."""
        if self.is_temporary:
            return "only cert-manager's temporary certificate"
        if now >= self.not_after:
            return f"expired on {_day(self.not_after)}"
        if now < self.not_before:
            return f"not valid before {self.not_before:%Y-%m-%d %H:%M:%S} UTC"
        missing = [host for host in hosts if not self.covers(host)]
        if missing:
            return f"not for {', '.join(missing)} but for {self.names}"
        return ""

    @property
    def names(self) -> str:
        """Whom it is for, in few words."""
        names = [*self.hosts, *map(str, self.addresses)]
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""  # noqa: PLR2004
        return _short(", ".join(names[:2])) + more or "no host"


def read_certificate(pem: bytes) -> Certificate:
    """
    Return the first certificate of a chain, all of which must be readable.

    Raises:
        UnreadableError: It is not.
    """
    if not pem.strip():
        raise UnreadableError("without certificate")
    with _readable("its certificate is unreadable"):
        chain = x509.load_pem_x509_certificates(pem)
        if len(chain) != pem.count(b"-----BEGIN CERTIFICATE"):  # one that was cut off is left out
            raise ValueError
        return _certificate(chain[0])


def read_der(der: bytes) -> Certificate:
    """
    Return a certificate as servers show it.

    Raises:
        UnreadableError: It is none.
    """
    with _readable("its certificate is unreadable"):
        return _certificate(x509.load_der_x509_certificate(der))


def read_pair(certificate: bytes, key: bytes) -> Certificate:
    """
    Return the certificate that *key* belongs to; both are PEM.

    Raises:
        UnreadableError: One of them is unreadable, or they are not a pair.
    """
    found = read_certificate(certificate)
    if not key.strip():
        raise UnreadableError("without private key")
    if b"ENCRYPTED" in key:
        raise UnreadableError("its private key is encrypted")
    with _readable("its private key is unreadable"):
        public = load_pem_private_key(key, None).public_key()
        own = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if own != found.public_key:
        raise UnreadableError("its private key belongs to another certificate")
    return found


@contextmanager
def _readable(otherwise: str) -> Iterator[None]:
    """Name in our own words what cannot be read: the library's might quote it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd serial numbers and the like are others' business
            yield
    except (
        *(ValueError, TypeError, UnsupportedAlgorithm),
        *(x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion),
    ) as error:
        raise UnreadableError(otherwise) from error


def _certificate(found: x509.Certificate) -> Certificate:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = names.get_values_for_type(x509.DNSName)
        addresses = names.get_values_for_type(x509.IPAddress)
    except x509.ExtensionNotFound:
        hosts, addresses = [], []
    return Certificate(
        hosts=tuple(host.lower().rstrip(".") for host in hosts),
        addresses=tuple(
            each
            for each in addresses
            if isinstance(each, ipaddress.IPv4Address | ipaddress.IPv6Address)
        ),
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        subject=_common_name(found.subject),
        issuer=_common_name(found.issuer),
        is_self_signed=found.subject == found.issuer,
        public_key=found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return _short(str(found[0].value)) if found else ""


def _short(text: str) -> str:
    """Return what strangers have written as a piece of one line."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:_LONGEST]


def _matches(name: str, host: str) -> bool:
    """Tell whether a wildcard is for a host: ``*`` stands for exactly one whole label."""
    star, _, parent = name.partition(".")
    label, _, rest = host.partition(".")
    is_wildcard = star == "*" and name.count(".") + 1 >= _WILDCARD_LABELS
    return is_wildcard and rest == parent and label not in ("", "*")


def _ascii(host: str) -> str:
    """Return a host name as certificates write it."""
    host = host.strip().lower().rstrip(".")
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
