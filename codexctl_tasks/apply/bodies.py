"""What is sent of a manifest: small corrections that make applying it exact and repeatable."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.apply.placement import Placed

STACK_LABEL = "codexctl/stack"
"""On every object that a named stack applied; its value is `stack_label`."""

_SET_BY_THE_SERVER = frozenset(
    {
        "creationTimestamp",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)


def body_of(placed: Placed, label: str) -> dict[str, Any]:
    """
    Return the object to apply.

    The namespace is written into it, ``stringData`` of a Secret becomes ``data`` (the server never
    gives it back, so nobody could tell whether it changed), what only the server sets in the
    metadata, as exported and generated manifests have it, is left out.

    Args:
        placed: The manifest and where it belongs.
        label: Value of the stack's label; empty: none.
    """
    body = dict(placed.manifest.body)
    metadata = dict(body["metadata"])
    for key in _SET_BY_THE_SERVER & metadata.keys():
        del metadata[key]
    if placed.name.namespace:
        metadata["namespace"] = placed.name.namespace
    else:
        metadata.pop("namespace", None)
    if label and isinstance(metadata.get("labels") or {}, dict):
        metadata["labels"] = {**(metadata.get("labels") or {}), STACK_LABEL: label}
    body["metadata"] = metadata
    if (placed.name.api_version, placed.name.kind) == ("v1", "Secret"):
        return _with_encoded_data(body)
    return body


def _with_encoded_data(body: dict[str, Any]) -> dict[str, Any]:
    texts, data = body.get("stringData"), body.get("data") or {}
    if not isinstance(texts, dict) or not isinstance(data, dict):
        return body
    if not all(isinstance(text, str) for text in texts.values()):
        return body  # left to the server, which says best what is wrong with it
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    rest = {key: value for key, value in body.items() if key != "stringData"}
    return {**rest, "data": {**data, **encoded}}


def autoscaled(bodies: list[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
    """Return namespace, kind and name of what the HorizontalPodAutoscalers among *bodies* scale."""
    found = set()
    for body in bodies:
        spec = body.get("spec")
        target = spec.get("scaleTargetRef") if isinstance(spec, dict) else None
        if body.get("kind") == "HorizontalPodAutoscaler" and isinstance(target, dict):
            namespace = str(body["metadata"].get("namespace") or "")
            found.add((namespace, str(target.get("kind")), str(target.get("name"))))
    return found


def with_live_replicas(
    body: dict[str, Any], live: Mapping[str, Any] | None, *, owned: bool
) -> dict[str, Any]:
    """
    Leave the number of replicas to the autoscaler that targets the object.

    A new object begins with the number in its manifest. As long as only we own the field, what is
    live is repeated: leaving it out would set it to 1 (Kubernetes calls this giving up ownership).

    Args:
        body: Of a workload.
        live: The object as it is; None: it does not exist.
        owned: Whether the field is ours.
    """
    spec = body.get("spec")
    if live is None or not isinstance(spec, dict) or "replicas" not in spec:
        return body
    rest = {key: value for key, value in spec.items() if key != "replicas"}
    replicas = (live.get("spec") or {}).get("replicas")
    if owned and replicas is not None:
        rest = {**spec, "replicas": replicas}
    return {**body, "spec": rest}
