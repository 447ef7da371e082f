"""Where each object lives on the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.apply.placement import place
from codexctl_tasks.errors import CombinedError
from tests.support.fakes import FakeCluster
from tests.support.objects import manifests, yaml_of

if TYPE_CHECKING:
    from codexctl_tasks.world.cluster import Resource

DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.g.io}
spec:
  group: g.io
  scope: %s
  names: {kind: Thing, plural: things}
  versions: [{name: v1}, {name: v2}]
---
"""


class _Cluster(FakeCluster):
    def resources(self, *, refresh: bool = False) -> dict[tuple[str, str], Resource]:
        kind = "CustomResourceDefinition"
        known = dict(super().resources(refresh=refresh))
        template = known["v1", "Namespace"]
        known["apiextensions.k8s.io/v1", kind] = template
        return known


def test_namespaces_follow_the_kind() -> None:
    """Objects without a namespace go to the context's; cluster-wide ones have none."""
    text = yaml_of("ConfigMap", "a") + yaml_of("ConfigMap", "b", "  namespace: n")
    objects = place(
        manifests(text + yaml_of("Namespace", "c", "  namespace: n"), namespace=""), FakeCluster()
    )

    assert [str(o.name) for o in objects] == ["ConfigMap default/a", "ConfigMap n/b", "Namespace c"]


@pytest.mark.parametrize(
    ("scope", "name"), [("Namespaced", "Thing shop/x"), ("Cluster", "Thing x")]
)
def test_kinds_of_the_same_set_are_known(scope: str, name: str) -> None:
    """A definition and its first object can be deployed in one run."""
    thing = "apiVersion: g.io/v2\nkind: Thing\nmetadata: {name: x}\n"

    _, placed = place(manifests(DEFINITION % scope + thing), _Cluster())

    assert str(placed.name) == name
    assert placed.resource.path("shop", "x").startswith("/apis/g.io/v2/")


def test_every_unknown_kind_is_reported() -> None:
    """A misspelt kind is told before anything is applied, all of them at once."""
    text = yaml_of("Deploymnet", "a") + yaml_of("ConfigMap", "b") + yaml_of("Thing", "c")

    with pytest.raises(CombinedError) as caught:
        place(manifests(text), FakeCluster())

    assert [line.split(": ")[:2] for line in str(caught.value).splitlines()] == [
        ["f.yaml:1", "the cluster has no kind Deploymnet in v1"],
        ["f.yaml:11", "the cluster has no kind Thing in v1"],
    ]
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("spec", ["spec: x", "spec: {versions: 5}", "spec: {names: x}", ""])
def test_a_malformed_definition_is_left_to_the_server(spec: str) -> None:
    """The server's refusal names the mistake; reading it here must not break."""
    text = DEFINITION.partition("spec:")[0] + spec + "\n"

    assert len(place(manifests(text), _Cluster())) == 1
