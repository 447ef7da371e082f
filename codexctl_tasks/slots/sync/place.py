"""Where a workspace is: a claim, and a container in which it can be reached (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.slots.sync.scripts import STATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MADE_BY = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"
MOUNT = PurePosixPath("/workspace")
CONTAINER = "sync"
_LIFE_S = 3600
"""A pod of ours ends after that in any case."""
_LOOK_S, _IDLE_LOOKS = 30, 20
"""It ends when it was looked at so often without finding a command in it: its sync was killed."""
# /proc has this shell alone, as its own sleep is over when it looks.
_ASLEEP = """\
trap 'exit 0' TERM
is_used() { set -- /proc/[0-9]*; [ $# -gt 1 ]; }
idle=0
while [ "$idle" -lt "$2" ]; do
  sleep "$1" & wait $!
  if is_used; then idle=0; else idle=$((idle + 1)); fi
done
"""
_KEPT_OF_POD = ("securityContext", "imagePullSecrets", "nodeSelector", "tolerations", "affinity")
_KEPT_OF_CONTAINER = ("securityContext", "imagePullPolicy")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A container that sees the whole volume, and the folder on it."""

    namespace: str
    pod: str
    container: str
    volume: PurePosixPath
    """Where it is mounted."""
    path: PurePosixPath
    """Of the folder, below that; ``.``: the volume itself."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}:{self.folder}"

    @property
    def folder(self) -> str:
        """Its path in the container."""
        return str(self.volume / self.path)

    @property
    def state(self) -> str:
        """Folder of what is remembered about it, beside it on the same volume."""
        name = quote(str(self.path), safe="").replace(".", "%2E")
        return str(self.volume / STATE / name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Volume:
    """A claim, and what a pod that mounts it is made of."""

    namespace: str
    claim: str
    path: PurePosixPath
    """Of the folder on it."""
    specs: Sequence[Mapping[str, Any]] = ()
    """Of the pods that the stack makes."""
    image: str = ""
    """For a pod of our own in any case; empty: that of a pod of the stack, and only if needed."""


def places_in(pods: Iterable[Mapping[str, Any]], volume: Volume) -> Iterator[Place]:
    """Yield running containers that may write to the whole volume."""
    for pod in pods:
        spec, status = pod["spec"], pod["status"]
        name = volume_of(spec, volume.claim)
        if _is_read_only(spec, name):
            continue
        states = {each["name"]: each["state"] for each in status.get("containerStatuses") or ()}
        for container, mount in _mounts(spec["containers"], name):
            is_part = mount.get("subPath") or mount.get("subPathExpr")
            is_running = "running" in states.get(container["name"], {})
            if is_running and not is_part and not mount.get("readOnly"):
                where = mount["mountPath"]
                yield place_of(volume, pod["metadata"]["name"], container["name"], where)


def place_of(volume: Volume, pod: str, container: str, mount: str) -> Place:
    """Return a place; *mount*: where that container has the whole volume."""
    return Place(
        namespace=volume.namespace,
        pod=pod,
        container=container,
        volume=PurePosixPath(mount),
        path=volume.path,
    )


def pod_specs(bodies: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the specs of the pods that objects make."""
    for body in bodies:
        spec = body.get("spec") or {}
        if body.get("kind") == "Pod":
            yield spec
            continue
        spec = (spec.get("jobTemplate") or {}).get("spec") or spec
        template = spec.get("template") if isinstance(spec, dict) else None
        if isinstance(template, dict) and isinstance(template.get("spec"), dict):
            yield template["spec"]


def pod_body(volume: Volume, *, node: str) -> dict[str, Any]:
    """
    Return a pod that mounts the volume and does nothing, until nobody uses it.

    *node*: Where another pod uses the volume already; empty: anywhere.
    """
    spec, container = _model(volume)
    image = volume.image or (container or {}).get("image", "")
    if not image:
        what = f"no pod of the stack writes to claim {volume.claim}, so that no image is known"
        raise ConfigurationError("--image", what, "name one that has a shell")
    asleep = ["sh", "-c", _ASLEEP, "sync", str(_LOOK_S), str(_IDLE_LOOKS)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "codexctl-sync-",
            "labels": {MADE_BY: "codexctl", COMPONENT: "source-sync"},
        },
        "spec": {
            **{key: spec[key] for key in _KEPT_OF_POD if key in (spec or {})},
            **({"nodeName": node} if node else {}),
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _LIFE_S,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "containers": [
                {
                    **{key: container[key] for key in _KEPT_OF_CONTAINER if key in container},
                    "name": CONTAINER,
                    "image": image,
                    "command": asleep,
                    "volumeMounts": [{"name": "workspace", "mountPath": str(MOUNT)}],
                }
            ],
            "volumes": [
                {"name": "workspace", "persistentVolumeClaim": {"claimName": volume.claim}}
            ],
        },
    }


def _model(volume: Volume) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what of the stack writes to the volume, else reads it: a pod and a container."""
    readers: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
    for spec in volume.specs:
        name = volume_of(spec, volume.claim)
        for container, mount in _mounts(spec.get("containers") or (), name) if name else ():
            if not mount.get("readOnly") and not _is_read_only(spec, name):
                return spec, container
            readers.append((spec, container))
    return readers[0] if readers else ({}, {})


def volume_of(spec: Mapping[str, Any], claim: str) -> str:
    """Return the name under which a pod has a claim; empty: it has not."""
    for each in spec.get("volumes") or ():
        if (each.get("persistentVolumeClaim") or {}).get("claimName") == claim:
            return str(each["name"])
    return ""


def _is_read_only(spec: Mapping[str, Any], volume: str) -> bool:
    return any(
        each["name"] == volume and (each.get("persistentVolumeClaim") or {}).get("readOnly")
        for each in spec["volumes"]
    )


def _mounts(
    containers: Iterable[Mapping[str, Any]], volume: str
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for container in containers:
        for mount in container.get("volumeMounts") or ():
            if mount.get("name") == volume:
                yield container, mount


def is_running(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod runs and is to go on."""
    is_leaving = "deletionTimestamp" in pod["metadata"]
    return not is_leaving and (pod.get("status") or {}).get("phase") == "Running"
