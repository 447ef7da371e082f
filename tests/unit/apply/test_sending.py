"""One object on its way, and what its refusals ask for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.apply.plan import Action
from codexctl_tasks.apply.sending import APPEAR_TIMEOUT_S, REPLACE_ANNOTATION, Change
from codexctl_tasks.errors import ClusterError, Conflict, DeadlineError, TransientClusterError
from codexctl_tasks.stack.manifests import ObjectName
from tests.support.fakes import FakeClock, FakeCluster, managed
from tests.support.objects import yaml_of
from tests.support.plans import sender_of, step_of

if TYPE_CHECKING:
    from codexctl_tasks.apply.sending import Applied

MAP = yaml_of("ConfigMap", "a", "data: {k: v}")
CHANGED = MAP.replace("k: v", "k: w")
JOB = yaml_of("Job", "a", "spec: {parallelism: 1}")
WEB = yaml_of("Deployment", "a", "spec: {replicas: 2, paused: true}")
FIXED = ClusterError("PATCH", "spec.template: field is immutable", status=422)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


class _Desk:
    """Sends objects, and notes what it is told."""

    def __init__(self, cluster: FakeCluster, clock: FakeClock) -> None:
        self.cluster, self.clock = cluster, clock
        self.told: list[str] = []

    def send(self, text: str, **more: Any) -> Applied:
        step = step_of(text, self.cluster)
        self.cluster.calls.clear()
        return sender_of(self.cluster, self.clock, tell=self.told.append, **more).send(step)

    def rehearse(self, text: str, **more: Any) -> Applied:
        step = step_of(text, self.cluster)
        self.cluster.calls.clear()
        return sender_of(self.cluster, self.clock, **more).rehearse(step)


@pytest.fixture
def desk(cluster: FakeCluster, clock: FakeClock) -> _Desk:
    return _Desk(cluster, clock)


def _conflict(*conflicts: tuple[str, str, str]) -> ClusterError:
    return ClusterError(
        "PATCH", "conflict", status=409, conflicts=tuple(Conflict(*each) for each in conflicts)
    )


def _foreign(cluster: FakeCluster, manager: str, operation: str = "Update") -> None:
    """Let somebody else have applied the ConfigMap."""
    [found] = cluster.objects.values()
    found["metadata"]["managedFields"] = [managed(found, manager, operation)]


def test_it_is_told_what_changed(cluster: FakeCluster, desk: _Desk) -> None:
    """Created, changed or adopted: the log shows what this deploy really did."""
    assert desk.send(MAP).change is Change.CREATED
    assert desk.send(CHANGED).change is Change.CHANGED
    _foreign(cluster, "somebody")
    assert desk.send(MAP).change is Change.ADOPTED


def test_an_unchanged_object_costs_nothing(cluster: FakeCluster, desk: _Desk) -> None:
    """No request, even when the time is over; what is waited for is the object as it is."""
    sent = desk.send(MAP)

    again = desk.send(MAP, deadline_s=0.0)

    assert (again.change, again.found) == (Change.UNCHANGED, sent.found)
    assert cluster.calls == []


def test_what_was_sent_for_nothing_is_called_unchanged(cluster: FakeCluster, desk: _Desk) -> None:
    """In doubt an object is sent; when the server finds no change, nobody reads of one."""
    desk.send(MAP)
    live = cluster.objects["ConfigMap", "shop", "a"]
    live["metadata"]["managedFields"].append(managed(live, "x", "Update") | {"fieldsV1": {}})

    assert desk.send(MAP).change is Change.UNCHANGED
    assert cluster.calls == ["apply ConfigMap a"]


def test_warnings_of_the_server_are_kept(cluster: FakeCluster, desk: _Desk) -> None:
    """Deprecations reach the person who can do something about them."""
    cluster.warnings = ("v1beta1 is deprecated",)

    assert desk.send(MAP).warnings == ("v1beta1 is deprecated",)
    assert desk.rehearse(CHANGED).warnings == ("v1beta1 is deprecated",)


@pytest.mark.parametrize("manager", ["kubectl", "kubectl-edit", "helm"])
@pytest.mark.parametrize("rehearsed", [False, True])
def test_fields_of_former_deploys_are_taken_over(
    cluster: FakeCluster, desk: _Desk, manager: str, rehearsed: bool
) -> None:
    """Changing over from kubectl or helm needs no flag; it is told which fields were theirs."""
    cluster.refusals["a"] = _conflict((".data.k", manager, ""))

    applied = (desk.rehearse if rehearsed else desk.send)(MAP)

    assert [str(c) for c in applied.taken] == [f".data.k of {manager}"]
    verb = "rehearse" if rehearsed else "apply"
    assert cluster.calls == [f"{verb} ConfigMap a", f"{verb} ConfigMap a force"]


def test_a_controller_at_work_is_not_fought(cluster: FakeCluster, desk: _Desk) -> None:
    """Its field would be set back at once: that is refused, unless force is asked for."""
    cluster.refusals["a"] = _conflict((".data.k", "argocd-controller", ""))

    with pytest.raises(ClusterError) as caught:
        desk.send(MAP)
    assert caught.value.conflicts
    assert cluster.calls == ["apply ConfigMap a"]

    [taken] = desk.send(MAP, force=True).taken
    assert str(taken) == ".data.k of argocd-controller"
    assert cluster.calls == ["apply ConfigMap a", "apply ConfigMap a force"]


AUTOSCALED = (".spec.replicas", "kube-controller-manager", "scale")


@pytest.mark.parametrize(
    ("conflicts", "replicas", "taken"),
    [
        ([AUTOSCALED], None, []),
        ([(".spec.replicas", "kubectl", "scale")], 2, [".spec.replicas of kubectl (scale)"]),
        ([(".spec.replicas", "kubectl", "")], 2, [".spec.replicas of kubectl"]),
    ],
    ids=["autoscaler", "kubectl scale", "kubectl edit"],
)
def test_replicas_of_an_autoscaler_are_left_alone(
    cluster: FakeCluster,
    desk: _Desk,
    conflicts: list[tuple[str, str, str]],
    replicas: int | None,
    taken: list[str],
) -> None:
    """An autoscaler of another stack keeps its number; what a person scaled by hand does not."""
    cluster.late_refusals["a"] = [_conflict(*conflicts)]

    applied = desk.send(WEB)

    assert applied.found["spec"].get("replicas") == replicas
    assert applied.found["spec"]["paused"] is True
    assert [str(each) for each in applied.taken] == taken


def test_an_autoscaler_and_a_former_deploy_at_once(cluster: FakeCluster, desk: _Desk) -> None:
    """Replicas stay the autoscaler's, the other field becomes ours; no flag is needed."""
    kubectl = (".spec.paused", "kubectl", "")
    cluster.late_refusals["a"] = [_conflict(AUTOSCALED, kubectl), _conflict(kubectl)]

    applied = desk.send(WEB)

    assert applied.found["spec"] == {"paused": True}
    assert [str(each) for each in applied.taken] == [".spec.paused of kubectl"]


def test_another_managers_replicas_are_refused_like_any_field(
    cluster: FakeCluster, desk: _Desk
) -> None:
    """Only a number that was set through ``scale`` is an autoscaler's."""
    cluster.refusals["a"] = _conflict((".spec.replicas", "some-operator", ""))

    with pytest.raises(ClusterError):
        desk.send(WEB)


def test_what_an_earlier_tool_applied_is_handed_over_first(
    cluster: FakeCluster, desk: _Desk
) -> None:
    """What it set and the manifest does not have goes away; once, not with every deploy."""
    desk.send(MAP)
    _foreign(cluster, "kubectl-client-side-apply")

    assert desk.send(CHANGED).change is Change.ADOPTED
    assert cluster.calls == ["patch ConfigMap a", "apply ConfigMap a"]
    [entry] = cluster.patches[0][0]["value"]
    assert (entry["manager"], entry["operation"]) == ("codexctl", "Apply")

    desk.send(MAP)
    assert cluster.calls == ["apply ConfigMap a"]


def test_an_object_that_changed_meanwhile_is_read_again(cluster: FakeCluster, desk: _Desk) -> None:
    """A controller wrote at the same moment: its entry is not lost."""
    desk.send(MAP)
    _foreign(cluster, "helm")
    step = step_of(CHANGED, cluster)
    found = cluster.objects["ConfigMap", "shop", "a"]
    entries = [*found["metadata"]["managedFields"], managed(found, "controller", "Update")]
    metadata = {**found["metadata"], "managedFields": entries, "resourceVersion": "99"}
    cluster.objects["ConfigMap", "shop", "a"] = {**found, "metadata": metadata}
    cluster.calls.clear()

    sender_of(cluster, desk.clock).send(step)

    assert cluster.calls == [
        "patch ConfigMap a",
        "get ConfigMap a",
        "patch ConfigMap a",
        "apply ConfigMap a",
    ]
    assert {e["manager"] for e in cluster.patches[0][0]["value"]} == {"codexctl", "controller"}


@pytest.mark.parametrize(("status", "patches"), [(409, 5), (404, 5), (403, 1)])
def test_a_hand_over_that_never_succeeds(
    cluster: FakeCluster, desk: _Desk, status: int, patches: int
) -> None:
    """Somebody writes all the time: the deploy goes on without it; a missing right is told."""
    desk.send(MAP)
    _foreign(cluster, "helm")
    cluster.patch_refusals = [ClusterError("PATCH", "no", status=status) for _ in range(9)]

    if status == 403:
        with pytest.raises(ClusterError):
            desk.send(CHANGED)
    else:
        desk.send(CHANGED)

    counts = Counter(call.split()[0] for call in cluster.calls)
    assert (counts["patch"], counts["apply"]) == (patches, status != 403)


def _held(cluster: FakeCluster, desk: _Desk, text: str = MAP) -> str:
    """Let the object be deleted and a finalizer hold it; return its UID."""
    desk.send(text)
    [found] = cluster.objects.values()
    found["metadata"]["finalizers"] = ["example.io/hold"]
    step = step_of(text, cluster)
    uid = str(found["metadata"]["uid"])
    cluster.delete(step.placed.resource, "shop", "a", uid)
    return uid


def test_an_object_that_is_being_deleted_is_awaited_and_made_anew(
    cluster: FakeCluster, desk: _Desk
) -> None:
    """The server takes changes to it, and drops them with the object: that is no deploy."""
    uid = _held(cluster, desk)
    desk.clock.at(5, lambda: cluster.release("ConfigMap", "shop", "a"))

    applied = desk.send(CHANGED)

    assert applied.change is Change.CREATED
    assert applied.found["metadata"]["uid"] != uid
    assert applied.found["data"] == {"k": "w"}
    assert desk.told == ["ConfigMap shop/a is being deleted: waiting until it is gone"]
    counts = Counter(call.split()[0] for call in cluster.calls)
    assert counts == {"apply": 2, "get": 6}  # a look each second


def test_nobody_waits_for_an_object_that_was_made_anew(cluster: FakeCluster, desk: _Desk) -> None:
    """Its operator was faster: that one is changed, whatever became of the other."""
    _held(cluster, desk)

    def anew() -> None:
        found = cluster.objects["ConfigMap", "shop", "a"]
        metadata = {"name": "a", "namespace": "shop", "uid": "newer", "resourceVersion": "7"}
        cluster.objects["ConfigMap", "shop", "a"] = {**found, "metadata": metadata}

    desk.clock.at(2, anew)

    assert desk.send(CHANGED, deadline_s=60.0).found["metadata"]["uid"] == "newer"
    assert len(desk.clock.sleeps) == 2


def test_a_server_that_refuses_changes_to_a_dying_object_is_understood(
    cluster: FakeCluster, desk: _Desk
) -> None:
    """New finalizers are refused with words: the same wait follows."""
    _held(cluster, desk)
    desk.clock.at(2, lambda: cluster.release("ConfigMap", "shop", "a"))
    cluster.late_refusals["a"] = [
        ClusterError("PATCH", "no new finalizers if the object is being deleted", status=422)
    ]

    assert desk.send(CHANGED).change is Change.CREATED


def test_who_holds_a_dying_object_is_named_when_the_time_is_over(
    cluster: FakeCluster, desk: _Desk
) -> None:
    """Exit code 70, the object, its line, and the finalizer that nobody removes."""
    _held(cluster, desk)

    with pytest.raises(DeadlineError) as caught:
        desk.send(CHANGED, deadline_s=30.0)

    assert str(caught.value).startswith(
        "f.yaml:1: ConfigMap shop/a: the time ran out: finalizer example.io/hold holds it"
    )
    assert 30 <= desk.clock.time < 32


def test_a_namespace_that_somebody_deletes_meanwhile_ends_the_object(
    cluster: FakeCluster, desk: _Desk
) -> None:
    """It was awaited before the run began: nobody hangs on it for ten minutes."""
    what = "unable to create new content in namespace shop because it is being terminated"
    cluster.refusals["a"] = ClusterError("PATCH", what, status=403)

    with pytest.raises(ClusterError, match="terminated"):
        desk.send(MAP)
    assert desk.clock.sleeps == []


def test_a_job_that_cannot_be_changed_is_replaced(cluster: FakeCluster, desk: _Desk) -> None:
    """A migration of the same name runs again with its new image: exactly the old Job goes."""
    desk.send(JOB)
    before = cluster.objects["Job", "shop", "a"]["metadata"]["uid"]
    cluster.late_refusals["a"] = [FIXED]

    applied = desk.send(JOB.replace("1", "2"))

    assert applied.change is Change.REPLACED
    assert applied.found["metadata"]["uid"] != before
    assert [c for c in cluster.calls if not c.startswith("get")] == [
        "apply Job a",
        "delete Job a",
        "apply Job a",
    ]
    assert desk.told == ["Job shop/a cannot be changed: deleting it to create it anew"]


def test_a_replaced_job_is_awaited_until_it_is_gone(cluster: FakeCluster, desk: _Desk) -> None:
    """Its pods may need a while to stop; whoever made one of that name meanwhile keeps it."""
    desk.send(JOB)
    cluster.objects["Job", "shop", "a"]["metadata"]["finalizers"] = ["foregroundDeletion"]
    cluster.late_refusals["a"] = [FIXED]
    desk.clock.at(3, lambda: cluster.release("Job", "shop", "a"))

    assert desk.send(JOB.replace("1", "2")).change is Change.REPLACED
    assert len(desk.clock.sleeps) == 3


def _owned_by_a_cron_job(cluster: FakeCluster) -> None:
    [found] = cluster.objects.values()
    metadata = {"managedFields": [], "ownerReferences": [{"kind": "CronJob", "name": "c"}]}
    found["metadata"] |= metadata


ANNOTATED = MAP.replace("name: a", f'name: a\n  annotations: {{{REPLACE_ANNOTATION}: "true"}}')


@pytest.mark.parametrize(
    ("text", "prepare", "replaced"),
    [
        (MAP, None, False),
        (ANNOTATED, None, True),
        (ANNOTATED.replace('"true"', '"false"'), None, False),
        (JOB, None, True),
        (JOB, _owned_by_a_cron_job, False),
        (JOB.replace("batch/v1", "g.io/v1"), None, False),
    ],
    ids=["map", "annotated", "annotated false", "Job", "Job of a CronJob", "Job of others"],
)
def test_only_what_may_be_is_replaced(
    cluster: FakeCluster, desk: _Desk, text: str, prepare: Any, replaced: bool
) -> None:
    """Nothing is deleted to change it, except Jobs and what its author marked."""
    desk.send(text)
    if prepare:
        prepare(cluster)
    cluster.late_refusals["a"] = [FIXED]
    changed = text.replace("k: v", "k: w").replace("parallelism: 1", "parallelism: 2")

    if replaced:
        assert desk.send(changed).change is Change.REPLACED
    else:
        with pytest.raises(ClusterError, match="immutable"):
            desk.send(changed)
    assert ("delete" in {call.split()[0] for call in cluster.calls}) == replaced


@pytest.mark.parametrize(
    ("what", "status", "immutable"),
    [
        ("spec.selector: Invalid value: {}: field is immutable", 422, True),
        ("data: Forbidden: field is immutable when `immutable` is set", 422, True),
        ("spec.clusterIPs[0]: Invalid value: may not change once set", 422, False),
        ("spec: Forbidden: updates to statefulset spec for fields other than 'r'", 422, True),
        ("pod updates may not change fields; may not be changed", 422, True),
        ("roleRef: Invalid value: cannot change roleRef", 422, True),
        ("spec.replicas: Invalid value: -1", 422, False),
        ("field is immutable, says a webhook that denied the request", 403, False),
    ],
)
def test_which_refusals_are_about_fields_that_are_set_once(
    cluster: FakeCluster, desk: _Desk, what: str, status: int, immutable: bool
) -> None:
    """As the API server words them; an ordinary mistake never deletes anything."""
    desk.send(JOB)
    cluster.late_refusals["a"] = [ClusterError("PATCH", what, status=status)]

    if immutable:
        assert desk.send(JOB.replace("1", "2")).change is Change.REPLACED
    else:
        with pytest.raises(ClusterError):
            desk.send(JOB.replace("1", "2"))


def _gone(what: str = 'namespaces "shop" not found') -> ClusterError:
    return ClusterError("PATCH", what, status=404, reason="NotFound")


THING = "apiVersion: g.io/v1\nkind: Thing\nmetadata: {name: a}\n"
NAMESPACE = ObjectName("v1", "Namespace", "", "shop")
DEFINITION = ObjectName("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "things.g.io")


@pytest.mark.parametrize(("text", "declared"), [(MAP, NAMESPACE), (THING, DEFINITION)])
def test_what_this_set_has_just_applied_may_appear(
    cluster: FakeCluster, desk: _Desk, text: str, declared: ObjectName
) -> None:
    """A server that has not heard of the new namespace or kind yet is asked again."""
    cluster.late_refusals["a"] = [_gone(), _gone()]

    assert desk.send(text, declared={declared}).change is Change.CREATED
    assert len(desk.clock.sleeps) == 2


def test_what_does_not_appear_is_told_after_half_a_minute(
    cluster: FakeCluster, desk: _Desk
) -> None:
    """The server's own words, not a time-out."""
    cluster.refusals["a"] = _gone()

    with pytest.raises(ClusterError, match="not found"):
        desk.send(MAP, declared={NAMESPACE})
    assert APPEAR_TIMEOUT_S <= desk.clock.time < APPEAR_TIMEOUT_S + 2


@pytest.mark.parametrize(
    ("text", "declared"),
    [
        (MAP, set()),
        (MAP, {DEFINITION}),
        (MAP, {NAMESPACE._replace(name="other")}),
        (THING, {DEFINITION._replace(name="others.g.io")}),
        (yaml_of("Namespace", "a"), {NAMESPACE}),
    ],
)
def test_what_nobody_declares_is_missing_at_once(
    cluster: FakeCluster, desk: _Desk, text: str, declared: set[ObjectName]
) -> None:
    """A mistyped namespace costs no half minute, whatever else the set declares."""
    cluster.refusals["a"] = _gone()

    with pytest.raises(ClusterError, match="not found"):
        desk.send(text, declared=declared)
    assert desk.clock.sleeps == []


def test_nothing_is_sent_when_the_time_is_over(cluster: FakeCluster, desk: _Desk) -> None:
    """Exit code 70: repeating the run goes on where it stopped."""
    with pytest.raises(DeadlineError, match="it was not sent") as caught:
        desk.send(MAP, deadline_s=0.0)

    assert cluster.calls == []
    assert caught.value.exit_code == 70


def test_trouble_of_the_connection_is_not_repeated_here(cluster: FakeCluster, desk: _Desk) -> None:
    """It was repeated below for long."""
    cluster.refusals["a"] = TransientClusterError("PATCH", "is being deleted", status=503)

    with pytest.raises(TransientClusterError):
        desk.send(MAP)
    assert cluster.calls == ["apply ConfigMap a"]


def test_a_rehearsal_changes_nothing(cluster: FakeCluster, desk: _Desk) -> None:
    """It tells what would happen; an object that stays as it is, is called unchanged."""
    assert desk.rehearse(MAP).change is Change.CREATED
    assert cluster.objects == {}

    desk.send(MAP)
    before = dict(cluster.objects)
    assert desk.rehearse(CHANGED).change is Change.CHANGED
    _foreign(cluster, "helm")
    assert desk.rehearse(MAP).change is not Change.CREATED
    assert (cluster.objects, cluster.patches) == (before, [])
    assert step_of(MAP, cluster).action is Action.ADOPT


def test_a_rehearsal_recognises_what_would_stay(cluster: FakeCluster, desk: _Desk) -> None:
    """A dry run answers with the version that is there: only the content tells."""
    desk.send(MAP)
    [live] = cluster.objects.values()
    live["metadata"]["managedFields"].append(managed(live, "x", "Update") | {"fieldsV1": {}})

    assert step_of(MAP, cluster).action is Action.CHANGE
    assert desk.rehearse(MAP).change is Change.UNCHANGED


def test_a_rehearsal_does_not_call_a_hand_over_unchanged(cluster: FakeCluster, desk: _Desk) -> None:
    """What the earlier tool has set goes away then, which no dry run shows."""
    desk.send(MAP)
    [live] = cluster.objects.values()
    live["metadata"]["managedFields"].append(managed(live, "helm", "Update"))

    assert desk.rehearse(MAP).change is Change.CHANGED
