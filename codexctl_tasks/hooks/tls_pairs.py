"""What a TLS Secret is worth, and what a copy of it looks like (pure)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from codexctl_tasks.hooks.certificates import Certificate, UnreadableError, read_pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PREFIX = "cert-manager.io/"
_ISSUER = tuple(f"{_PREFIX}issuer-{part}" for part in ("name", "kind", "group"))
"""A Certificate of a ClusterIssuer is issued again unless its Secret says that it comes from
there; the other annotations of cert-manager tie a Secret to one Certificate."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Holds the whole object, of a Secret its old private key."""
_RENEW_BEFORE = timedelta(hours=720)
_SHARE_OF_LIFE = 3
"""Short-lived certificates are renewed when a third of their life is left, as cert-manager does."""
_PUBLIC = ("tls.crt", "ca.crt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What a certificate must fulfil."""

    hosts: tuple[str, ...]
    """All of which it must cover; empty: not asked."""
    renew_before_s: float | None
    """What expires sooner is not reused; None: 720h, at most a third of its life."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """What is in a Secret at a moment."""

    secret: Mapping[str, Any] | None = field(repr=False)
    """None: there is none."""
    certificate: Certificate | None
    """None: there is none that could be used."""
    doubt: str
    """Why it is of no use, in few words; empty: it is."""
    is_fresh: bool
    """Whether it is of use, and will be for long enough to be handed on."""

    @property
    def is_usable(self) -> bool:
        """Whether it is of use now."""
        return not self.doubt

    @property
    def until(self) -> str:
        """The day on which it expires."""
        return f"{self.certificate.not_after:%Y-%m-%d}" if self.certificate else "never"

    @property
    def manager(self) -> str:
        """Whose Secret it is, so that nobody else should write it; empty: nobody's."""
        metadata = (self.secret or {}).get("metadata") or {}
        if name := (metadata.get("annotations") or {}).get(f"{_PREFIX}certificate-name"):
            return f"Certificate {name}"
        owners = metadata.get("ownerReferences") or ()
        return next((f"{o.get('kind')} {o.get('name')}" for o in owners if o.get("controller")), "")

    def is_newer_than(self, other: Holding) -> bool:
        """Tell whether it is of use, and the other one is not or expires sooner."""
        if not self.is_usable or self.certificate is None:
            return False
        if not other.is_usable or other.certificate is None:
            return True
        ours, theirs = self.certificate, other.certificate
        return (ours.not_after, ours.not_before) > (theirs.not_after, theirs.not_before)


def judge(secret: Mapping[str, Any] | None, demand: Demand, now: datetime) -> Holding:
    """Say what a Secret is worth at the moment *now*."""
    certificate: Certificate | None = None
    if secret is None:
        doubt = "not there"
    else:
        try:
            pair = _bytes(secret, "tls.crt"), _bytes(secret, "tls.key")
            certificate = read_pair(*pair)
            doubt = certificate.doubt(demand.hosts, now)
        except UnreadableError as error:
            doubt = str(error)
    is_fresh = certificate is not None and not doubt and _lasts(certificate, demand, now)
    return Holding(secret=secret, certificate=certificate, doubt=doubt, is_fresh=is_fresh)


def copy_of(
    secret: Mapping[str, Any], namespace: str, over: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """
    Return the Secret to write in *namespace*: type, data, name, and which issuer it is from.

    Args:
        secret: What is copied.
        namespace: Where to.
        over: The Secret that is replaced, whose labels and owners stay; None: there is none.
    """
    metadata: dict[str, Any] = {"name": secret["metadata"]["name"], "namespace": namespace}
    known = dict(over["metadata"]) if over else {}
    given = secret["metadata"].get("annotations") or {}
    annotations = {
        **{k: v for k, v in (known.get("annotations") or {}).items() if _stays(k)},
        **{k: given[k] for k in _ISSUER if k in given},
    }
    kept = ("uid", "resourceVersion", "labels", "ownerReferences", "finalizers")
    metadata |= {key: known[key] for key in kept if key in known}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": secret.get("type", "Opaque"),
        "metadata": metadata,
        "data": dict(secret.get("data") or {}),
    }


def private_values(secret: Mapping[str, Any]) -> Iterator[str]:
    """Yield what must never be seen of a Secret, as it is stored and as it is meant."""
    for key, value in (secret.get("data") or {}).items():
        if key not in _PUBLIC:
            yield value
            yield _bytes(secret, key).decode(errors="replace")


def hosts_of_secrets(
    ingresses: Sequence[Mapping[str, Any]],
) -> Mapping[str, tuple[str, ...]]:
    """Return the hosts of every Secret that Ingresses name under ``spec.tls``."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in (entry for each in ingresses for entry in _entries(each)):
        match entry:
            case {"secretName": str(name), "hosts": list(hosts)}:
                more = tuple(host for host in hosts if isinstance(host, str))
            case {"secretName": str(name)}:
                more = ()
            case _:
                continue
        found[name] = tuple(dict.fromkeys((*found.get(name, ()), *more)))
    return found


def _entries(ingress: Mapping[str, Any]) -> Sequence[Any]:
    match ingress:
        case {"spec": {"tls": list(entries)}}:
            return entries
    return ()


def _lasts(certificate: Certificate, demand: Demand, now: datetime) -> bool:
    life = certificate.not_after - certificate.not_before
    before = min(_RENEW_BEFORE, life / _SHARE_OF_LIFE)
    if demand.renew_before_s is not None:
        before = timedelta(seconds=demand.renew_before_s)
    return certificate.not_after - now > before


def _bytes(secret: Mapping[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode((secret.get("data") or {}).get(key) or "", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _stays(annotation: str) -> bool:
    """Tell whether an annotation of a replaced Secret says nothing about its old data."""
    return annotation != _LAST_APPLIED and not annotation.startswith(_PREFIX)
