"""What would be refused, found before anything is changed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codexctl_tasks.apply.preflight import (
    ALL_NEW_UP_TO,
    check_permissions,
    rehearse,
    shape_of,
)
from codexctl_tasks.apply.sending import Change
from codexctl_tasks.errors import ClusterError, Conflict, Patience, TransientClusterError
from codexctl_tasks.rollout.target import scopes_for
from tests.support.fakes import FakeClock, FakeCluster
from tests.support.objects import name_of, placed, resource_of, yaml_of
from tests.support.plans import apply, plan_of, sender_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.apply.preflight import Rehearsal
    from codexctl_tasks.world.cluster import Answer, Resource

MAP = yaml_of("ConfigMap", "a", "data: {k: v}")
WEB = yaml_of("Deployment", "web", "spec: {replicas: 1}")
ROLES = [{"verbs": ["get"], "apiGroups": ["*"], "resources": ["*"]}]


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def _lacking(cluster: FakeCluster, text: str, **more: Any) -> list[str]:
    cluster_plan = plan_of(text, cluster, **more.pop("plan", {}))
    cluster.calls.clear()
    return [str(e) for e in check_permissions(cluster_plan, cluster, **{"prunes": False, **more})]


def test_who_may_do_everything_is_told_nothing(cluster: FakeCluster) -> None:
    """One question per namespace, however many objects; none if there is nothing to do."""
    text = "".join(yaml_of("ConfigMap", f"c{n}") for n in range(500))
    other = yaml_of("ConfigMap", "a", "  namespace: other")

    assert _lacking(cluster, text + other) == []
    assert cluster.calls == ["review rules"] * 2
    assert _lacking(cluster, "") == []
    assert cluster.calls == []


def test_what_is_lacking_is_a_line_for_each_kind(cluster: FakeCluster) -> None:
    """One run shows all missing rights, in words that can be sent to an administrator."""
    cluster.rules = ROLES

    text = MAP + WEB + yaml_of("ConfigMap", "b") + yaml_of("Namespace", "n")

    lines = _lacking(cluster, text)

    fix = ": ask for this permission, or use other credentials"
    assert [line.removesuffix(fix) for line in lines] == [
        "f.yaml:18: this account may not create, patch namespaces in the whole cluster",
        "f.yaml:1: this account may not create, patch configmaps in namespace shop",
        "f.yaml:7: this account may not create, patch deployments.apps in namespace shop",
    ]


def test_an_object_that_exists_needs_only_patch(cluster: FakeCluster, clock: FakeClock) -> None:
    """A narrow role that lets a pipeline change its own Deployment is enough."""
    apply(MAP + WEB, cluster, clock)
    cluster.rules = [
        {"verbs": ["patch"], "apiGroups": ["apps"], "resources": ["deployments"]}
        | {"resourceNames": ["web"]},
    ]

    assert _lacking(cluster, MAP + WEB.replace("1}", "2}")) == []
    assert len(_lacking(cluster, WEB.replace("web", "new"))) == 1


def test_pruning_needs_delete_and_waiting_needs_watch(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """These rights are asked for only by who uses them."""
    apply(MAP + WEB, cluster, clock, label="x")
    before = [each.name for each in placed(MAP)]
    cluster.rules = []
    plan = {"label": "x", "applied_before": before}

    assert _lacking(cluster, WEB, plan=plan) == []
    [line] = _lacking(cluster, WEB, plan=plan, prunes=True)
    assert line.startswith("ConfigMap shop/a: this account may not delete configmaps in namespace")
    lines = _lacking(
        cluster, "", watched=scopes_for([(name_of("Deployment"), resource_of("Deployment"))])
    )
    assert [line.partition(" in ")[0] for line in lines] == [
        "deployments: this account may not list, watch deployments.apps",
        "replicasets: this account may not list, watch replicasets.apps",
        "pods: this account may not list, watch pods",
    ]  # events are optional


@pytest.mark.parametrize(
    "answer",
    [
        {"status": {"resourceRules": [], "incomplete": True}},
        {"status": "odd"},
        {},
        ClusterError("POST", "forbidden", status=403),
    ],
    ids=str,
)
def test_a_server_that_cannot_tell_stops_nobody(answer: Any) -> None:
    """Where a webhook authorizes, the answers to the real requests tell."""

    class _Reticent(FakeCluster):
        def create(self, *_: object) -> Mapping[str, Any]:
            if isinstance(answer, Exception):
                raise answer
            found: Mapping[str, Any] = answer
            return found

    assert _lacking(_Reticent(), MAP) == []


def test_a_server_that_fails_is_not_taken_for_an_answer() -> None:
    """Trouble of the server is told as such."""

    class _Broken(FakeCluster):
        def create(self, *_: object) -> Mapping[str, Any]:
            raise TransientClusterError("POST", "internal error", status=500)

    with pytest.raises(TransientClusterError):
        _lacking(_Broken(), MAP)


def _rehearsed(cluster: FakeCluster, clock: FakeClock, text: str, **more: Any) -> Rehearsal:
    plan = plan_of(text, cluster)
    cluster.calls.clear()
    return rehearse(plan, sender_of(cluster, clock), **more)


def _counts(cluster: FakeCluster) -> Counter[str]:
    return Counter(call.split()[0] for call in cluster.calls)


def _maps(count: int, data: str = "{k%d: v}") -> str:
    return "".join(
        yaml_of("ConfigMap", f"c{n}", f"  labels: {{n{n}: a}}", f"data: {data % n}")
        for n in range(count)
    )


def test_all_changed_and_some_new_objects_are_rehearsed(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """What exists is asked for completely, in the order of the manifests; unchanged costs none."""
    changed = _maps(150)
    apply(changed + MAP, cluster, clock)

    rehearsal = _rehearsed(cluster, clock, changed.replace(": v", ": w") + MAP)

    assert _counts(cluster) == {"rehearse": 150}
    assert [a.name.name for a in rehearsal.applied] == [f"c{n}" for n in range(150)]
    assert {a.change for a in rehearsal.applied} == {Change.CHANGED}
    assert rehearsal.problems == []


@pytest.mark.parametrize(
    ("count", "thoroughly", "asked"),
    [
        (ALL_NEW_UP_TO, False, ALL_NEW_UP_TO),
        (ALL_NEW_UP_TO + 1, False, 1),
        (ALL_NEW_UP_TO + 1, True, ALL_NEW_UP_TO + 1),
    ],
)
def test_of_many_new_objects_one_of_each_shape_is_asked_for(
    cluster: FakeCluster, clock: FakeClock, count: int, thoroughly: bool, asked: int
) -> None:
    """A first deploy of thousands takes half the time; keys of data and labels are no shape."""
    _rehearsed(cluster, clock, _maps(count), thoroughly=thoroughly)

    assert _counts(cluster) == {"rehearse": asked}


class _Strict(FakeCluster):
    """Knows which fields a ConfigMap has, and the values it takes."""

    def apply(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], **more: Any
    ) -> Answer:
        answer = super().apply(resource, namespace, body, **more)
        for field in body:
            if field not in ("apiVersion", "kind", "metadata", "data", "immutable"):
                raise ClusterError("PATCH", f".{field}: field not declared in schema", status=500)
        texts = {**body.get("data", {}), **body["metadata"].get("labels", {})}
        if not all(isinstance(text, str) for text in texts.values()):
            raise ClusterError("PATCH", ".data.k: expected string, got &{8080}", status=500)
        if not isinstance(body.get("immutable", True), bool):
            raise ClusterError("PATCH", ".immutable: expected boolean, got string", status=500)
        return answer


@pytest.mark.parametrize(
    "mistake", ["dat: {k: v}", 'immutable: "yes"', "data: {PORT: 8080}", "  labels: {port: 8080}"]
)
def test_one_mistake_in_two_thousand_new_objects_is_found(clock: FakeClock, mistake: str) -> None:
    """A misspelt field or a wrong type is a shape of its own, wherever it is."""
    cluster = _Strict()
    texts = [yaml_of("ConfigMap", f"c{n}", "data: {k: v}") for n in range(2000)]
    texts[1733] = yaml_of("ConfigMap", "c1733", mistake)

    rehearsal = _rehearsed(cluster, clock, "".join(texts))

    [problem] = rehearsal.problems
    assert "ConfigMap shop/c1733" in str(problem)
    assert _counts(cluster) == {"rehearse": 2}
    assert cluster.objects == {}


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(VALUES)
def test_every_value_has_a_shape(value: Any) -> None:
    """Whatever is written, shapes can be collected; an unknown field below is another shape."""
    assert len({shape_of(value), shape_of([value]), shape_of({"a": value})}) == 3
    assert shape_of({"a": value, "b": 1}) == shape_of({"b": 2, "a": value})
    assert shape_of({"a": value, "b": 1}) != shape_of({"a": value, "c": 1})


def test_every_refusal_is_told_with_its_line_in_order(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """One run shows all of them; nothing was changed."""
    for name in ("c3", "c1"):
        cluster.refusals[name] = ClusterError("PATCH", "no", status=422)
    cluster.refusals["c2"] = ClusterError(
        "PATCH", "conflict", status=409, conflicts=(Conflict(".data.k", "argocd"),)
    )

    rehearsal = _rehearsed(cluster, clock, _maps(5))

    assert [str(p).split(": ")[:2] for p in rehearsal.problems] == [
        ["f.yaml:8", "ConfigMap shop/c1"],
        ["f.yaml:20", "ConfigMap shop/c2"],
        ["f.yaml:22", "ConfigMap shop/c3"],
    ]
    assert [a.name.name for a in rehearsal.applied] == ["c0", "c4"]
    assert cluster.objects == {}


def test_what_will_be_replaced_is_no_refusal(cluster: FakeCluster, clock: FakeClock) -> None:
    """A Job with a new image is deleted and made anew; that is what a plan shows."""
    job = yaml_of("Job", "migrate", "spec: {parallelism: 1}")
    apply(job, cluster, clock)
    cluster.refusals["migrate"] = ClusterError("PATCH", "field is immutable", status=422)

    rehearsal = _rehearsed(cluster, clock, job.replace("1}", "2}"))

    assert [a.change for a in rehearsal.applied] == [Change.REPLACED]
    assert rehearsal.problems == []


ROLE = yaml_of("ServiceAccount", "robot")
QUOTA = yaml_of("Secret", "compute")  # any object of that name will do
NAMESPACE = yaml_of("Namespace", "shop")


@pytest.mark.parametrize(
    ("others", "what", "status", "passes"),
    [
        (NAMESPACE, 'namespaces "shop" not found', 404, True),
        ("", 'namespaces "shop" not found', 404, False),
        (ROLE, 'namespaces "shop" not found', 404, False),
        ("", 'configmaps "a" not found', 404, False),
        (ROLE, 'roles.rbac.authorization.k8s.io "robot" not found', 404, True),
        (ROLE, 'forbidden: serviceaccount "robot" not found', 403, True),
        (ROLE, "forbidden: error looking up service account shop/robot: not found", 403, True),
        ("", "forbidden: error looking up service account shop/robot: not found", 403, False),
        (ROLE, "forbidden: no PriorityClass with name robot was found", 403, True),
        (QUOTA, "forbidden: exceeded quota: compute, requested: pods=1", 403, True),
        (QUOTA, "forbidden: exceeded quota: other, requested: pods=1", 403, False),
        ("", "admission webhook x does not support dry run", 400, True),
        ("", "unable to create new content because it is being terminated", 403, True),
        ("", "object is being deleted: configmaps a already exists", 409, True),
        (ROLE, "User robot cannot patch configmaps", 403, False),
        ("", "404 page not found", 404, False),
    ],
)
def test_refusals_that_this_run_will_mend_are_none(
    clock: FakeClock, others: str, what: str, status: int, passes: bool
) -> None:
    """Objects that need each other are deployed together; a name that nobody declares is told."""
    cluster = FakeCluster()
    cluster.refusals["a"] = ClusterError("PATCH", what, status=status, reason="R")

    rehearsal = _rehearsed(cluster, clock, others + MAP)

    assert (rehearsal.problems == []) == passes


def test_what_is_there_already_is_not_what_is_missing(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """An unchanged object of the same name mends nothing."""
    apply(ROLE, cluster, clock)
    cluster.refusals["a"] = ClusterError("PATCH", 'roles "robot" not found', status=404)

    assert len(_rehearsed(cluster, clock, ROLE + MAP).problems) == 1


THING = "apiVersion: g.io/v1\nkind: Thing\nmetadata: {name: a}\n---\n"
DEFINITION = yaml_of("CustomResourceDefinition", "things.g.io", "spec: {versions: [%s]}")


@pytest.mark.parametrize(
    ("before", "now", "what", "problems"),
    [
        ("", DEFINITION % "a", "404 page not found", 0),
        (DEFINITION % "a", DEFINITION % "b", ".spec.x: field not declared in schema", 0),
        (DEFINITION % "a", DEFINITION % "a", ".spec.x: field not declared in schema", 1),
        ("", DEFINITION.replace("things", "others") % "a", "404 page not found", 1),
    ],
    ids=["new definition", "changed definition", "same definition", "another definition"],
)
def test_a_kind_may_be_installed_or_extended_in_the_same_run(
    clock: FakeClock, before: str, now: str, what: str, problems: int
) -> None:
    """An operator's new field and the first object that uses it can be deployed at once."""
    cluster = FakeCluster()
    apply(before, cluster, clock)
    cluster.refusals["a"] = ClusterError("PATCH", what, status=500)

    assert len(_rehearsed(cluster, clock, now + THING).problems) == problems


def test_a_webhook_without_pods_stops_nobody(cluster: FakeCluster, clock: FakeClock) -> None:
    """Its Deployment may be part of this very set."""
    error = TransientClusterError("PATCH", "failed calling webhook", status=500)
    error.patience = Patience.WEBHOOK
    cluster.refusals["a"] = error

    assert _rehearsed(cluster, clock, MAP).problems == []


def test_a_server_that_does_not_answer_ends_the_rehearsal(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """It is told once, not for every object."""
    cluster.refusals["a"] = TransientClusterError("https://c", "cannot be reached")

    with pytest.raises(TransientClusterError):
        _rehearsed(cluster, clock, MAP + WEB)
