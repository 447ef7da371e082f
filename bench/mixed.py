"""
A stack of mixed objects, any number of them and always the same ones, as plain YAML and as a chart.

The templates of the chart are plain YAML files without any template, so one folder serves helm and
the programs that take manifests. No Deployment has a pod: what is measured is the apply.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

LABELS = {"app.kubernetes.io/part-of": "bench"}
SELECTOR = "app.kubernetes.io/part-of=bench"
KINDS = (
    "apps/v1/Deployment",
    "autoscaling/v2/HorizontalPodAutoscaler",
    "core/v1/ConfigMap",
    "core/v1/Secret",
    "core/v1/Service",
    "core/v1/ServiceAccount",
    "networking.k8s.io/v1/Ingress",
    "rbac.authorization.k8s.io/v1/Role",
    "rbac.authorization.k8s.io/v1/RoleBinding",
)
_BLOCK = (
    *("ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Secret", "Deployment", "Service"),
    *("Ingress", "HorizontalPodAutoscaler", "ConfigMap", "Secret", "Deployment", "Service"),
    *("Ingress", "ConfigMap", "Secret", "Deployment", "Service", "ConfigMap", "ServiceAccount"),
)
"""Kinds of 20 objects that belong together; they are written into one file."""
_CHART = "apiVersion: v2\nname: bench\nversion: 1.0.0\n"


@dataclass(frozen=True)
class Stack:
    """The folder of a chart, its templates, and what must be in the cluster once it is applied."""

    chart: Path
    manifests: Path
    objects: int
    changed: str
    """Name of the ConfigMap that differs between `new` and `changed`."""
    level: str
    """What that ConfigMap says."""


def write_stacks(folder: Path, objects: int) -> dict[str, Stack]:
    """Write the stack that each step applies; return them by step."""
    every = [_describe(number) for number in range(objects)]
    fewer = every[: objects - objects // 10]
    target = next(
        number for number in range(objects // 2, objects) if every[number]["kind"] == "ConfigMap"
    )
    name = every[target]["metadata"]["name"]
    new = _write(folder / "new", every, name, "info")
    every[target]["data"]["LEVEL"] = "debug"  # in `fewer` too
    return {
        "new": new,
        "unchanged": new,
        "changed": _write(folder / "changed", every, name, "debug"),
        "removed": _write(folder / "removed", fewer, name, "debug"),
    }


def _write(chart: Path, objects: list[dict[str, Any]], changed: str, level: str) -> Stack:
    manifests = chart / "templates"
    manifests.mkdir(parents=True)
    (chart / "Chart.yaml").write_text(_CHART, encoding="utf-8")
    for first in range(0, len(objects), len(_BLOCK)):
        block = objects[first : first + len(_BLOCK)]
        text = yaml.dump_all(block, Dumper=yaml.CSafeDumper, sort_keys=False)
        (manifests / f"block-{first:05}.yaml").write_text(text, encoding="utf-8")
    return Stack(chart, manifests, len(objects), changed, level)


def _describe(number: int) -> dict[str, Any]:
    """Return object *number*; all objects of one block know each other."""
    block, position = divmod(number, len(_BLOCK))
    kind = _BLOCK[position]
    group = next(each for each in KINDS if each.endswith(f"/{kind}")).removeprefix("core/")
    return {
        "apiVersion": group.removesuffix(f"/{kind}"),
        "kind": kind,
        "metadata": {"name": f"app-{number:05}", "labels": {**LABELS, "app": f"block-{block}"}},
        **_content(kind, number, block * len(_BLOCK)),
    }


def _content(kind: str, number: int, first: int) -> dict[str, Any]:
    """Return all of an object but its head; *first* is the number its block begins with."""

    def other(wanted: str) -> str:
        return f"app-{first + _BLOCK.index(wanted):05}"

    app = {"app": f"app-{number}"}
    settings = f'{{"timeout": 30, "retries": 3, "name": "app-{number}"}}'
    password = base64.b64encode(f"password of {number}".encode()).decode()
    port = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}
    subject = {"kind": "ServiceAccount", "name": other("ServiceAccount"), "namespace": "bench"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": other("Role")}
    backend = {"service": {"name": other("Service"), "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": other("Deployment")}
    contents: dict[str, dict[str, Any]] = {
        "ServiceAccount": {},
        "Role": {"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]},
        "RoleBinding": {"roleRef": role, "subjects": [subject]},
        "ConfigMap": {"data": {"LEVEL": "info", "HOST": "example.com", "settings.json": settings}},
        "Secret": {"type": "Opaque", "data": {"PASSWORD": password}},
        "Deployment": {"spec": _deployment(app, other("ConfigMap"), other("ServiceAccount"))},
        "Service": {"spec": {"selector": app, "ports": [port]}},
        "Ingress": {
            "spec": {"rules": [{"host": f"app-{number}.example.com", "http": {"paths": [path]}}]}
        },
        "HorizontalPodAutoscaler": {
            "spec": {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": target}
        },
    }
    return contents[kind]


def _deployment(app: dict[str, str], settings: str, account: str) -> dict[str, Any]:
    container = {
        "name": "app",
        "image": "registry.example.com/app:1.2.3",
        "env": [{"name": "LEVEL", "value": "info"}, {"name": "HOST", "value": "example.com"}],
        "envFrom": [{"configMapRef": {"name": settings}}],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
    }
    pod = {"serviceAccountName": account, "containers": [container]}
    template = {"metadata": {"labels": {**app}}, "spec": pod}
    return {"replicas": 0, "selector": {"matchLabels": app}, "template": template}
