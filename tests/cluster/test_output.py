"""What programs read of the tasks that talk to a real cluster: JSON as documented."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import output_schema
from tests.support.deploys import config_map, kubectl, objects, service, without_pods

if TYPE_CHECKING:
    import subprocess

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

NAMED = ("--stack", "shop")


def _checked(result: subprocess.CompletedProcess[str], kind: str) -> Any:
    document = json.loads(result.stdout)
    output_schema.check(document, kind)
    return document


def test_the_json_of_every_task_is_as_documented(playground: Playground) -> None:
    """One document on stdout, whose keys docs/output.md explains: plans, success, ends."""
    as_json = (*NAMED, "--output", "json")
    web = without_pods(playground.workload("web"))
    playground.write(web, service("web"), config_map("a"), config_map("b"))
    planned = _checked(playground.codexctl("plan", *as_json), "plan")
    assert {each["action"] for each in planned["objects"]} == {"create"}
    applied = _checked(playground.codexctl("apply-wait", *as_json), "apply")
    assert {each["outcome"] for each in applied["objects"]} == {"created"}
    assert [each["outcome"] for each in applied["workloads"]] == ["ready"]

    playground.write(web, service("web"), config_map("a", {"mode": "slow"}))
    planned = _checked(playground.codexctl("plan", *as_json), "plan")
    assert [each["name"] for each in planned["leaving"] if each["action"] == "prune"] == ["b"]
    [line] = [line for each in planned["objects"] for line in each["difference"]]
    assert line == {"sign": "~", "depth": 0, "text": "data.mode: fast → slow"}
    applied = _checked(playground.codexctl("apply-wait", *as_json), "apply")
    assert [each["outcome"] for each in applied["objects"]] == ["unchanged", "unchanged", "changed"]
    assert [(each["name"], each["pruned"]) for each in applied["leaving"]] == [("b", True)]

    _checked(playground.codexctl("apply", *as_json), "apply")
    destroyed = _checked(playground.codexctl("destroy", *as_json), "destroy")
    assert [each["kind"] for each in destroyed["deleted"]] == ["Deployment", "Service", "ConfigMap"]
    assert _checked(playground.codexctl("destroy", *as_json), "destroy")["deleted"] == []


def test_the_json_of_what_goes_wrong_is_as_documented(playground: Playground) -> None:
    """What is refused, what failed, what is left: programs need not read stderr."""
    as_json = (*NAMED, "--output", "json")
    playground.write({**config_map("a"), "dta": {}}, config_map("b"))
    planned = _checked(playground.codexctl("plan", *as_json), "plan")
    refused = _checked(playground.codexctl("apply-wait", *as_json), "apply")
    for document in (planned, refused):
        [problem] = document["problems"]
        assert problem["where"].startswith("all.yaml:")
    assert refused["exitCode"] == 4
    assert {each["outcome"] for each in refused["objects"]} == {"not applied"}

    held = config_map("held", finalizers=["example.com/held"])
    playground.write(held, playground.job("migrate", "exit 1"))
    failed = _checked(playground.codexctl("apply-wait", *as_json), "apply")
    assert failed["exitCode"] == 1
    assert failed["workloads"][0]["diagnosis"]["cause"]
    stuck = playground.codexctl("destroy", *as_json, "--wait-timeout", "3s")
    removal = '{"metadata":{"finalizers":null}}'
    kubectl(playground, "patch", "configmap", "held", "--type=merge", "--patch", removal)
    [left] = _checked(stuck, "destroy")["left"]
    assert (left["name"], "finalizer example.com/held" in left["blocker"]) == ("held", True)
    assert "ConfigMap/held" not in objects(playground)
