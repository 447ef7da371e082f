"""What left a stack is deleted from a real cluster: when, and what is never touched."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.deploys import (
    autoscaler,
    claim,
    config_map,
    kubectl,
    objects,
    patched,
    service,
    until,
    without_pods,
)
from tests.support.faults import Faults
from tests.support.shell import run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

NAMED = ("--stack", "shop")
INVENTORY = "ConfigMap/codexctl-shop"


def _done(playground: Playground, task: str, *flags: str) -> str:
    """Run a task that must succeed; return what it told."""
    result = playground.codexctl(task, *NAMED, *flags)
    assert result.returncode == 0, result.stderr
    return result.stderr


def _declare(playground: Playground, *services: str) -> None:
    """Write a services.yaml with these services, a file of manifests each."""
    config = {
        "project": "shop",
        "namespace": {"patterns": {"dev": playground.namespace}},
        "environments": {"dev": {}},
        "services": [{"name": name, "manifests": [{"path": f"{name}.yaml"}]} for name in services],
    }
    (playground.folder / "services.yaml").write_text(yaml.safe_dump(config))


def _of_dev(playground: Playground, task: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run a task on the environment of `_declare`; it must succeed."""
    result = run(*(task, "--env", "dev", *flags), cwd=playground.folder, env=playground.environment)
    assert result.returncode == 0, result.stderr
    return result


def _remembered(playground: Playground) -> list[str]:
    """Return the lines of the inventory, as anybody can read it in the cluster."""
    found = playground.kubectl("get", "configmap", "codexctl-shop")
    return found["data"]["objects"].splitlines()


def test_what_left_the_stack_goes_after_a_successful_wait(playground: Playground) -> None:
    """Not after `apply` alone, not with --no-prune: both say what is still there, and why."""
    playground.write(config_map("a"), config_map("b"), service("old"))
    _done(playground, "apply-wait")
    space = playground.namespace
    assert _remembered(playground) == [
        *(f"v1 ConfigMap {space}", "  a", "  b"),
        *(f"v1 Service {space}", "  old"),
    ]
    label = playground.kubectl("get", "configmap", "a")["metadata"]["labels"]
    assert label == {"codexctl/stack": f"shop.{space}"}
    playground.write(config_map("a"))
    every = {"ConfigMap/a", "ConfigMap/b", "Service/old", INVENTORY}

    applied = _done(playground, "apply")
    assert "2 objects have left the stack: apply-wait prunes them" in applied
    assert objects(playground, "configmaps", "services") == every
    left_alone = _done(playground, "apply-wait", "--no-prune")
    assert "2 objects have left the stack: pruning is switched off" in left_alone
    assert objects(playground, "configmaps", "services") == every

    pruned = _done(playground, "apply-wait")
    assert f"pruned    ConfigMap {space}/b" in pruned
    assert f"pruned    Service {space}/old" in pruned
    assert objects(playground, "configmaps", "services") == {"ConfigMap/a", INVENTORY}
    assert _remembered(playground) == [f"v1 ConfigMap {space}", "  a"]
    again = _done(playground, "apply-wait")
    assert "prune" not in again


def test_nothing_is_pruned_after_a_rollout_that_failed(playground: Playground) -> None:
    """What is running goes on running, until a deploy has succeeded."""
    playground.write(config_map("a"), config_map("b"))
    _done(playground, "apply-wait")
    playground.write(config_map("a"), playground.job("migrate", "exit 1"))

    failed = playground.codexctl("apply-wait", *NAMED)
    assert failed.returncode == 1, failed.stderr
    assert objects(playground) == {"ConfigMap/a", "ConfigMap/b", INVENTORY}

    playground.write(config_map("a"), playground.job("migrate", "true"))
    assert f"pruned    ConfigMap {playground.namespace}/b" in _done(playground, "apply-wait")
    assert objects(playground) == {"ConfigMap/a", INVENTORY}


def test_nothing_is_pruned_by_a_part_of_the_stack(playground: Playground) -> None:
    """With --only-services what is missing has not left; without it what has left goes."""
    _declare(playground, "web", "api")
    for name in ("web", "api"):
        playground.write(config_map(name), file=f"{name}.yaml")
    inventory = "ConfigMap/codexctl-shop.dev"
    both = {"ConfigMap/api", "ConfigMap/web", inventory}
    _of_dev(playground, "apply-wait")
    assert objects(playground) == both

    _of_dev(playground, "apply-wait", "--only-services", "web")
    assert objects(playground) == both
    _declare(playground, "web")
    _of_dev(playground, "apply-wait", "--only-services", "web")
    assert objects(playground) == both
    _of_dev(playground, "apply-wait")
    assert objects(playground) == {"ConfigMap/web", inventory}


def test_what_is_kept_and_what_belongs_to_others_stays(playground: Playground) -> None:
    """Each with its reason: marked, taken over, no longer labelled, owned, data on a disk."""
    space = playground.namespace
    base = config_map("base")
    names = ("gone", "marked", "taken", "lost", "owned")
    playground.write(base, *(config_map(name) for name in names), claim("disk"))
    _done(playground, "apply-wait")
    patched(
        playground, "configmap", "marked", {"metadata": {"annotations": {"codexctl/keep": "true"}}}
    )
    for name, stack in (("taken", f"other.{space}"), ("lost", None)):
        metadata = {"labels": {"codexctl/stack": stack}}
        patched(playground, "configmap", name, {"metadata": metadata})
    uid = playground.kubectl("get", "configmap", "base")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "base", "uid": uid}
    patched(playground, "configmap", "owned", {"metadata": {"ownerReferences": [owner]}})
    playground.write(base)

    reasons = {
        f"ConfigMap {space}/marked": "its annotation codexctl/keep says so",
        f"ConfigMap {space}/taken": f"it belongs to stack other.{space}",
        f"ConfigMap {space}/lost": "it has lost the label of the stack",
        f"ConfigMap {space}/owned": "it belongs to ConfigMap base",
        f"PersistentVolumeClaim {space}/disk": (
            "a PersistentVolumeClaim is pruned only with --prune-protected"
        ),
    }
    planned = playground.codexctl("plan", *NAMED).stdout
    first = _done(playground, "apply-wait")
    for name, reason in reasons.items():
        assert f"  keep     {name}  ({reason})" in planned.splitlines()
        assert f"left the stack, but stays: {name}: {reason}" in first
    assert first.count("prune    pruned ") == 1
    assert f"pruned    ConfigMap {space}/gone" in first
    kinds = ("configmaps", "persistentvolumeclaims")
    rest = {"ConfigMap/base", *(f"ConfigMap/{name}" for name in names[1:])}
    assert objects(playground, *kinds) == {*rest, "PersistentVolumeClaim/disk", INVENTORY}

    second = _done(playground, "apply-wait")  # what is somebody else's by now is forgotten
    assert second.count("left the stack, but stays") == 2
    third = _done(playground, "apply-wait", "--prune-protected")
    assert f"pruned    PersistentVolumeClaim {space}/disk" in third
    until(lambda: "PersistentVolumeClaim/disk" not in objects(playground, *kinds))
    assert objects(playground) == {*rest, INVENTORY}


def test_another_version_of_a_kind_is_the_same_object(playground: Playground) -> None:
    """A manifest that moves from autoscaling/v1 to v2 changes its object and deletes nothing."""
    workload = without_pods(playground.workload("web"))
    playground.write(workload, autoscaler("web", "v1"))
    _done(playground, "apply-wait")
    before = playground.kubectl("get", "horizontalpodautoscaler", "web")["metadata"]["uid"]
    playground.write(workload, autoscaler("web", "v2"))

    planned = playground.codexctl("plan", *NAMED)
    moved = _done(playground, "apply-wait")

    assert "prune" not in planned.stdout + moved
    after = playground.kubectl("get", "horizontalpodautoscaler", "web")["metadata"]
    assert (after["uid"], after.get("deletionTimestamp")) == (before, None)
    assert f"autoscaling/v2 HorizontalPodAutoscaler {playground.namespace}" in _remembered(
        playground
    )
    assert "2 unchanged" in _done(playground, "apply-wait")


def test_stacks_in_one_namespace_leave_each_other_alone(playground: Playground) -> None:
    """Each prunes its own; what one takes over from the other is told, and stays."""

    def deploy(stack: str, *names: str) -> str:
        playground.write(*(config_map(name) for name in names))
        result = playground.codexctl("apply-wait", "--stack", stack)
        assert result.returncode == 0, result.stderr
        return result.stderr

    deploy("one", "a", "b", "moving")
    deploy("two", "c", "d")
    taken = deploy("two", "c", "moving")
    left = deploy("one", "a")

    space = playground.namespace
    assert f"took over ConfigMap {space}/moving from stack one.{space}" in taken
    assert f"pruned    ConfigMap {space}/d" in taken
    assert f"left the stack, but stays: ConfigMap {space}/moving: it belongs to stack two" in left
    assert f"pruned    ConfigMap {space}/b" in left
    inventories = {"ConfigMap/codexctl-one", "ConfigMap/codexctl-two"}
    assert objects(playground) == {"ConfigMap/a", "ConfigMap/c", "ConfigMap/moving", *inventories}


def test_a_run_that_was_killed_leaves_nothing_behind_for_ever(
    playground: Playground, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    """It had written down what it was going to apply: the next run prunes what is not desired."""
    playground.write(config_map("a"))
    _done(playground, "apply-wait")
    playground.write(config_map("a"), config_map("b"), service("late"))
    reached = threading.Event()
    with Faults(playground.environment["KUBECONFIG"]) as faults:

        def swallow(*_: object) -> None:
            reached.set()
            faults.closing.wait()

        faults.plan(swallow, method="PATCH", path="/services/late$", query="^(?!.*dryRun)")
        way = ("--kubeconfig", str(faults.kubeconfig(tmp_path / "faults.conf")))
        process = playground.start("apply-wait", *NAMED, *way)
        started.append(process)
        assert reached.wait(60)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    kinds = ("configmaps", "services")
    assert objects(playground, *kinds) == {"ConfigMap/a", "ConfigMap/b", INVENTORY}
    assert "  late" in _remembered(playground)
    kubectl(playground, "delete", "lease", "codexctl-shop")  # instead of waiting for its end

    playground.write(config_map("a"))
    told = _done(playground, "apply-wait")

    assert told.count("prune    pruned ") == 1
    assert f"pruned    ConfigMap {playground.namespace}/b" in told
    assert objects(playground, *kinds) == {"ConfigMap/a", INVENTORY}
    assert _remembered(playground) == [f"v1 ConfigMap {playground.namespace}", "  a"]


def test_an_empty_stack_prunes_nothing(playground: Playground) -> None:
    """Templates that render to nothing are rather a mistake: only `destroy` deletes everything."""
    space = playground.namespace
    _declare(playground, "web")
    playground.write(config_map("web"), file="web.yaml")
    _of_dev(playground, "apply-wait")
    (playground.folder / "web.yaml").write_text("")

    planned = _of_dev(playground, "plan", "--detailed-exitcode").stdout
    told = _of_dev(playground, "apply-wait").stderr

    assert f"  keep     ConfigMap {space}/web  (nothing is desired any more)" in planned
    assert "nothing is desired any more: destroy deletes what was" in told
    assert objects(playground) == {"ConfigMap/web", "ConfigMap/codexctl-shop.dev"}
    assert f"deleted ConfigMap {space}/web" in _of_dev(playground, "destroy").stderr
    assert objects(playground) == set()


def test_an_inventory_that_somebody_broke_stops_the_run(playground: Playground) -> None:
    """Nothing is pruned by guessing; what to do about it is said."""
    playground.write(config_map("a"), config_map("b"))
    _done(playground, "apply-wait")
    patched(playground, "configmap", "codexctl-shop", {"data": {"objects": "what?"}})
    playground.write(config_map("a"))

    refused = playground.codexctl("apply-wait", *NAMED)

    assert refused.returncode == 4
    place = f"ConfigMap {playground.namespace}/codexctl-shop"
    assert f"error: {place}: is damaged" in refused.stderr
    assert objects(playground) == {"ConfigMap/a", "ConfigMap/b", INVENTORY}
