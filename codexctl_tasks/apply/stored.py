"""
What the API server stores in place of a written value, for built-in kinds.

Only their types are known here. A custom resource may use the same names for other things, so
nothing below holds for it, except for its ``metadata``. The tables come from the Go types and the
OpenAPI schemas of Kubernetes 1.34 (``k8s.io/api``); what is not in them is simply sent.
"""

from __future__ import annotations

from typing import Any

from codexctl_tasks.apply.quantities import is_same_amount

Place = tuple[str, str]
"""Name of the field around a value and its own; an item of a list has the name of the list."""

BUILTIN_GROUPS = frozenset(
    {
        *("", "admissionregistration.k8s.io", "apps", "autoscaling", "batch", "policy"),
        *("coordination.k8s.io", "discovery.k8s.io", "networking.k8s.io", "node.k8s.io"),
        *("rbac.authorization.k8s.io", "scheduling.k8s.io", "storage.k8s.io"),
    }
)
"""API groups that the tables hold for; no group that has only custom resources is among them."""

ATOMIC_MAPS = frozenset(
    {
        *("configMapKeyRef", "dataSource", "fieldRef", "resourceFieldRef", "roleRef"),
        *("secretKeyRef", "port", "targetRef", "preference", "required"),
        *("selector", "labelSelector", "namespaceSelector", "objectSelector", "podSelector"),
        *("nodeSelector", "scopeSelector"),
        *("requiredDuringSchedulingIgnoredDuringExecution", "matchConstraints", "matchResources"),
        *("paramKind", "paramRef", "nodePublishSecretRef", "nodeStageSecretRef", "nodeTopology"),
        *("controllerExpandSecretRef", "controllerPublishSecretRef", "nodeExpandSecretRef"),
    }
)
"""Maps that have one owner as a whole, wherever a built-in kind has a map of that name."""

_MERGED_ENTRIES = frozenset(
    {
        *("labels", "annotations", "data", "binaryData"),
        *("limits", "requests", "hard", "capacity"),
    }
)
_ENTRIES = _MERGED_ENTRIES | {
    *("nodeSelector", "matchLabels", "selector", "deprecatedTopology", "parameters"),
}
"""Maps whose keys are free: a name in them is no field."""

MERGED_MAPS = _MERGED_ENTRIES | {"spec", "strategy", "updateStrategy"}
"""Maps that are merged, wherever a built-in kind has a map of that name."""

MERGED_LISTS = frozenset(
    {
        *(("metadata", "finalizers"), ("metadata", "ownerReferences")),
        *(("spec", name) for name in ("volumes", "initContainers", "hostAliases")),
        *(("spec", name) for name in ("imagePullSecrets", "topologySpreadConstraints")),
        *(
            (containers, name)
            for containers in ("containers", "initContainers")
            for name in ("env", "ports", "volumeMounts", "volumeDevices")
        ),
    }
)
"""Lists that are merged by keys or as sets. An empty one owns nothing and is not stored."""

_TEXTS = (
    *("externalName", "host", "hostIP", "loadBalancerIP", "medium", "messageExpression", "prefix"),
    *("priorityClassName", "serviceAccountName", "subPath", "subPathExpr", "subdomain"),
    "workingDir",
)
_BOOLEANS = (
    *("globalDefault", "hostIPC", "hostNetwork", "hostPID", "paused", "publishNotReadyAddresses"),
    *("stdin", "stdinOnce", "tty"),
)
_NUMBERS = ("hostPort", "initialDelaySeconds", "minReadySeconds", "nodePort")
_LISTS = (
    *("add", "args", "command", "drop", "envFrom", "imagePullSecrets", "resourceNames"),
    *("subjects", "tolerations"),
)
_DROPPED: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, ""),
    **dict.fromkeys(_BOOLEANS, False),
    **dict.fromkeys(_NUMBERS, 0),
    **{name: [] for name in _LISTS},
    **{name: {} for name in (*_MERGED_ENTRIES, "nodeSelector")},
}
"""Zero values that are not stored: they are marked ``omitempty`` and are pointers in no Go type.
Not the empty maps and lists of NetworkPolicies, webhooks and StorageClasses: the server tells empty
from absent there, and counts every such apply as a new generation or refuses it."""
_DROPPED_AT: dict[Place, Any] = {
    ("", "description"): "",
    ("env", "value"): "",
    ("httpGet", "path"): "",
    ("paths", "path"): "",
    ("subjects", "apiGroup"): "",
    ("subjects", "namespace"): "",
    ("tls", "secretName"): "",
    ("volumeMounts", "readOnly"): False,
    **{("tolerations", name): "" for name in ("key", "operator", "value", "effect")},
}

_AMOUNT_MAPS = frozenset(
    {
        *("limits", "requests", "hard", "capacity", "overhead", "podFixed"),
        *("min", "max", "default", "defaultRequest", "maxLimitRequestRatio"),
    }
)
_AMOUNTS = frozenset(
    {
        *(("emptyDir", "sizeLimit"), ("resourceFieldRef", "divisor")),
        *(("target", "averageValue"), ("target", "value")),
    }
)

_DEFAULTS: dict[tuple[str, str], Any] = {
    ("fieldRef", "apiVersion"): "v1",
    ("onPodConditions", "status"): "True",
    ("ports", "protocol"): "TCP",
    ("resourceFieldRef", "divisor"): "0",
    ("serviceAccountToken", "expirationSeconds"): 3600,
    ("roleRef", "apiGroup"): "rbac.authorization.k8s.io",
    ("subjects", "apiGroup"): "rbac.authorization.k8s.io",
    ("spec", "volumeMode"): "Filesystem",
    ("volumeClaimTemplates", "apiVersion"): "v1",
    ("volumeClaimTemplates", "kind"): "PersistentVolumeClaim",
    ("volumeClaimTemplates", "status"): {"phase": "Pending"},
    **{(rules, "scope"): "*" for rules in ("rules", "resourceRules", "excludeResourceRules")},
    **{
        (match, name): value
        for match in ("matchConstraints", "matchResources")
        for name, value in (
            ("matchPolicy", "Equivalent"),
            ("namespaceSelector", {}),
            ("objectSelector", {}),
        )
    },
}
"""What the server adds inside a value that has one owner as a whole. It would add it again."""
_UNSET_TIME = ("metadata", "creationTimestamp")
"""Of templates: generated manifests have it as null, and servers before 1.34 show it as null."""


def is_same(want: Any, live: Any) -> bool:
    """Compare two values as JSON: Python takes True for 1 and 1 for 1.0. Null equals nothing."""
    if isinstance(want, dict):
        return (
            isinstance(live, dict)
            and len(want) == len(live)
            and all(name in live and is_same(value, live[name]) for name, value in want.items())
        )
    if isinstance(want, list):
        return isinstance(live, list) and len(want) == len(live) and all(map(is_same, want, live))
    return want is not None and type(want) is type(live) and bool(want == live)


def is_stored_as(want: Any, live: Any, place: Place) -> bool:
    """
    Tell whether the server stores *want*, a whole value of a built-in kind, as *live*.

    Args:
        want: What is written.
        live: What is stored; None if nothing is.
        place: Where.
    """
    parent, name = place
    if live is None:
        return _is_dropped(want, place)
    if isinstance(want, dict) and isinstance(live, dict):
        if name == "limits" and want.get("type") == "Container":
            want = _completed_limit(want)
        return all(
            is_stored_as(value, live.get(key), (name, key)) for key, value in want.items()
        ) and all(key in want or _is_default(value, (name, key)) for key, value in live.items())
    if isinstance(want, list) and isinstance(live, list):
        return len(want) == len(live) and all(
            is_stored_as(one, other, place) for one, other in zip(want, live, strict=True)
        )
    if is_same(want, live):
        return True
    is_amount = parent in _AMOUNT_MAPS or place in _AMOUNTS
    return is_amount and isinstance(live, str) and is_same_amount(want, live)


def leaves_no_trace(want: Any, place: Place) -> bool:
    """Tell whether applying *want* owns nothing and stores nothing: an empty merged list."""
    return want == [] and place in MERGED_LISTS


def is_hollow(want: Any, live: Any) -> bool:
    """Tell whether *want* is an empty map, or one of nothing but empty maps that are in *live*."""
    return (
        isinstance(want, dict)
        and isinstance(live, dict)
        and all(name in live and is_hollow(part, live[name]) for name, part in want.items())
    )


def _is_default(live: Any, place: Place) -> bool:
    if live is None:
        return place == _UNSET_TIME
    return place in _DEFAULTS and is_same(_DEFAULTS[place], live)


def _is_dropped(want: Any, place: Place) -> bool:
    """Tell whether the server does not store *want*, a zero value of the field's own type."""
    parent, name = place
    if want is None:
        return place == _UNSET_TIME
    zero = _DROPPED_AT.get(place, _DROPPED.get(name))
    return parent not in _ENTRIES and is_same(zero, want)


def _completed_limit(item: dict[str, Any]) -> dict[str, Any]:
    """Add what the server derives in an item of a LimitRange (``SetDefaults_LimitRangeItem``)."""
    default = {**item.get("max", {}), **item.get("default", {})}
    requests = {**item.get("min", {}), **default, **item.get("defaultRequest", {})}
    derived = {"default": default, "defaultRequest": requests}
    return {**item, **{name: amounts for name, amounts in derived.items() if amounts}}
