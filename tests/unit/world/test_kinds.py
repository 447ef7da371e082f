"""Kinds as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.kinds import find_kind, suggest_kind
from tests.support.fakes import FakeCluster

if TYPE_CHECKING:
    from collections.abc import Mapping


def _kind(api_version: str, kind: str, plural: str, *aliases: str) -> Resource:
    return Resource(api_version, kind, plural, namespaced=True, aliases=aliases)


POD = _kind("v1", "Pod", "pods", "pod", "po")
DEPLOYMENT = _kind("apps/v1", "Deployment", "deployments", "deployment", "deploy")
EVENT = _kind("v1", "Event", "events", "event", "ev")
NEW_EVENT = _kind("events.k8s.io/v1", "Event", "events", "event", "ev")
CERTIFICATE = _kind("cert-manager.io/v1", "Certificate", "certificates", "cert")
OLD_CERTIFICATE = _kind("cert-manager.io/v1alpha2", "Certificate", "certificates")


class _Cluster(FakeCluster):
    """Knows these kinds; certificates only once it is asked anew."""

    def __init__(self) -> None:
        super().__init__()
        self.known = [POD, EVENT, DEPLOYMENT, NEW_EVENT]

    def resources(self, *, refresh: bool = False) -> Mapping[tuple[str, str], Resource]:
        if refresh:
            self.known = [POD, EVENT, DEPLOYMENT, NEW_EVENT, CERTIFICATE, OLD_CERTIFICATE]
        return {(each.api_version, each.kind): each for each in self.known}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *[(each, DEPLOYMENT) for each in ("Deployment", "deployments", "deploy", "DEPLOY")],
        *[(each, DEPLOYMENT) for each in ("deployments.apps", "deployment.v1.apps")],
        *[(each, POD) for each in ("po", "pods.v1", "pods.v1.")],
        *[("events", EVENT), ("events.events.k8s.io", NEW_EVENT)],
        *[("certificates.cert-manager.io", CERTIFICATE), ("cert", CERTIFICATE)],
        ("certificates.v1alpha2.cert-manager.io", OLD_CERTIFICATE),
        *[(each, None) for each in ("", "deployments.batch", "deplyoment")],
    ],
)
def test_a_kind_is_found_as_kubectl_finds_it(text: str, found: Resource | None) -> None:
    """The preferred group and version win; a kind that is new is found as well."""
    assert find_kind(text, _Cluster()) == found


def test_a_misspelt_kind() -> None:
    """The nearest known name, or where to look."""
    assert suggest_kind("deplyoment", _Cluster()) == "did you mean 'deployment'?"
    assert suggest_kind("xyzzy", _Cluster()) == "see kubectl api-resources"
