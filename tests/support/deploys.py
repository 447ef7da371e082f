"""What tests of deploys to a real cluster share: small objects, kubectl, and what was sent."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.support.shell import QUICK_S, run_kubectl

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.cluster.conftest import Playground
    from tests.support.faults import Faults, Seen

_OF_THE_CLUSTER = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
"""What Kubernetes puts into every namespace."""


def config_map(name: str, data: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    """Return a ConfigMap; *metadata* is added."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **metadata},
        "data": data or {"mode": "fast"},
    }


def secret(name: str, **values: str) -> dict[str, Any]:
    """Return a Secret with these texts."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": values,
    }


def service(name: str, **spec: Any) -> dict[str, Any]:
    """Return a Service that nothing is behind."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}], **spec},
    }


def claim(name: str) -> dict[str, Any]:
    """Return a PersistentVolumeClaim that is never bound, and need not be."""
    rule = {"codexctl/ready-when": "jsonpath={.status.phase}=Pending"}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "annotations": rule},
        "spec": {
            "storageClassName": "none-such",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }


def autoscaler(name: str, version: str = "v2") -> dict[str, Any]:
    """Return a HorizontalPodAutoscaler of the Deployment of the same name."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {
        "apiVersion": f"autoscaling/{version}",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9},
    }


def without_pods(workload: dict[str, Any], replicas: int = 0) -> dict[str, Any]:
    """Return a workload whose pods, if it has any, never run: there is no such node."""
    spec = workload["spec"]
    pod = {**spec["template"]["spec"], "nodeSelector": {"none-such": "true"}}
    template = {**spec["template"], "spec": pod}
    return {**workload, "spec": {"replicas": replicas, **spec, "template": template}}


def definition(group: str, kind: str = "Widget", scope: str = "Namespaced") -> dict[str, Any]:
    """Return a CustomResourceDefinition whose resources have the field ``spec.size``."""
    plural = f"{kind.lower()}s"
    spec = {"type": "object", "properties": {"size": {"type": "integer"}}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def kubectl(playground: Playground, *arguments: str, given: str = "", check: bool = True) -> str:
    """Run kubectl in the namespace of the playground; return what it printed."""
    place = ("--namespace", playground.namespace)
    return run_kubectl(playground.environment, *place, *arguments, given=given, check=check)


def applied_by_kubectl(playground: Playground, *flags: str) -> None:
    """Give the manifests of the playground to kubectl: ``apply``, and so on."""
    kubectl(playground, *flags, "--filename", str(playground.folder))


def patched(playground: Playground, kind: str, name: str, patch: Any, *flags: str) -> None:
    """Change an object by a merge patch, as ``kubectl edit`` would."""
    kubectl(playground, "patch", kind, name, "--type=merge", "--patch", json.dumps(patch), *flags)


def namespace_exists(playground: Playground) -> bool:
    """Tell whether the namespace of the playground is there."""
    field = f"metadata.name={playground.namespace}"
    return bool(playground.kubectl("get", "namespaces", "--field-selector", field)["items"])


def objects(playground: Playground, *kinds: str) -> set[str]:
    """Return kind and name of what is in the namespace, without what Kubernetes puts there."""
    found = playground.kubectl("get", ",".join(kinds or ("configmaps",)))["items"]
    return {f"{o['kind']}/{o['metadata']['name']}" for o in found} - _OF_THE_CLUSTER


def until(condition: Callable[[], object]) -> None:
    """Look until the cluster has done something."""
    deadline = time.monotonic() + QUICK_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def errors(result: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines of stderr that begin with ``error:``, without that."""
    lines = result.stderr.splitlines()
    return [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]


def line_of(playground: Playground, text: str, file: str = "all.yaml") -> str:
    """Return file and line of the first line that begins with a text, as errors name it."""
    lines = (playground.folder / file).read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if line.strip().startswith(text))
    return f"{file}:{number}: "


def requests(faults: Faults) -> list[Seen]:
    """Return what was asked of the server, without the lease, which is renewed as time goes by."""
    return [seen for seen in faults.requests.copy() if "/leases" not in seen.path]


def changes(faults: Faults) -> list[Seen]:
    """Return the requests that changed something, apart from the lease."""
    return [
        seen
        for seen in requests(faults)
        if seen.method != "GET"
        and "dryRun=All" not in seen.query
        and not seen.path.endswith("/selfsubjectrulesreviews")
    ]
