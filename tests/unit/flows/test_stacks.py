"""Stacks with a name: what earlier runs applied is remembered, and pruned when it leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.apply.bodies import STACK_LABEL
from codexctl_tasks.apply.inventory import Inventory
from codexctl_tasks.errors import ClusterError, DeadlineError, Interrupted, TransientClusterError
from codexctl_tasks.flows import deploy
from codexctl_tasks.settings import deploy_request
from tests.support.fakes import managed
from tests.support.objects import yaml_of
from tests.support.stage import SPEC, WAVE, broken, healthy, pending, report_of

if TYPE_CHECKING:
    from tests.support.stage import Stage, Task

INVENTORY = ("ConfigMap", "shop", "codexctl-web")
LEASE = ("Lease", "shop", "codexctl-web")


def _map(name: str, value: str = "v", *more: str) -> str:
    return yaml_of("ConfigMap", name, *more, f"data: {{k: {value}}}")


WEB = yaml_of("Deployment", "web", SPEC)
MAPS = "".join(_map(name) for name in "abcde")


def _remembered(stage: Stage) -> list[str]:
    inventory = Inventory(stage.cluster, "web", "shop")
    inventory.read()
    return sorted(name.short for name in inventory.names)


def _deploy(stage: Stage, *manifests: str, task: Task = deploy.apply_and_wait, **given: Any) -> int:
    stage.write(*manifests)
    return stage.run(task, **{"stack": "web", **given})


def _refused(stage: Stage, *manifests: str, task: Task = deploy.apply_and_wait) -> str:
    stage.write(*manifests)
    return str(stage.refused(task, stack="web"))


def test_the_first_deploy_of_a_stack(stage: Stage) -> None:
    """Namespace, then the names of everything, then the objects: a crash leaves none unknown."""
    assert _deploy(stage, _map("a"), WEB) == 0

    assert stage.sent("apply") == [
        "Namespace shop",
        "ConfigMap codexctl-web force",
        "ConfigMap a",
        "Deployment web",
    ]
    assert _remembered(stage) == ["ConfigMap a", "Deployment web"]
    metadata = stage.cluster.objects["ConfigMap", "shop", "a"]["metadata"]
    assert metadata["labels"] == {STACK_LABEL: "web.shop"}
    assert LEASE not in stage.cluster.objects
    assert STACK_LABEL not in str(stage.cluster.objects["Namespace", "", "shop"])


@pytest.mark.parametrize("task", [deploy.apply, deploy.apply_and_wait])
def test_a_stack_may_bring_its_own_namespace(stage: Stage, task: Task) -> None:
    """The declared one comes before the lease and the inventory that live in it, and once."""
    namespace = yaml_of("Namespace", "shop", "  labels: {team: a}", WAVE % 0)

    assert _deploy(stage, _map("a"), namespace, task=task) == 0

    assert stage.sent("apply") == ["Namespace shop", "ConfigMap codexctl-web force", "ConfigMap a"]
    labels = stage.cluster.objects["Namespace", "", "shop"]["metadata"]["labels"]
    assert labels == {"team": "a", STACK_LABEL: "web.shop"}
    assert stage.shown.count("created   Namespace shop") == 1
    assert "2 created" in stage.shown
    assert _deploy(stage, _map("a"), namespace, task=task) == 0
    assert stage.sent("apply") == []


def test_a_stack_of_cluster_wide_objects_has_a_namespace_to_be_remembered_in(stage: Stage) -> None:
    """Its inventory needs a place, although none of its objects has a namespace."""
    assert _deploy(stage, yaml_of("Namespace", "other", "  labels: {a: b}")) == 0

    assert _remembered(stage) == ["Namespace other"]


def test_a_second_deploy_sends_nothing(stage: Stage) -> None:
    """Without a change nothing is applied, rehearsed or remembered: a few reads, one lease."""
    _deploy(stage, MAPS, WEB)

    assert _deploy(stage, MAPS, WEB) == 0

    assert (stage.sent("apply"), stage.sent("rehearse"), stage.sent("review")) == (
        [],
        [],
        ["rules"],
    )  # of the rights to watch
    assert "6 unchanged" in stage.shown
    assert "HEALTHY  1 ready" in stage.shown
    assert len(stage.sent("create")) == 1  # the lease


def test_what_left_the_stack_is_pruned_after_the_wait(stage: Stage) -> None:
    """New things are healthy before old ones go; then nothing remembers them."""
    _deploy(stage, MAPS, WEB)
    assert _deploy(stage, MAPS.partition(_map("d"))[0], _map("f"), WEB) == 0

    writes = [c for c in stage.cluster.calls if c.startswith(("apply", "delete ConfigMap"))]
    assert [call.split()[0:3] for call in writes] == [
        ["apply", "ConfigMap", "codexctl-web"],
        ["apply", "ConfigMap", "f"],
        ["delete", "ConfigMap", writes[2].split()[2]],
        ["delete", "ConfigMap", writes[3].split()[2]],
        ["apply", "ConfigMap", "codexctl-web"],
    ]
    assert sorted(call for call in stage.sent("delete") if "Lease" not in call) == [
        "ConfigMap d Background",
        "ConfigMap e Background",
    ]
    assert _remembered(stage) == [*(f"ConfigMap {name}" for name in "abcf"), "Deployment web"]
    assert "prune    pruned    ConfigMap shop/d" in stage.shown


def test_what_is_about_to_be_applied_is_remembered_beside_what_is_there(stage: Stage) -> None:
    """A run that dies between two objects leaves none behind that nobody prunes later."""
    _deploy(stage, _map("a"))
    stage.cluster.late_refusals["new"] = [ClusterError("PATCH", "no", status=422)]

    _refused(stage, _map("new"))

    assert _remembered(stage) == ["ConfigMap a", "ConfigMap new"]
    assert _deploy(stage, _map("new")) == 0
    assert stage.names == {"ConfigMap new"}
    assert _remembered(stage) == ["ConfigMap new"]


def test_nothing_is_pruned_after_a_failed_wait(stage: Stage) -> None:
    """A deploy that is not healthy takes nothing away that may still be needed."""
    _deploy(stage, _map("a"), WEB)
    stage.cluster.on_apply = broken(stage.cluster)

    assert _deploy(stage, WEB.replace("1}", "2}")) == 1

    assert "ConfigMap a" in stage.names
    assert "ConfigMap a" in _remembered(stage)
    stage.cluster.on_apply = pending
    assert _deploy(stage, WEB.replace("1}", "3}"), wait_timeout="5s") == 70
    assert "ConfigMap a" in stage.names


@pytest.mark.parametrize(
    ("task", "given", "line"),
    [
        (deploy.apply, {}, "1 object has left the stack: apply-wait prunes them"),
        (
            deploy.apply_and_wait,
            {"no_prune": True},
            "1 object has left the stack: pruning is switched off",
        ),
    ],
)
def test_nothing_is_pruned_unless_it_is_wanted(
    stage: Stage, task: Task, given: dict[str, Any], line: str
) -> None:
    """It is said what left, and it is not forgotten: a later apply-wait prunes it."""
    _deploy(stage, _map("a"), _map("b"))

    assert _deploy(stage, _map("b"), task=task, **given) == 0

    assert stage.names == {"ConfigMap a", "ConfigMap b"}
    assert line in stage.shown
    assert _deploy(stage, _map("b")) == 0
    assert stage.names == {"ConfigMap b"}


def test_nothing_is_pruned_with_filters(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a filter leaves out has not left the stack."""
    (stage.folder / "services.yaml").write_text(
        "project: shop\n"
        "environments: {staging: {namespace: shop}}\n"
        "services:\n"
        "- {name: a, manifests: [{path: a.yaml}]}\n"
        "- {name: b, manifests: [{path: b.yaml}]}\n"
    )
    for name in "ab":
        (stage.folder / f"{name}.yaml").write_text(_map(name))
    monkeypatch.setenv("CODEXCTL_STACK", "web")
    assert deploy.apply_and_wait(deploy_request(env="staging"), stage.outside) == 0

    request = deploy_request(env="staging", only_services="a")
    assert deploy.apply_and_wait(request, stage.outside) == 0

    namespaces = {space for kind, space, name in stage.cluster.objects if name in "ab"}
    assert stage.names == {"ConfigMap a", "ConfigMap b"}
    [namespace] = namespaces
    inventory = Inventory(stage.cluster, "web", namespace)
    inventory.read()
    assert sorted(name.short for name in inventory.names) == ["ConfigMap a", "ConfigMap b"]


def test_an_empty_set_prunes_nothing(stage: Stage) -> None:
    """A condition that is false by mistake does not delete a whole stack; destroy does."""
    _deploy(stage, _map("a"))
    (stage.folder / "services.yaml").write_text("project: web\nservices: []\n")
    request = deploy_request(env="prod", namespace="shop", stack="web")

    assert deploy.apply_and_wait(request, stage.outside) == 0

    assert stage.names == {"ConfigMap a"}
    assert _remembered(stage) == ["ConfigMap a"]
    assert "nothing is desired any more: destroy deletes what was" in stage.shown
    request = deploy_request(env="prod", namespace="missing", stack="web")
    assert deploy.apply_and_wait(request, stage.outside) == 0
    assert ("Namespace", "", "missing") not in stage.cluster.objects


def test_what_stays_is_told_and_remembered(stage: Stage) -> None:
    """A volume claim stays until it is asked for; what became somebody else's is forgotten."""
    claim = yaml_of("PersistentVolumeClaim", "data", "spec: {a: b}")
    _deploy(stage, _map("a"), _map("b"), claim)
    stage.cluster.objects["ConfigMap", "shop", "b"]["metadata"]["labels"] = {}

    assert _deploy(stage, _map("a")) == 0

    assert stage.names == {"ConfigMap a", "ConfigMap b", "PersistentVolumeClaim data"}
    assert _remembered(stage) == ["ConfigMap a", "PersistentVolumeClaim data"]
    assert (
        "left the stack, but stays: PersistentVolumeClaim shop/data:"
        " a PersistentVolumeClaim is pruned only with --prune-protected" in stage.shown
    )
    assert "stays: ConfigMap shop/b: it has lost the label of the stack" in stage.shown
    assert _deploy(stage, _map("a"), prune_protected=True) == 0
    assert stage.names == {"ConfigMap a", "ConfigMap b"}


def test_a_refused_pruning_is_exit_code_4_and_tried_again(stage: Stage) -> None:
    """Everything else went well, and the report says so; the next run prunes it."""
    _deploy(stage, _map("a"), _map("b"), WEB)
    delete = stage.cluster.delete

    def refuse(resource: Any, namespace: str, name: str, uid: str, **more: Any) -> bool:
        if name == "a":
            raise ClusterError("DELETE", "forbidden", status=403)
        return delete(resource, namespace, name, uid, **more)

    stage.cluster.delete = refuse  # type: ignore[method-assign]

    assert _refused(stage, _map("b"), WEB) == "ConfigMap shop/a: forbidden"
    assert "STOPPED  1 ready" in stage.shown
    assert "ConfigMap a" in _remembered(stage)

    del stage.cluster.delete  # type: ignore[misc]
    assert _deploy(stage, _map("b"), WEB) == 0
    assert stage.names == {"ConfigMap b", "Deployment web"}


def test_a_right_to_delete_is_missing_before_anything_is_applied(stage: Stage) -> None:
    """Nobody finds out after ten minutes of waiting that pruning is not allowed."""
    _deploy(stage, _map("a"), _map("b"))
    rule = {"verbs": ["create", "patch"], "apiGroups": ["*"], "resources": ["*"]}
    stage.cluster.rules = [rule]

    assert "ConfigMap shop/a: this account may not delete" in _refused(stage, _map("b", "w"))
    assert stage.sent("apply") == []
    assert _deploy(stage, _map("b", "w"), task=deploy.apply) == 0


def test_an_account_that_may_not_read_the_inventory(stage: Stage) -> None:
    """It can deploy all the same; it is told what it does not get."""
    _deploy(stage, _map("a"), WEB)
    stage.cluster.forbidden_kinds.add("ConfigMap")

    assert _deploy(stage, WEB) == 0

    assert "this account may not read it" in stage.shown
    assert stage.names == {"ConfigMap a", "Deployment web"}


def test_a_damaged_inventory_ends_the_run(stage: Stage) -> None:
    """Nothing is guessed, nothing applied; the error says how to go on."""
    _deploy(stage, _map("a"))
    stage.cluster.objects[INVENTORY]["data"] = {"objects": "odd"}

    assert "ConfigMap shop/codexctl-web: is damaged" in _refused(stage, _map("a", "w"))
    assert stage.sent("apply") == []


def test_objects_of_kubectl_are_adopted_once(stage: Stage) -> None:
    """Changing over is told; the next deploy has nothing to do."""
    _deploy(stage, _map("a"))
    found = stage.cluster.objects["ConfigMap", "shop", "a"]
    found["metadata"]["managedFields"] = [managed(found, "kubectl-client-side-apply", "Update")]

    assert _deploy(stage, _map("a")) == 0
    assert "adopted   ConfigMap shop/a" in stage.shown
    assert stage.sent("patch") == ["ConfigMap a"]
    assert _deploy(stage, _map("a")) == 0
    assert (stage.sent("patch"), stage.sent("apply")) == ([], [])


def test_an_object_moves_from_one_stack_to_another(stage: Stage) -> None:
    """The new stack says whose it was; the old one lets it go instead of deleting it."""
    _deploy(stage, _map("a"), _map("b"))

    assert _deploy(stage, _map("b"), stack="other") == 0
    assert "took over ConfigMap shop/b from stack web.shop" in stage.shown
    assert _deploy(stage, _map("a")) == 0

    assert stage.names == {"ConfigMap a", "ConfigMap b"}
    assert "stays: ConfigMap shop/b: it belongs to stack other.shop" in stage.shown


def _interrupt_at(stage: Stage, name: str) -> None:
    def on_apply(stored: dict[str, Any]) -> None:
        healthy(stored)
        if stored["metadata"]["name"] == name:
            raise Interrupted(15)

    stage.cluster.on_apply = on_apply


def test_an_interruption_tells_what_was_done_and_what_was_not(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Applied, perhaps applied, not applied: as text and as JSON; the lease is given back."""
    text = (_map("a"), _map("b", "v", WAVE % 1), _map("c", "v", WAVE % 2))
    _interrupt_at(stage, "b")

    assert _deploy(stage, *text, output="json") == 143

    assert "2 of 4 objects were applied before the end" in stage.shown
    assert "ConfigMap shop/b was sent, and may have been applied or not" in stage.shown
    assert "ConfigMap shop/c was not applied" in stage.shown
    report = report_of(capsys)
    assert {each["name"]: each["outcome"] for each in report["objects"]} == {
        "shop": "created",
        "a": "created",
        "b": "unknown",
        "c": "not applied",
    }
    assert (report["exitCode"], report["stack"], report["namespace"]) == (143, "web", "shop")
    assert LEASE not in stage.cluster.objects
    assert len(_remembered(stage)) == 3


def test_an_interruption_before_the_apply_changes_nothing(stage: Stage) -> None:
    """Ctrl-C while the rehearsal runs."""
    stage.write(_map("a"))
    rehearse = stage.cluster.apply

    def interrupt(*args: Any, **more: Any) -> Any:
        if more.get("dry_run"):
            raise Interrupted(2)
        return rehearse(*args, **more)

    stage.cluster.apply = interrupt  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        stage.run(deploy.apply, stack="web")

    assert stage.cluster.objects == {}


def test_no_connection_in_the_middle_tells_what_was_done(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever repeats the run knows where it stands; JSON has the error, too."""
    stage.write(_map("a"), _map("b", "v", WAVE % 1), _map("c", "v", WAVE % 2))
    error = TransientClusterError("https://c", "cannot be reached")
    stage.cluster.late_refusals["b"] = [error]

    assert stage.refused(deploy.apply, stack="web", output="json") is error

    report = report_of(capsys)
    assert report["exitCode"] == 4
    assert [each["outcome"] for each in report["objects"]] == [
        *("created", "created", "unknown", "not applied"),
    ]
    assert report["problems"] == [{"where": "https://c", "what": "cannot be reached", "fix": ""}]


def _steal(stage: Stage) -> None:
    """Let another run take the lease over, while this one was asleep for a minute."""
    lease = stage.cluster.objects[LEASE]
    stage.cluster.objects[LEASE] = {
        **lease,
        "metadata": {**lease["metadata"], "resourceVersion": "later"},
        "spec": {**lease["spec"], "holderIdentity": "the other", "acquireTime": "2026-01-02T03:04"},
    }
    stage.clock.pass_time(60)


def test_a_run_that_loses_its_lease_applies_nothing_more(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """A laptop that was asleep does not fight with the run that went on; exit code 4."""
    first = _map("z", "v", WAVE % -1)
    _deploy(stage, first)

    def on_apply(stored: dict[str, Any]) -> None:
        if stored["metadata"]["name"] == "a":
            _steal(stage)

    stage.cluster.on_apply = on_apply
    stage.write(_map("a"), _map("b", "v", WAVE % 1), first)

    error = stage.refused(deploy.apply_and_wait, stack="web", output="json")

    assert "Lease shop/codexctl-web: taken over by the other" in str(error)
    assert stage.names == {"ConfigMap a", "ConfigMap z"}
    outcomes = [each["outcome"] for each in report_of(capsys)["objects"]]
    assert outcomes == ["created", "not applied", "unchanged"]
    assert stage.cluster.objects[LEASE]["spec"]["holderIdentity"] == "the other"


def test_a_run_that_loses_its_lease_while_waiting_prunes_nothing(stage: Stage) -> None:
    """The other run may have applied again what this one believes to be leaving."""
    _deploy(stage, _map("a"), _map("b"), WEB)
    stage.cluster.on_apply = pending
    web = ("Deployment", "shop", "web")

    def go_on() -> None:
        healthy(stage.cluster.objects[web])
        _steal(stage)

    stage.clock.at(5, go_on)

    assert "taken over by the other" in _refused(stage, _map("b"), WEB.replace("1}", "1, a: b}"))

    assert "ConfigMap a" in stage.names
    assert "ConfigMap a" in _remembered(stage)
    assert stage.sent("apply") == ["Deployment web"]


def test_a_second_run_waits_for_the_first_and_plans_after_it(stage: Stage) -> None:
    """What the other run has just done is not undone by what was read before."""
    _deploy(stage, _map("a"))
    stage.cluster.objects[LEASE] = {
        "metadata": {"uid": "u", "resourceVersion": "1"},
        "spec": {"holderIdentity": "the other", "leaseDurationSeconds": 20},
    }

    def finish() -> None:
        del stage.cluster.objects[LEASE]
        del stage.cluster.objects["ConfigMap", "shop", "a"]

    stage.clock.at(5, finish)

    assert _deploy(stage, _map("a")) == 0

    assert "waiting for the other" in stage.shown
    assert stage.sent("apply") == ["ConfigMap a"]


def test_two_first_deploys_at_once(stage: Stage) -> None:
    """The namespace is new for both: who comes second waits in it, and plans anew."""

    def on_apply(stored: dict[str, Any]) -> None:
        healthy(stored)
        if stored["kind"] == "Namespace":
            stage.cluster.objects[LEASE] = {
                "metadata": {"uid": "u", "resourceVersion": "1"},
                "spec": {"holderIdentity": "the other", "leaseDurationSeconds": 20},
            }

    def finish() -> None:
        del stage.cluster.objects[LEASE]
        _finish_another_run(stage)

    stage.cluster.on_apply = on_apply
    stage.clock.at(5, finish)

    assert _deploy(stage, _map("a"), _map("b")) == 0

    assert "adopted   ConfigMap shop/a" in stage.shown
    assert stage.sent("apply").count("Namespace shop") == 1
    assert stage.names == {"ConfigMap a", "ConfigMap b"}


def _finish_another_run(stage: Stage) -> None:
    """Let another run have applied ConfigMaps ``a`` and ``gone``, and remembered them."""
    identity = {"namespace": "shop", "generation": 1, "resourceVersion": "7", "labels": {}}
    for name in ("a", "gone"):
        labels = {STACK_LABEL: "web.shop"}
        metadata = {**identity, "name": name, "uid": f"other-{name}", "labels": labels}
        stage.cluster.objects["ConfigMap", "shop", name] = {"metadata": metadata, "data": {}}
    objects = {"objects": "v1 ConfigMap shop\n  a\n  gone\n"}
    stage.cluster.objects[INVENTORY] = {"metadata": {**identity, "uid": "i"}, "data": objects}


def test_a_first_deploy_that_came_and_went_meanwhile_is_not_forgotten(stage: Stage) -> None:
    """The other run was faster and is over: what it has applied is remembered, and pruned."""

    def on_apply(stored: dict[str, Any]) -> None:
        healthy(stored)
        if stored["kind"] == "Namespace":
            _finish_another_run(stage)

    stage.cluster.on_apply = on_apply

    assert _deploy(stage, _map("a"), _map("b")) == 0

    assert stage.names == {"ConfigMap a", "ConfigMap b"}
    assert "adopted   ConfigMap shop/a" in stage.shown
    assert "pruned    ConfigMap shop/gone" in stage.shown


def test_the_lease_of_a_run_that_hangs_ends_the_wait(stage: Stage) -> None:
    """Exit code 70, and the command that helps; nothing was changed."""
    _deploy(stage, _map("a"))
    stage.cluster.objects[LEASE] = {
        "metadata": {"uid": "u", "resourceVersion": "1"},
        "spec": {"holderIdentity": "the other", "leaseDurationSeconds": 200},
    }
    stage.write(_map("a", "w"))

    error = stage.refused(deploy.apply, stack="web", wait_timeout="10s")

    assert isinstance(error, DeadlineError)
    assert "still held by the other" in str(error)
    assert stage.sent("apply") == []


def test_without_a_name_nothing_is_remembered(stage: Stage) -> None:
    """Plain YAML is applied as it is: no label, no inventory, no lease."""
    assert _deploy(stage, _map("a"), stack="") == 0

    assert set(stage.cluster.objects) == {("Namespace", "", "shop"), ("ConfigMap", "shop", "a")}
    assert "labels" not in stage.cluster.objects["ConfigMap", "shop", "a"]["metadata"]


def test_objects_of_the_report_as_json(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """What became of every object and of what left, for programs."""
    _deploy(stage, _map("a"), _map("b"), _map("c"))
    stage.cluster.warnings = ("old version",)

    assert _deploy(stage, _map("b", "w"), _map("c"), _map("d"), output="json") == 0

    report = report_of(capsys)
    assert [(e["name"], e["outcome"], e["warnings"]) for e in report["objects"]] == [
        ("b", "changed", ["old version"]),
        ("c", "unchanged", []),
        ("d", "created", ["old version"]),
    ]
    assert [(e["name"], e["pruned"], e["kept"]) for e in report["leaving"]] == [("a", True, "")]
    assert report["problems"] == []
    assert "warning: app.yaml:1: ConfigMap shop/b: old version" in stage.shown


def test_secrets_are_masked_in_the_account(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the server says about a Secret, its value is not repeated in JSON."""
    stage.write(yaml_of("Secret", "db", "stringData: {password: hunter2hunter2}"))
    error = ClusterError("PATCH", "hunter2hunter2 is no password", status=422)
    stage.cluster.late_refusals["db"] = [error]

    stage.refused(deploy.apply, stack="web", output="json")

    out = capsys.readouterr().out
    assert "hunter2" not in out
    assert json.loads(out)["problems"][0]["what"].endswith("*** is no password")


def test_a_request_for_another_namespace_is_another_stack(stage: Stage) -> None:
    """Two slots of one environment do not prune each other's objects."""
    _deploy(stage, _map("a"))
    request = stage.request(stack="web")
    other = replace(request, source=replace(request.source, namespace="shop-2"))
    stage.write(_map("b"))

    assert deploy.apply_and_wait(other, stage.outside) == 0

    assert stage.names == {"ConfigMap a", "ConfigMap b"}
    assert ("ConfigMap", "shop-2", "codexctl-web") in stage.cluster.objects
    assert _remembered(stage) == ["ConfigMap a"]
