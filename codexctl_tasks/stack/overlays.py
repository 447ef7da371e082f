"""
What ``services.yaml`` changes in the objects of a service: its image and its mounts.

Both concern one object alone: the Deployment that has the service's name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from codexctl_tasks.errors import CombinedError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from codexctl_tasks.errors import Location
    from codexctl_tasks.stack.manifests import Manifest
    from codexctl_tasks.stack.model import Overlay


class Mount(NamedTuple):
    """A volume of a pod and where its containers see it."""

    volume: dict[str, Any]
    mount: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of both."""
        return str(self.volume["name"])


def overlay_mounts(
    overlay: Overlay, locate: Callable[[Sequence[str | int]], tuple[Location, str]]
) -> tuple[Mount, ...]:
    """
    Return the mounts of an overlay: folders of the node first, then volume claims.

    Args:
        overlay: The overlay of the environment that is rendered.
        locate: Returns the place of a path in the overlay, and how a person writes the path.

    Raises:
        CombinedError: Entries without all of name, source and mount path, which would make a mount
            without a volume.
    """
    problems = []
    for path in _missing(overlay):
        place, name = locate(path)
        problems.append(ConfigurationError(place, f"{name} is missing", "add it"))
    if problems:
        raise CombinedError(problems)
    folders = [
        Mount(
            {"name": m.name, "hostPath": {"path": m.host_path, "type": m.host_path_type}},
            {"name": m.name, "mountPath": m.mount_path},
        )
        for m in overlay.host_mounts
    ]
    claims = [
        Mount(
            {"name": m.name, "persistentVolumeClaim": {"claimName": m.claim_name}},
            {"name": m.name, "mountPath": m.mount_path}
            | ({"subPath": m.sub_path} if m.sub_path else {})
            | ({"readOnly": True} if m.read_only else {}),
        )
        for m in overlay.pvc_mounts
    ]
    return (*folders, *claims)


def with_changes(
    manifest: Manifest, service: str, *, image: str, mounts: Sequence[Mount]
) -> Manifest:
    """
    Return a manifest of a service with its image and mounts.

    Args:
        manifest: Any object; all but the service's own Deployment stay as they are.
        service: Name of the service.
        image: Reference for its first container, and for init containers that have none or had
            the same; empty: leave the images alone.
        mounts: Replace volumes and mounts of the same names. They go to the first container and
            to every init container.
    """
    if (manifest.name.kind, manifest.name.name) != ("Deployment", service):
        return manifest
    pod = _mapping_at(manifest.body, "spec", "template", "spec")
    containers = pod.get("containers")
    if not isinstance(containers, list) or not containers or not isinstance(containers[0], dict):
        return manifest  # the API server will say what is wrong with it
    pod = dict(pod)
    if image:
        pod = _with_image(pod, image)
    if mounts:
        pod = _with_mounts(pod, mounts)
    template = {**manifest.body["spec"]["template"], "spec": pod}
    return replace(
        manifest, body={**manifest.body, "spec": {**manifest.body["spec"], "template": template}}
    )


def _missing(overlay: Overlay) -> Iterator[tuple[str, int, str]]:
    """Yield kind, index and key of what an overlay leaves out."""
    for index, folder in enumerate(overlay.host_mounts):
        for key, value in (
            ("name", folder.name),
            ("hostPath", folder.host_path),
            ("mountPath", folder.mount_path),
        ):
            if not value.strip():
                yield "hostMounts", index, key
    for index, claim in enumerate(overlay.pvc_mounts):
        for key, value in (
            ("name", claim.name),
            ("claimName", claim.claim_name),
            ("mountPath", claim.mount_path),
        ):
            if not value.strip():
                yield "pvcMounts", index, key


def _with_image(pod: dict[str, Any], image: str) -> dict[str, Any]:
    first, *others = pod["containers"]
    before = first.get("image")
    pod = {**pod, "containers": [{**first, "image": image}, *others]}
    if isinstance(pod.get("initContainers"), list):
        pod["initContainers"] = [
            {**each, "image": image}
            if isinstance(each, dict) and each.get("image") in (None, "", before)
            else each
            for each in pod["initContainers"]
        ]
    return pod


def _with_mounts(pod: dict[str, Any], mounts: Sequence[Mount]) -> dict[str, Any]:
    replaced = {mount.name for mount in mounts}
    first, *others = pod["containers"]
    pod = {
        **pod,
        "containers": [_mounted(first, replaced, mounts), *others],
        "volumes": [*_others(pod.get("volumes"), replaced), *(m.volume for m in mounts)],
    }
    if isinstance(pod.get("initContainers"), list):
        pod["initContainers"] = [
            _mounted(each, replaced, mounts) if isinstance(each, dict) else each
            for each in pod["initContainers"]
        ]
    return pod


def _mounted(
    container: dict[str, Any], replaced: set[str], mounts: Sequence[Mount]
) -> dict[str, Any]:
    kept = _others(container.get("volumeMounts"), replaced)
    return {**container, "volumeMounts": [*kept, *(m.mount for m in mounts)]}


def _others(entries: Any, replaced: set[str]) -> list[Any]:
    """Return the entries that have other names."""
    found = entries if isinstance(entries, list) else []
    return [e for e in found if not (isinstance(e, dict) and e.get("name") in replaced)]


def _mapping_at(value: Any, *path: str) -> dict[str, Any]:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
