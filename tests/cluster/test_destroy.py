"""Deleting a stack from a real cluster: what goes, in which order, and what stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.deploys import (
    autoscaler,
    config_map,
    kubectl,
    namespace_exists,
    objects,
    patched,
    service,
    without_pods,
)
from tests.support.faults import Faults

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

NAMED = ("--stack", "shop")


def _deployed(playground: Playground) -> None:
    result = playground.codexctl("apply-wait", *NAMED)
    assert result.returncode == 0, result.stderr


def test_the_last_applied_goes_first(playground: Playground, tmp_path: Path) -> None:
    """A stage when the one before is gone; inventory and lease go too; nothing to do after."""
    later = config_map("later", annotations={"codexctl/wave": "1"})
    web = without_pods(playground.workload("web"))
    playground.write(config_map("settings"), service("web"), autoscaler("web"), web, later)
    _deployed(playground)

    with Faults(playground.environment["KUBECONFIG"]) as faults:
        file = str(faults.kubeconfig(tmp_path / "faults.conf"))
        first = playground.codexctl("destroy", *NAMED, KUBECONFIG=file)
    second = playground.codexctl("destroy", *NAMED)

    assert first.returncode == 0, first.stderr
    sent = [seen.path.split("/")[-2:] for seen in faults.requests if seen.method == "DELETE"]
    assert ["/".join(each) for each in sent] == [
        "configmaps/later",
        "horizontalpodautoscalers/web",
        "deployments/web",
        "services/web",
        "configmaps/settings",
        "configmaps/codexctl-shop",
        "leases/codexctl-shop",
    ]
    kinds = "configmaps,services,deployments,replicasets,horizontalpodautoscalers,leases"
    assert objects(playground, kinds) == set()
    assert namespace_exists(playground)
    assert (second.returncode, second.stderr) == (0, "destroy  nothing to delete\n")


def test_what_left_the_manifests_goes_as_well(playground: Playground) -> None:
    """The inventory knows it; what was never applied is no mistake."""
    playground.write(config_map("a"), config_map("old"), service("old"))
    _deployed(playground)
    playground.write(config_map("a"), config_map("never"))

    result = playground.codexctl("destroy", *NAMED)

    assert result.returncode == 0, result.stderr
    gone = [line.split()[-1].rpartition("/")[2] for line in result.stderr.splitlines()]
    assert sorted(gone) == ["a", "old", "old"]
    assert objects(playground, "configmaps", "services") == set()


def test_what_a_finalizer_holds_is_named_in_time(playground: Playground) -> None:
    """Exit code 70; the next destroy goes on where this one stopped."""
    playground.write(config_map("held", finalizers=["example.com/held"]), service("web"))
    _deployed(playground)

    stuck = playground.codexctl("destroy", *NAMED, "--wait-timeout", "5s")

    assert stuck.returncode == 70
    assert f"deleted Service {playground.namespace}/web" in stuck.stderr
    held = f"still there: ConfigMap {playground.namespace}/held: finalizer example.com/held"
    assert held in stuck.stderr
    assert objects(playground) == {"ConfigMap/held", "ConfigMap/codexctl-shop"}
    removal = '{"metadata":{"finalizers":null}}'
    kubectl(playground, "patch", "configmap", "held", "--type=merge", "--patch", removal)
    rest = playground.codexctl("destroy", *NAMED)
    assert rest.returncode == 0, rest.stderr
    assert objects(playground) == set()


def test_what_is_kept_and_what_belongs_to_others_stays(playground: Playground) -> None:
    """Marked ones, those of another stack, and what nobody has applied by codexctl."""
    space = playground.namespace
    playground.write(*(config_map(name) for name in ("a", "taken", "marked")))
    _deployed(playground)
    kubectl(playground, "create", "configmap", "foreign")
    patched(
        playground,
        "configmap",
        "taken",
        {"metadata": {"labels": {"codexctl/stack": f"other.{space}"}}},
    )
    mark = {"metadata": {"annotations": {"codexctl/keep": "true"}}}
    patched(playground, "configmap", "marked", mark)
    playground.write(*(config_map(name) for name in ("a", "taken", "marked", "foreign")))

    result = playground.codexctl("destroy", *NAMED)

    assert result.returncode == 0, result.stderr
    assert [line for line in result.stderr.splitlines() if " kept " in line] == [
        f"destroy  kept ConfigMap {space}/taken: it belongs to stack other.{space}",
        f"destroy  kept ConfigMap {space}/marked: its annotation codexctl/keep says so",
        f"destroy  kept ConfigMap {space}/foreign: it has lost the label of the stack",
    ]
    assert f"deleted ConfigMap {space}/a" in result.stderr
    rest = {"ConfigMap/taken", "ConfigMap/marked", "ConfigMap/foreign"}
    assert objects(playground) == rest


def test_without_a_name_the_manifests_say_what_goes(playground: Playground) -> None:
    """What a named stack has applied is not among it, even if the manifests are the same."""
    playground.write(config_map("named"))
    _deployed(playground)
    playground.write(config_map("plain"))
    assert playground.codexctl("apply").returncode == 0
    playground.write(config_map("named"), config_map("plain"))

    result = playground.codexctl("destroy")

    assert result.returncode == 0, result.stderr
    label = f"shop.{playground.namespace}"
    assert f"kept ConfigMap {playground.namespace}/named: it belongs to stack {label}" in (
        result.stderr
    )
    assert objects(playground) == {"ConfigMap/named", "ConfigMap/codexctl-shop"}


def test_a_stack_whose_namespace_is_gone_has_nothing_to_delete(playground: Playground) -> None:
    """No error: whoever deleted the namespace has done all there is to do."""
    playground.write(config_map("a"))

    result = playground.codexctl("destroy", *NAMED)

    assert (result.returncode, result.stderr) == (0, "destroy  nothing to delete\n")
    assert not namespace_exists(playground)
