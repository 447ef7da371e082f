"""What a run would do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.apply.bodies import STACK_LABEL
from codexctl_tasks.apply.plan import KEEP_ANNOTATION, PROTECTED_KINDS, Action
from codexctl_tasks.world.cluster import Resource
from tests.support.fakes import FakeClock, FakeCluster, managed
from tests.support.objects import placed, yaml_of
from tests.support.plans import apply, plan_of, step_of

if TYPE_CHECKING:
    from codexctl_tasks.stack.manifests import ObjectName

LABEL = "web.shop"
MAP = yaml_of("ConfigMap", "a", "data: {k: v}")
OLD = yaml_of("ConfigMap", "old", "data: {k: v}")


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def _names(text: str) -> list[ObjectName]:
    return [each.name for each in placed(text)]


def _metadata(cluster: FakeCluster, name: str, kind: str = "ConfigMap") -> dict[str, Any]:
    [metadata] = [
        o["metadata"] for (k, _, n), o in cluster.objects.items() if (k, n) == (kind, name)
    ]
    return metadata


def test_what_is_to_be_done(cluster: FakeCluster, clock: FakeClock) -> None:
    """New, changed, somebody else's so far, or as it should be: one action for each object."""
    apply("".join(yaml_of("ConfigMap", name, "data: {k: v}") for name in "abc"), cluster, clock)
    foreign = cluster.objects["ConfigMap", "shop", "b"]
    foreign["metadata"]["managedFields"] = [managed(foreign, "somebody", "Update")]
    text = "".join(
        yaml_of("ConfigMap", name, f"data: {{k: {value}}}")
        for name, value in (("a", "w"), ("b", "v"), ("c", "v"), ("d", "v"))
    )

    plan = plan_of(text, cluster)

    assert [(step.name.name, step.action) for step in plan.steps] == [
        ("a", Action.CHANGE),
        ("b", Action.ADOPT),
        ("c", Action.UNCHANGED),
        ("d", Action.CREATE),
    ]
    assert [step.live is not None for step in plan.steps] == [True, True, True, False]


def test_nothing_to_do(cluster: FakeCluster, clock: FakeClock) -> None:
    """After a deploy the plan is empty; it has cost reads only."""
    apply(MAP, cluster, clock, label=LABEL)
    cluster.calls.clear()

    plan = plan_of(MAP, cluster, label=LABEL)

    assert ([step.action for step in plan.steps], plan.leaving) == ([Action.UNCHANGED], [])
    assert cluster.calls == ["get ConfigMap a"]


def test_an_object_that_is_being_deleted_is_not_unchanged(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """It will be gone: somebody has to wait for that and make it anew."""
    apply(MAP, cluster, clock)
    _metadata(cluster, "a")["deletionTimestamp"] = "2026-01-02T12:00:00Z"

    assert step_of(MAP, cluster).action is Action.CHANGE


def test_an_object_that_an_earlier_tool_applied_is_sent_once(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """Nothing seems to change, but from now on a field that leaves the manifest goes away."""
    apply(MAP, cluster, clock)
    found = cluster.objects["ConfigMap", "shop", "a"]
    found["metadata"]["managedFields"].append(managed(found, "helm", "Update"))

    assert step_of(MAP, cluster).action is Action.CHANGE
    apply(MAP, cluster, clock)
    assert step_of(MAP, cluster).action is Action.UNCHANGED
    assert [call for call in cluster.calls if call.startswith("patch")] == ["patch ConfigMap a"]


def test_what_may_not_be_read_is_sent(cluster: FakeCluster, clock: FakeClock) -> None:
    """Without permission to read nobody can tell what is new: the server finds out."""
    apply(MAP, cluster, clock)
    cluster.forbidden_kinds.add("ConfigMap")

    plan = plan_of(MAP, cluster)

    assert [step.action for step in plan.steps] == [Action.CHANGE]


@pytest.mark.parametrize(
    ("before", "now", "former"),
    [
        ("other.shop", LABEL, "other.shop"),
        ("other.shop", "", ""),
        ("", LABEL, ""),
        (LABEL, LABEL, ""),
    ],
)
def test_an_object_of_another_stack_is_recognised(
    cluster: FakeCluster, clock: FakeClock, before: str, now: str, former: str
) -> None:
    """Two stacks that claim one object are told before one takes it away from the other."""
    apply(MAP, cluster, clock, label=before)

    step = step_of(MAP.replace("k: v", "k: w"), cluster, label=now)

    assert (step.action, step.former_stack) == (Action.CHANGE, former)


SCALED = yaml_of("Deployment", "web", "spec: {replicas: 2, paused: true}")
SCALER = yaml_of(
    "HorizontalPodAutoscaler", "web", "spec: {scaleTargetRef: {kind: Deployment, name: web}}"
)


def test_the_autoscaler_of_the_set_keeps_its_number(cluster: FakeCluster, clock: FakeClock) -> None:
    """The first deploy begins with the manifest's number; later ones leave the pods that run."""
    assert plan_of(SCALED + SCALER, cluster).steps[0].body["spec"]["replicas"] == 2
    apply(SCALED + SCALER, cluster, clock)
    web = cluster.objects["Deployment", "shop", "web"]
    web["spec"] = {**web["spec"], "replicas": 7}

    still_ours = plan_of(SCALED + SCALER, cluster).steps[0]
    assert still_ours.body["spec"] == {"replicas": 7, "paused": True}
    assert still_ours.action is Action.UNCHANGED

    del web["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:replicas"]
    taken = plan_of(SCALED + SCALER, cluster).steps[0]
    assert taken.body["spec"] == {"paused": True}
    assert taken.action is Action.UNCHANGED
    assert plan_of(SCALED, cluster).steps[0].body["spec"]["replicas"] == 2


def _leaving(
    cluster: FakeCluster, before: str, now: str = MAP, **more: Any
) -> list[tuple[str, str, bool]]:
    plan = plan_of(now, cluster, label=LABEL, applied_before=_names(before), **more)
    return [(each.name.short, each.kept, each.is_foreign) for each in plan.leaving]


def test_what_an_earlier_run_applied_and_nobody_wants_is_leaving(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """It is pruned, exactly the object that was looked at; what is gone already is no matter."""
    apply(MAP + OLD, cluster, clock, label=LABEL)
    before = _names(MAP + OLD + yaml_of("ConfigMap", "gone"))

    [leaving] = plan_of(MAP, cluster, label=LABEL, applied_before=before).leaving

    assert (leaving.name.name, leaving.kept) == ("old", "")
    assert leaving.uid == _metadata(cluster, "old")["uid"]


@pytest.mark.parametrize(
    ("change", "why", "foreign"),
    [
        ({"annotations": {KEEP_ANNOTATION: "true"}}, f"its annotation {KEEP_ANNOTATION}", False),
        ({"annotations": {KEEP_ANNOTATION: "True"}}, f"its annotation {KEEP_ANNOTATION}", False),
        ({"annotations": {KEEP_ANNOTATION: "false"}}, "", False),
        ({"labels": {STACK_LABEL: "other.shop"}}, "it belongs to stack other.shop", True),
        ({"labels": {}}, "it has lost the label of the stack", True),
        ({"labels": None}, "it has lost the label of the stack", True),
        (
            {"ownerReferences": [{"kind": "Operator", "name": "x"}]},
            "it belongs to Operator x",
            True,
        ),
    ],
    ids=str,
)
def test_every_reason_to_stay(
    cluster: FakeCluster, clock: FakeClock, change: dict[str, Any], why: str, foreign: bool
) -> None:
    """Nothing is deleted that somebody marked, took over, or that an operator owns."""
    apply(MAP + OLD, cluster, clock, label=LABEL)
    _metadata(cluster, "old").update(change)

    [(name, kept, is_foreign)] = _leaving(cluster, MAP + OLD)

    assert (name, is_foreign) == ("ConfigMap old", foreign)
    assert kept.startswith(why)
    assert bool(kept) == bool(why)


@pytest.mark.parametrize("kind", sorted(PROTECTED_KINDS))
def test_what_holds_data_leaves_on_request_only(
    cluster: FakeCluster, clock: FakeClock, kind: str
) -> None:
    """A renamed volume claim does not take the database with it."""
    apply(MAP + yaml_of(kind, "old"), cluster, clock, label=LABEL)

    [(_, kept, _)] = _leaving(cluster, yaml_of(kind, "old"))
    assert kept == f"a {kind} is pruned only with --prune-protected"
    [(_, kept, _)] = _leaving(cluster, yaml_of(kind, "old"), prune_protected=True)
    assert kept == ""

    _metadata(cluster, "old", kind)["annotations"] = {KEEP_ANNOTATION: "true"}
    [(_, kept, _)] = _leaving(cluster, yaml_of(kind, "old"), prune_protected=True)
    assert kept


def test_what_may_not_be_read_stays(cluster: FakeCluster, clock: FakeClock) -> None:
    """Nobody knows whose it is."""
    apply(yaml_of("Secret", "old"), cluster, clock, label=LABEL)
    cluster.forbidden_kinds.add("Secret")

    assert _leaving(cluster, yaml_of("Secret", "old")) == [
        ("Secret old", "it may not be read", False)
    ]


def test_another_version_of_the_same_object_is_not_leaving(
    clock: FakeClock,
) -> None:
    """Moving a manifest to a newer apiVersion does not delete what it describes."""

    class _TwoVersions(FakeCluster):
        def resources(self, **_: Any) -> dict[tuple[str, str], Resource]:
            kind, known = "HorizontalPodAutoscaler", dict(super().resources())
            old = replace(known["autoscaling/v2", kind], api_version="autoscaling/v1")
            return {**known, ("autoscaling/v1", kind): old}

    cluster = _TwoVersions()
    apply(SCALER, cluster, clock, label=LABEL)
    old = [name._replace(api_version="autoscaling/v1") for name in _names(SCALER)]

    assert plan_of(SCALER, cluster, label=LABEL, applied_before=old).leaving == []


def test_what_is_of_a_kind_that_is_away_is_remembered(cluster: FakeCluster) -> None:
    """An aggregated API that does not answer for a moment does not make us forget its objects."""
    [thing] = [name._replace(api_version="away.io/v1", kind="Thing") for name in _names(OLD)]

    [leaving] = plan_of(MAP, cluster, label=LABEL, applied_before=[thing]).leaving

    assert (leaving.name, leaving.resource) == (thing, None)
    assert (leaving.kept, leaving.is_foreign) == ("the cluster does not know its kind now", False)


def test_objects_of_a_kind_that_changes_are_sent(clock: FakeClock) -> None:
    """Its definition may divide their fields anew, which their managedFields do not show yet."""

    class _WithWidgets(FakeCluster):
        def resources(self, **_: Any) -> dict[tuple[str, str], Resource]:
            crd, kinds = "CustomResourceDefinition", dict(super().resources())
            widget = Resource("g.io/v1", "Widget", "widgets", namespaced=True)
            definition = Resource("apiextensions.k8s.io/v1", crd, f"{crd}s", namespaced=False)
            return {
                **kinds,
                ("g.io/v1", "Widget"): widget,
                (definition.api_version, crd): definition,
            }

    cluster = _WithWidgets()
    widget = yaml_of("Widget", "w", "spec: {a: b}").replace("apiVersion: v1", "apiVersion: g.io/v1")
    kind = yaml_of("CustomResourceDefinition", "widgets.g.io", "spec: {group: g.io}")
    kind = kind.replace("apiVersion: v1", "apiVersion: apiextensions.k8s.io/v1")
    apply(widget + kind, cluster, clock)

    assert {s.action for s in plan_of(widget + kind, cluster).steps} == {Action.UNCHANGED}
    changed = plan_of(widget + kind.replace("group: g.io", "group: g.io, scope: x"), cluster)
    assert {s.action for s in changed.steps} == {Action.CHANGE}
