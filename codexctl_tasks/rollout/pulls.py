"""
What the kubelet says about an image, and how certain it is that it will stay so.

The texts are those of containerd, 1.6 and later. Unknown ones count as trouble that passes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from codexctl_tasks.rollout.symptoms import (
    GRACE_IMAGE_MISSING_S,
    GRACE_IMAGE_TROUBLE_S,
    GRACE_PERMANENT_S,
    Site,
    Symptom,
    Trouble,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_CERTAIN = {
    "InvalidImageName": ("invalid image name", "correct spec.containers[].image"),
    "ErrImageNeverPull": (
        "image is not on the node",
        "imagePullPolicy is Never: load the image into the node, or allow it to be pulled",
    ),
}
_PULLING = ("ErrImagePull", "ImagePullBackOff")
_NOT_FOUND = "image not found"
_DENIED = "access to the image denied"
_PERMANENT = (
    ("no match for platform", "image has no build for this node's architecture"),
    ("pull access denied", _DENIED),
    ("insufficient_scope", _DENIED),
    ("401 Unauthorized", _DENIED),
    ("403 Forbidden", _DENIED),
    ("404 Not Found", _NOT_FOUND),
    ("400 Bad Request", "the registry refuses the image name"),
    ("not found", _NOT_FOUND),
    ("manifest unknown", _NOT_FOUND),
)
_HINTS = {
    _NOT_FOUND: "the tag was not pushed, or the name is misspelt",
    _DENIED: "check imagePullSecrets and their rights on the registry",
    "image has no build for this node's architecture": "build the image for the node's platform",
}
_PASSING = (
    ("x509:", "the registry's certificate is not trusted by the nodes"),
    ("does not look like a TLS handshake", "the registry speaks HTTP, the nodes expect HTTPS"),
    ("429 Too Many Requests", "the registry limits the rate; pull through a mirror or log in"),
    ("pull QPS exceeded", "the kubelet limits its own rate of pulls; it goes on by itself"),
    ("connection refused", "nothing listens at the registry's address"),
    ("i/o timeout", "the nodes do not reach the registry: firewall, proxy or address"),
    ("lookup ", "the nodes cannot resolve the registry's name"),
)
_NOT_THE_REASON = re.compile(r'"[^"]*"|sha256:[0-9a-f]+|https?://\S+')
"""Names, digests and URLs may contain anything, "404" and "not found" too."""
_WITHOUT_REASON = re.compile(r'Back-off pulling image "[^"]*"\.?')
"""All that Kubernetes before 1.31 says between two pulls."""


def pull_symptom(
    status: Mapping[str, Any], reason: str, message: str, site: Site
) -> Symptom | None:
    """
    Return what is wrong with the image of a container; None if its trouble is another one.

    Args:
        status: The container's.
        reason: Why it waits.
        message: The same in Kubernetes' words.
        site: The container.
    """
    if reason in _CERTAIN:
        headline, hint = _CERTAIN[reason]
        return Symptom(
            trouble=Trouble.PULL,
            headline=headline,
            cause=f"container {status['name']}: {message} ({reason})",
            grace_s=GRACE_PERMANENT_S,
            hint=hint,
            site=site,
        )
    if reason not in _PULLING:
        return None
    image = str(status.get("image") or "\0")
    bare = _NOT_THE_REASON.sub("", message.replace(image, ""))
    permanent = next((headline for text, headline in _PERMANENT if text in bare), "")
    tail = permanent or last_words(message)
    return Symptom(
        trouble=Trouble.PULL,
        headline=permanent or "image cannot be pulled",
        cause=f"container {status['name']}: image {status.get('image')}: {tail} ({reason})",
        grace_s=GRACE_IMAGE_MISSING_S if permanent else GRACE_IMAGE_TROUBLE_S,
        hint=_HINTS.get(permanent, "") if permanent else _hint(bare),
        site=site,
        is_echo=_WITHOUT_REASON.fullmatch(message.strip()) is not None,
    )


def last_words(message: str) -> str:
    """Return the last, most specific parts of one of containerd's nested messages."""
    parts = " ".join(message.split()).split(": ")
    return ": ".join(parts[-3:])


def _hint(bare: str) -> str:
    found = next((hint for text, hint in _PASSING if text in bare), "")
    return found or "check that the nodes can reach the registry"
