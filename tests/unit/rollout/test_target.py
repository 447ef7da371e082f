"""What is waited for, what is watched for it, and what its manifest may say about it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from codexctl_tasks.errors import CombinedError
from codexctl_tasks.rollout.target import check_annotations, is_awaited, scopes_for, target_of
from tests.support.objects import manifests, name_of, resource_of, yaml_of

FOUND = {"metadata": {"uid": "u", "generation": 3}}


def _target(*annotations: str, kind: str = "Deployment") -> Any:
    lines = ("  annotations:", *(f"    {each}" for each in annotations)) if annotations else ()
    [manifest] = manifests(yaml_of(kind, "web", *lines))
    return target_of(manifest.name, manifest, FOUND)


def test_a_manifest_without_annotations() -> None:
    """Everything as usual."""
    plain = _target()

    assert (plain.uid, plain.generation) == ("u", 3)
    assert (plain.timeout_s, plain.crash_limit) == (math.inf, 0)
    assert (plain.ready_when, plain.failed_when, plain.replaces_pods) == ((), (), False)


def test_annotations() -> None:
    """Each of them is understood."""
    chosen = _target(
        'codexctl/wait-timeout: "90s"',
        'codexctl/crash-limit: "7"',
        "codexctl/ready-when: condition=Ready",
        "codexctl/failed-when: jsonpath={.status.phase}=Error",
        'codexctl/replace-broken-pods: "true"',
    )

    assert (chosen.timeout_s, chosen.crash_limit, chosen.replaces_pods) == (90, 7, True)
    assert [rule.text for rule in chosen.ready_when] == ["condition=Ready"]
    assert [rule.text for rule in chosen.failed_when] == ["jsonpath={.status.phase}=Error"]


@pytest.mark.parametrize(
    ("annotation", "mend"),
    [
        ("codexctl/wait-timeout: soon", "write 90s or 10m"),
        ('codexctl/wait-timeout: "0"', "write 90s or 10m"),
        ('codexctl/crash-limit: "0"', "write a number from 1"),
        ("codexctl/ready-when: Ready", "write condition=Ready or jsonpath={.status.phase}=Running"),
        ('codexctl/replace-broken-pods: "yes"', 'write "true"'),
    ],
)
def test_what_means_nothing_is_refused_before_anything_is_applied(
    annotation: str, mend: str
) -> None:
    """With file and line; all of them at once."""
    bad = yaml_of("Deployment", "web", "  annotations:", f"    {annotation}")
    two = manifests(bad + bad.replace("web", "api"))

    with pytest.raises(CombinedError) as caught:
        check_annotations(two)

    places = [str(problem).partition(": ")[0] for problem in caught.value.problems]
    assert places == ["f.yaml:6", "f.yaml:13"]
    assert all(str(problem).endswith(mend) for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("kind", "body", "awaited"),
    [
        ("Deployment", {}, True),
        ("PersistentVolumeClaim", {}, True),
        ("CustomResourceDefinition", {}, True),
        ("APIService", {}, True),
        ("Shop", {}, True),
        ("Service", {}, False),
        ("Service", {"spec": {"type": "LoadBalancer"}}, True),
        ("ConfigMap", {}, False),
        ("ConfigMap", {"metadata": {"annotations": {"codexctl/ready-when": "x"}}}, True),
        ("HorizontalPodAutoscaler", {}, False),
    ],
)
def test_what_is_waited_for(kind: str, body: dict[str, Any], *, awaited: bool) -> None:
    """Whatever has a rollout, custom resources, and what the author asks for."""
    assert is_awaited(name_of(kind), body) == awaited


def test_a_workload_of_another_group_is_a_custom_resource() -> None:
    """Its name is no reason to look for pods."""
    assert scopes_for([(name_of("Shop"), resource_of("Shop"))])[0].resource.kind == "Shop"


def test_one_watch_per_kind_and_namespace() -> None:
    """However many objects there are; events and volume claims only if they may be read."""
    hundred = [(name_of("Deployment", f"web-{n}"), resource_of("Deployment")) for n in range(100)]
    claim = (name_of("PersistentVolumeClaim"), resource_of("PersistentVolumeClaim"))

    found = scopes_for(hundred)
    assert [(s.resource.kind, s.optional, s.explains) for s in found] == [
        ("Deployment", False, False),
        ("ReplicaSet", False, False),
        ("Pod", False, False),
        ("Event", True, True),
        ("PersistentVolumeClaim", True, True),
    ]
    claims = [s.explains for s in scopes_for([*hundred, claim]) if s.resource == claim[1]]
    assert claims == [False], "what is waited for is watched once, from the beginning"
