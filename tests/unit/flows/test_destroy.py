"""``destroy``: everything that a stack has applied, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.apply.bodies import STACK_LABEL
from codexctl_tasks.apply.plan import KEEP_ANNOTATION
from codexctl_tasks.errors import Cause, ClusterError, CombinedError
from codexctl_tasks.flows import deploy
from codexctl_tasks.flows.destroy import destroy
from codexctl_tasks.settings import deploy_request
from tests.support.objects import yaml_of
from tests.support.stage import SPEC, report_of

if TYPE_CHECKING:
    from tests.support.stage import Stage

INVENTORY = ("ConfigMap", "shop", "codexctl-web")
LEASE = ("Lease", "shop", "codexctl-web")
WEB = yaml_of("Deployment", "web", SPEC)


def _map(name: str) -> str:
    return yaml_of("ConfigMap", name, "data: {k: v}")


def _deploy(stage: Stage, *manifests: str, **given: Any) -> None:
    stage.write(*manifests)
    assert stage.run(deploy.apply, **{"stack": "web", **given}) == 0


def _destroy(stage: Stage, *manifests: str, **given: Any) -> int:
    if manifests:
        stage.write(*manifests)
    return stage.run(destroy, **{"stack": "web", **given})


def _deleted(stage: Stage) -> list[str]:
    """Return what was deleted, without what a run keeps for itself."""
    names = [" ".join(call.split()[:2]) for call in stage.sent("delete")]
    return [name for name in names if " codexctl-" not in name]


@pytest.mark.parametrize("stack", ["", "web"])
def test_last_applied_goes_first_and_twice_is_fine(stage: Stage, stack: str) -> None:
    """Workloads first, the declared namespace last; what is gone already is no error."""
    _deploy(stage, yaml_of("Namespace", "shop"), _map("a"), WEB, stack=stack)

    assert _destroy(stage, stack=stack) == 0
    assert _deleted(stage) == ["Deployment web", "ConfigMap a", "Namespace shop"]
    assert "destroy  deleted Deployment shop/web" in stage.shown
    assert stage.names == set()

    stage.cluster.objects.clear()  # with the namespace went what was in it
    assert _destroy(stage, stack=stack) == 0
    assert stage.sent("delete") == []
    assert "nothing to delete" in stage.shown


def test_what_the_stack_had_before_goes_as_well(stage: Stage) -> None:
    """A service that was taken out of the files and never pruned does not run for ever."""
    _deploy(stage, _map("a"), _map("old"), yaml_of("Deployment", "older", SPEC))

    assert _destroy(stage, _map("a")) == 0

    assert _deleted(stage) == ["Deployment older", "ConfigMap old", "ConfigMap a"]
    assert set(stage.cluster.objects) == {("Namespace", "", "shop")}


def test_an_account_of_everything_as_json(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """What went, what stayed and why, what is still there."""
    _deploy(stage, _map("a"), _map("kept"), _map("held"))
    objects = stage.cluster.objects
    objects["ConfigMap", "shop", "kept"]["metadata"]["annotations"] = {KEEP_ANNOTATION: "true"}
    objects["ConfigMap", "shop", "held"]["metadata"]["finalizers"] = ["x.io/hold"]

    assert _destroy(stage, output="json", wait_timeout="10s") == 70

    report = report_of(capsys)
    assert (report["version"], report["stack"], report["namespace"]) == (1, "web", "shop")
    assert [each["name"] for each in report["deleted"]] == ["a"]
    assert [(e["name"], e["why"]) for e in report["kept"]] == [
        ("kept", f"its annotation {KEEP_ANNOTATION} says so")
    ]
    assert [(e["name"], e["blocker"]) for e in report["left"]] == [
        ("held", "finalizer x.io/hold not removed by its controller")
    ]
    assert report["problems"] == []
    assert "still there: ConfigMap shop/held: finalizer x.io/hold not removed" in stage.shown
    assert INVENTORY in stage.cluster.objects  # the next destroy goes on


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"annotations": {KEEP_ANNOTATION: "true"}}, f"its annotation {KEEP_ANNOTATION} says so"),
        ({"labels": {STACK_LABEL: "other.shop"}}, "it belongs to stack other.shop"),
        ({"labels": {}}, "it has lost the label of the stack"),
        ({"ownerReferences": [{"kind": "Thing", "name": "x"}]}, "it belongs to Thing x"),
    ],
    ids=str,
)
@pytest.mark.parametrize("declared", [True, False])
def test_what_is_not_the_stacks_any_more_stays(
    stage: Stage, change: dict[str, Any], why: str, declared: bool
) -> None:
    """Declared or only remembered: nothing is deleted that somebody else has taken over."""
    _deploy(stage, _map("a"), _map("b"))
    stage.cluster.objects["ConfigMap", "shop", "b"]["metadata"] |= change

    assert _destroy(stage, _map("a"), *([_map("b")] if declared else [])) == 0

    assert _deleted(stage) == ["ConfigMap a"]
    assert f"kept ConfigMap shop/b: {why}" in stage.shown


def test_without_an_inventory_the_manifests_say_what_goes(stage: Stage) -> None:
    """What was deployed without a name can be destroyed; other stacks stay untouched."""
    _deploy(stage, _map("a"), _map("b"), stack="")
    stage.cluster.objects["ConfigMap", "shop", "b"]["metadata"]["labels"] = {
        STACK_LABEL: "other.shop"
    }

    assert _destroy(stage) == 0

    assert stage.names == {"ConfigMap b"}
    assert "it belongs to stack other.shop" in stage.shown


def test_a_part_of_a_stack_can_be_destroyed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters limit what goes; everything else is still remembered."""
    monkeypatch.setenv("CODEXCTL_NAMESPACE", "shop")
    (stage.folder / "services.yaml").write_text(
        "project: web\n"
        "services:\n"
        "- {name: a, manifests: [{path: a.yaml}]}\n"
        "- {name: b, manifests: [{path: b.yaml}]}\n"
    )
    for name in "ab":
        (stage.folder / f"{name}.yaml").write_text(_map(name))
    assert deploy.apply(deploy_request(env="prod"), stage.outside) == 0
    inventory = ("ConfigMap", "shop", "codexctl-web.prod")
    assert inventory in stage.cluster.objects

    assert destroy(deploy_request(env="prod", only_services="b"), stage.outside) == 0
    assert "ConfigMap a" in stage.names
    assert "ConfigMap b" not in stage.names
    assert inventory in stage.cluster.objects

    assert destroy(deploy_request(env="prod"), stage.outside) == 0
    assert set(stage.cluster.objects) == {("Namespace", "", "shop")}


def test_a_refusal_is_exit_code_4_with_the_account(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON says which object and why; the inventory stays, so that the next run goes on."""
    _deploy(stage, _map("a"), WEB)
    delete = stage.cluster.delete

    def refuse(resource: Any, *rest: Any, **more: Any) -> bool:
        if resource.kind == "ConfigMap":
            raise ClusterError("DELETE", "forbidden", status=403)
        return delete(resource, *rest, **more)

    stage.cluster.delete = refuse  # type: ignore[method-assign]

    error = stage.refused(destroy, stack="web", output="json")

    assert isinstance(error, CombinedError)
    assert str(error) == "app.yaml:1: ConfigMap shop/a: forbidden"
    report = report_of(capsys)
    assert [each["name"] for each in report["deleted"]] == ["web"]
    assert report["problems"][0]["where"] == "app.yaml:1"
    assert INVENTORY in stage.cluster.objects
    assert LEASE not in stage.cluster.objects


def test_a_damaged_inventory_deletes_nothing(stage: Stage) -> None:
    """Nobody knows what belongs to the stack."""
    _deploy(stage, _map("a"))
    stage.cluster.objects[INVENTORY]["data"] = {"objects": "odd"}

    error = stage.refused(destroy, stack="web")

    assert "is damaged" in str(error)
    assert stage.names == {"ConfigMap a"}


def test_a_namespace_that_is_on_its_way_out_can_be_watched_to_its_end(stage: Stage) -> None:
    """A destroy that timed out is repeated: no lease can be had there, and none is needed."""
    _deploy(stage, yaml_of("Namespace", "shop"), _map("a"))
    namespace = stage.cluster.objects["Namespace", "", "shop"]
    namespace["metadata"] |= {"deletionTimestamp": "now", "finalizers": ["kubernetes"]}

    what = "unable to create new content in namespace shop because it is being terminated"
    causes = (Cause("metadata.namespace", "is being terminated"),)

    def refuse(*_: Any) -> Any:
        raise ClusterError("POST", what, status=403, causes=causes)

    stage.cluster.create = refuse  # type: ignore[method-assign]
    stage.clock.at(5, lambda: stage.cluster.release("Namespace", "", "shop"))

    assert _destroy(stage) == 0

    assert "deleted Namespace shop" in stage.shown


def test_one_run_at_a_time(stage: Stage) -> None:
    """A destroy waits for a deploy that is at work, instead of deleting below it."""
    _deploy(stage, _map("a"))
    stage.cluster.objects[LEASE] = {
        "metadata": {"uid": "u", "resourceVersion": "1"},
        "spec": {"holderIdentity": "the other", "leaseDurationSeconds": 20},
    }
    stage.clock.at(3, lambda: stage.cluster.objects.pop(LEASE))

    assert _destroy(stage) == 0

    assert "waiting for the other" in stage.shown
    assert stage.names == set()
