"""What ``services.yaml`` changes in the objects of a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import CombinedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.project import Project

DEPLOYMENT = """\
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  template:
    spec:
      initContainers:
      - {{name: bare}}
      - {{name: same, image: "old:1"}}
      - {{name: other, image: busybox}}
      containers:
      - name: main
        image: old:1
        volumeMounts:
        - {{name: keep, mountPath: /keep}}
        - {{name: data, mountPath: /old}}
      - {{name: sidecar, image: "old:1"}}
      volumes:
      - {{name: keep, emptyDir: {{}}}}
      - {{name: data, emptyDir: {{}}}}
      - {{name: last, emptyDir: {{}}}}
"""


def _render(
    project: Project, service: str, *, kind: str = "Deployment", name: str = "api", **given: Any
) -> Mapping[str, Any]:
    project.write(api_yaml=DEPLOYMENT.format(kind=kind, name=name))
    stack = (
        "project: shop\nversions: {api: '1.0'}\nservices:\n"
        "- name: api\n  manifests: [{path: api.yaml}]\n" + service
    )
    [manifest] = project.desired(stack, **given).manifests
    return manifest.body


def _pod(body: Mapping[str, Any]) -> Any:
    return body["spec"]["template"]["spec"]


def _images(body: Mapping[str, Any]) -> list[str]:
    pod = _pod(body)
    return [each.get("image", "") for each in (*pod["initContainers"], *pod["containers"])]


UNCHANGED = ["", "old:1", "busybox", "old:1", "old:1"]
IMAGES = {
    "repository alone": ("repository: new", ["new", "new", "busybox", "new", "old:1"]),
    "with a tag": (
        "repository: new\n    tagTemplate: '{{ Versions.api }}'",
        ["new:1.0", "new:1.0", "busybox", "new:1.0", "old:1"],
    ),
    "trimmed": (
        "repository: ' new '\n    tagTemplate: '  1  '",
        ["new:1", "new:1", "busybox", "new:1", "old:1"],
    ),
    "blank tag": (
        "repository: new\n    tagTemplate: '{{ \" \" }}'",
        ["new", "new", "busybox", "new", "old:1"],
    ),
    "blank repository": ("repository: ' '\n    tagTemplate: '1'", UNCHANGED),
    "tag alone": ("tagTemplate: '1'", UNCHANGED),
}


@pytest.mark.parametrize(("image", "images"), IMAGES.values(), ids=IMAGES)
def test_the_image_of_a_service(project: Project, image: str, images: list[str]) -> None:
    """The first container gets it, and init containers that have none or had the same."""
    assert _images(_render(project, f"  image:\n    {image}\n")) == images


@pytest.mark.parametrize(
    ("kind", "name"),
    [("StatefulSet", "api"), ("DaemonSet", "api"), ("Deployment", "api-worker")],
)
def test_only_the_deployment_of_the_service_is_changed(
    project: Project, kind: str, name: str
) -> None:
    """Another kind or another name is left alone: neither image nor mounts."""
    service = (
        "  image: {repository: new}\n"
        "  overlays: {staging: {pvcMounts: [{name: a, claimName: a, mountPath: /a}]}}\n"
    )

    body = _render(project, service, kind=kind, name=name)

    assert _images(body) == UNCHANGED
    assert [volume["name"] for volume in _pod(body)["volumes"]] == ["keep", "data", "last"]


def test_the_images_block_changes_no_manifest(project: Project) -> None:
    """It says what is mirrored and built, not what runs."""
    images = "images: {api: {type: build, repository: other, tag: '9'}}\n"

    assert _images(_render(project, images)) == UNCHANGED


MOUNTS = """\
  overlays:
    staging:
      hostMounts:
      - {name: logs, hostPath: /srv/logs, mountPath: /logs}
      - {name: socket, hostPath: /run/x, hostPathType: Socket, mountPath: /x}
      pvcMounts:
      - {name: data, claimName: claim, mountPath: /data}
      - {name: part, claimName: claim, mountPath: /part, subPath: p, readOnly: true}
      - {name: open, claimName: claim, mountPath: /open, subPath: "", readOnly: false}
"""


def test_mounts_of_an_overlay(project: Project) -> None:
    """Volumes of the same names are replaced, others keep their order, new ones follow."""
    pod = _pod(_render(project, MOUNTS))

    assert pod["volumes"] == [
        {"name": "keep", "emptyDir": {}},
        {"name": "last", "emptyDir": {}},
        {"name": "logs", "hostPath": {"path": "/srv/logs", "type": "Directory"}},
        {"name": "socket", "hostPath": {"path": "/run/x", "type": "Socket"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "claim"}},
        {"name": "part", "persistentVolumeClaim": {"claimName": "claim"}},
        {"name": "open", "persistentVolumeClaim": {"claimName": "claim"}},
    ]
    new = [
        {"name": "logs", "mountPath": "/logs"},
        {"name": "socket", "mountPath": "/x"},
        {"name": "data", "mountPath": "/data"},
        {"name": "part", "mountPath": "/part", "subPath": "p", "readOnly": True},
        {"name": "open", "mountPath": "/open"},
    ]
    assert pod["containers"][0]["volumeMounts"] == [{"name": "keep", "mountPath": "/keep"}, *new]
    assert [each["volumeMounts"] for each in pod["initContainers"]] == [new, new, new]
    assert "volumeMounts" not in pod["containers"][1]


def test_an_overlay_belongs_to_one_environment(project: Project) -> None:
    """It is looked up by the exact name; `from` does not inherit it."""
    environments = "environments: {staging: {}, production: {from: staging}}\n"

    pod = _pod(_render(project, MOUNTS + environments, env="production"))

    assert [volume["name"] for volume in pod["volumes"]] == ["keep", "data", "last"]


def test_a_mount_needs_all_its_keys(project: Project) -> None:
    """A mount without a volume is refused here, with its line, not by the cluster."""
    with pytest.raises(CombinedError) as caught:
        _render(project, "  overlays:\n    staging:\n      pvcMounts:\n      - {name: a}\n")

    assert str(caught.value).splitlines() == [
        f"services.yaml:9: services.api.overlays.staging.pvcMounts[0].{key} is missing: add it"
        for key in ("claimName", "mountPath")
    ]


KINDS = """\
apiVersion: v1
kind: Ingress
metadata: {name: i}
---
apiVersion: v1
kind: Service
metadata: {name: s}
"""


@pytest.mark.parametrize(
    ("dropped", "left"),
    [
        ("[Ingress]", ["s"]),
        ("[' INGRESS ', service]", []),
        ("[Ingres, ConfigMap]", ["i", "s"]),
        ("[]", ["i", "s"]),
    ],
)
def test_dropped_kinds(project: Project, dropped: str, left: list[str]) -> None:
    """Kinds are compared trimmed and in any case; what is dropped does not exist."""
    project.write(api_yaml=KINDS, base_yaml=KINDS.replace("name: ", "name: base-"))

    desired = project.desired(
        "project: shop\n"
        "infrastructure: [{name: base, manifests: [{path: base.yaml}]}]\n"
        "services:\n- name: api\n  manifests: [{path: api.yaml}]\n"
        f"  overlays: {{staging: {{dropKinds: {dropped}}}}}\n"
    )

    names = [manifest.name.name for manifest in desired.manifests]
    assert names == ["base-i", "base-s", *left]


def test_a_dropped_kind_need_not_be_complete(project: Project) -> None:
    """What an environment does without is not checked either."""
    project.write(api_yaml="kind: Ingress\n")

    overlay = "overlays: {staging: {dropKinds: [Ingress]}}"
    stack = (
        f"project: shop\nservices: [{{name: api, manifests: [{{path: api.yaml}}], {overlay}}}]\n"
    )
    assert project.desired(stack).manifests == ()


NAMESPACES = {
    "none": ("metadata: {name: a}", "shop-staging"),
    "its own": ("metadata: {name: a, namespace: other}", "other"),
    "empty": ("metadata: {name: a, namespace: ''}", "shop-staging"),
    "blank": ("metadata: {name: a, namespace: ' '}", "shop-staging"),
    "null": ("metadata: {name: a, namespace: }", "shop-staging"),
}


@pytest.mark.parametrize(("metadata", "namespace"), NAMESPACES.values(), ids=NAMESPACES)
def test_the_namespace_of_a_service(project: Project, metadata: str, namespace: str) -> None:
    """Objects of services that name none get that of the environment."""
    project.write(a_yaml=f"apiVersion: v1\nkind: ConfigMap\n{metadata}\n")

    [manifest] = project.desired(
        "project: shop\nservices: [{name: a, manifests: [{path: a.yaml}]}]\n"
    ).manifests

    assert manifest.body["metadata"]["namespace"] == namespace


@pytest.mark.parametrize(
    "kind",
    [
        *("Namespace", "ClusterRole", "ClusterRoleBinding", "PersistentVolume"),
        *("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"),
    ],
)
def test_cluster_wide_kinds_get_no_namespace(project: Project, kind: str) -> None:
    """An object that belongs to no namespace stays as it is written."""
    project.write(a_yaml=f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\n")

    [manifest] = project.desired(
        "project: shop\nservices: [{name: a, manifests: [{path: a.yaml}]}]\n"
    ).manifests

    assert manifest.body["metadata"] == {"name": "a"}


def test_objects_of_infrastructure_are_never_changed(project: Project) -> None:
    """They often belong elsewhere: no namespace, image or mount is written into them."""
    text = DEPLOYMENT.format(kind="Deployment", name="base")
    project.write(base_yaml=text)

    [manifest] = project.desired(
        "project: shop\ninfrastructure: [{name: base, manifests: [{path: base.yaml}]}]\n"
    ).manifests

    assert manifest.body["metadata"] == {"name": "base"}
    assert _images(manifest.body) == UNCHANGED


def test_nothing_else_is_added(project: Project) -> None:
    """No labels, annotations, pull policy or marks of an owner."""
    project.write(a_yaml="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")

    [manifest] = project.desired(
        "project: shop\nenvironments: {staging: {imagePullPolicy: Always}}\n"
        "services: [{name: a, manifests: [{path: a.yaml}]}]\n"
    ).manifests

    assert manifest.body == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "shop-staging"},
    }
