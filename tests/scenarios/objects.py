"""Small manifests: workloads whose one container runs a shell script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.scenarios.model import Apply, Kubectl

if TYPE_CHECKING:
    from tests.scenarios.model import Object

BASE = "{registry}/base:1"
IDLE = "exec sleep 100000"
NEVER_READY = {"exec": {"command": ["sh", "-c", "echo no disk; exit 1"]}, "periodSeconds": 1}

SHARED = {"hostPath": {"path": "/run/{namespace}", "type": "DirectoryOrCreate"}}
"""A folder of the node that all pods of the scenario see."""


def container(script: str = IDLE, **more: Any) -> Object:
    """Return a container that runs a script; ``command=None`` runs what the image says."""
    described = {"name": "app", "image": BASE, "command": ["sh", "-c", script], **more}
    return {key: value for key, value in described.items() if value is not None}


def image(reference: str, **more: Any) -> Object:
    """Return a container that idles in another image."""
    return container(image=reference, **more)


def pod(*containers: Object, **more: Any) -> Object:
    """Return the spec of a pod that stops within a second."""
    return {"terminationGracePeriodSeconds": 1, "containers": list(containers), **more}


def mounted(volume: Object, script: str = IDLE, at: str = "/v", **more: Any) -> Object:
    """Return the spec of a pod with one volume, ``{"emptyDir": {}}`` for example."""
    described = container(script, volumeMounts=[{"name": "v", "mountPath": at}], **more)
    return pod(described, volumes=[{"name": "v", **volume}])


def deployment(template: Object, name: str = "web", **spec: Any) -> Object:
    """Return a Deployment of one pod."""
    return _workload("apps/v1", "Deployment", name, template, spec)


def stateful_set(template: Object, name: str = "db", **spec: Any) -> Object:
    """Return a StatefulSet of one pod."""
    return _workload("apps/v1", "StatefulSet", name, template, {"serviceName": name, **spec})


def daemon_set(template: Object, name: str = "agent", **spec: Any) -> Object:
    """Return a DaemonSet."""
    return _workload("apps/v1", "DaemonSet", name, template, spec)


def job(template: Object, name: str = "migrate", **spec: Any) -> Object:
    """Return a Job whose pods are not restarted."""
    pods = {"spec": {"restartPolicy": "Never", **template}}
    return described("batch/v1", "Job", name, spec={"template": pods, **spec})


def bare_pod(template: Object, name: str = "check") -> Object:
    """Return a pod that nobody replaces, and that is not restarted."""
    return described("v1", "Pod", name, spec={"restartPolicy": "Never", **template})


def claim(name: str = "data", storage_class: str = "no-such-class") -> Object:
    """Return a PersistentVolumeClaim."""
    size = {"requests": {"storage": "1Mi"}}
    spec = {"storageClassName": storage_class, "accessModes": ["ReadWriteOnce"], "resources": size}
    return described("v1", "PersistentVolumeClaim", name, spec=spec)


def storage_class(binding: str) -> Object:
    """Return a StorageClass that nobody makes volumes for, named like the namespace."""
    return described(
        "storage.k8s.io/v1",
        "StorageClass",
        "{namespace}",
        provisioner="example.com/nobody",
        volumeBindingMode=binding,
    )


def secret(**values: str) -> Object:
    """Return the Secret ``db``."""
    return described("v1", "Secret", "db", stringData=values)


def config_map(**values: str) -> Object:
    """Return the ConfigMap ``settings``."""
    return described("v1", "ConfigMap", "settings", data=values)


def definition(plural: str = "buckets", kind: str = "Bucket") -> Object:
    """Return a CustomResourceDefinition of a group that is named like the namespace."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    spec = {
        "group": "{namespace}.example.com",
        "scope": "Namespaced",
        "names": {"plural": plural, "singular": plural[:-1], "kind": kind},
        "versions": [version],
    }
    name = f"{plural}.{spec['group']}"
    return described("apiextensions.k8s.io/v1", "CustomResourceDefinition", name, spec=spec)


def described(api_version: str, kind: str, name: str, **more: Any) -> Object:
    """Return an object."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **more}


def applied(*objects: Object) -> Apply:
    """Return the action of applying objects."""
    return Apply(objects)


def kubectl(*arguments: str) -> Kubectl:
    """Return the action of running kubectl."""
    return Kubectl(arguments)


def awaited(what: str, condition: str) -> Kubectl:
    """Return the action of waiting for a condition: ``condition=Available``, ``create``."""
    return kubectl("wait", what, f"--for={condition}", "--timeout=120s")


def _workload(api_version: str, kind: str, name: str, template: Object, spec: Object) -> Object:
    labels = {"app": name}
    pods = {"metadata": {"labels": labels}, "spec": template}
    fixed = {"selector": {"matchLabels": labels}, "template": pods}
    return described(api_version, kind, name, spec={**fixed, **spec})
