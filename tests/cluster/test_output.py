"""What programs read of the tasks that talk to a real cluster: JSON as documented."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.support.deploys import config_map, kubectl, objects, service, without_pods

if TYPE_CHECKING:
    import subprocess

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

NAMED = ("--stack", "shop")


def _exactly(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(**properties: Any) -> dict[str, Any]:
    return {"type": "array", "items": _exactly(**properties)}


TEXT = {"type": "string"}
NUMBER = {"type": "number"}
NAME = {"apiVersion": TEXT, "kind": TEXT, "namespace": TEXT, "name": TEXT}
MANIFEST = _exactly(file=TEXT, line={"type": ["integer", "null"]})
TEXTS = {"type": "array", "items": TEXT}
TAKEN = _list(field=TEXT, manager=TEXT)
PROBLEMS = _list(where=TEXT, what=TEXT, fix=TEXT)
STACK = {"version": {"const": 1}, "stack": TEXT, "namespace": TEXT}
OUTCOMES = ["created", "changed", "adopted", "replaced", "unchanged"]
DIAGNOSIS = _exactly(cause=TEXT, where=TEXT, hint=TEXT, events=TEXTS, log=TEXTS)

PLAN = _exactly(
    **STACK,
    changes={"type": "boolean"},
    objects=_list(
        **NAME,
        action={"enum": ["create", "change", "adopt", "replace", "unchanged"]},
        manifest=MANIFEST,
        takesOver=TAKEN,
        warnings=TEXTS,
        difference=_list(sign={"enum": ["+", "-", "~", " "]}, depth={"enum": [0, 1]}, text=TEXT),
    ),
    leaving=_list(**NAME, action={"enum": ["prune", "keep"]}, kept=TEXT),
    problems=PROBLEMS,
)
APPLY = _exactly(
    **STACK,
    exitCode={"type": "integer"},
    elapsedSeconds=NUMBER,
    objects=_list(
        **NAME,
        outcome={"enum": [*OUTCOMES, "refused", "not applied", "unknown"]},
        manifest=MANIFEST,
        takenOver=TAKEN,
        warnings=TEXTS,
    ),
    leaving=_list(**NAME, pruned={"type": "boolean"}, kept=TEXT),
    problems=PROBLEMS,
    workloads=_list(
        kind=TEXT,
        namespace=TEXT,
        name=TEXT,
        outcome={"enum": ["ready", "failed", "timed out", "not ready"]},
        afterSeconds=NUMBER,
        detail=TEXT,
        manifest=TEXT,
        diagnosis={"anyOf": [{"type": "null"}, DIAGNOSIS]},
    ),
    skipped=TEXTS,
)
DESTROY = _exactly(
    **STACK,
    deleted=_list(**NAME),
    kept=_list(**NAME, why=TEXT),
    left=_list(**NAME, blocker=TEXT),
    problems=PROBLEMS,
)


def _checked(result: subprocess.CompletedProcess[str], schema: dict[str, Any]) -> Any:
    document = json.loads(result.stdout)
    jsonschema.validate(document, schema)
    return document


def test_the_json_of_every_task_is_as_documented(playground: Playground) -> None:
    """One document on stdout, whose keys docs/output.md explains: plans, success, ends."""
    as_json = (*NAMED, "--output", "json")
    web = without_pods(playground.workload("web"))
    playground.write(web, service("web"), config_map("a"), config_map("b"))
    planned = _checked(playground.codexctl("plan", *as_json), PLAN)
    assert {each["action"] for each in planned["objects"]} == {"create"}
    applied = _checked(playground.codexctl("apply-wait", *as_json), APPLY)
    assert {each["outcome"] for each in applied["objects"]} == {"created"}
    assert [each["outcome"] for each in applied["workloads"]] == ["ready"]

    playground.write(web, service("web"), config_map("a", {"mode": "slow"}))
    planned = _checked(playground.codexctl("plan", *as_json), PLAN)
    assert [each["name"] for each in planned["leaving"] if each["action"] == "prune"] == ["b"]
    [line] = [line for each in planned["objects"] for line in each["difference"]]
    assert line == {"sign": "~", "depth": 0, "text": "data.mode: fast → slow"}
    applied = _checked(playground.codexctl("apply-wait", *as_json), APPLY)
    assert [each["outcome"] for each in applied["objects"]] == ["unchanged", "unchanged", "changed"]
    assert [(each["name"], each["pruned"]) for each in applied["leaving"]] == [("b", True)]

    _checked(playground.codexctl("apply", *as_json), APPLY)
    destroyed = _checked(playground.codexctl("destroy", *as_json), DESTROY)
    assert [each["kind"] for each in destroyed["deleted"]] == ["Deployment", "Service", "ConfigMap"]
    assert _checked(playground.codexctl("destroy", *as_json), DESTROY)["deleted"] == []


def test_the_json_of_what_goes_wrong_is_as_documented(playground: Playground) -> None:
    """What is refused, what failed, what is left: programs need not read stderr."""
    as_json = (*NAMED, "--output", "json")
    playground.write({**config_map("a"), "dta": {}}, config_map("b"))
    planned = _checked(playground.codexctl("plan", *as_json), PLAN)
    refused = _checked(playground.codexctl("apply-wait", *as_json), APPLY)
    for document in (planned, refused):
        [problem] = document["problems"]
        assert problem["where"].startswith("all.yaml:")
    assert refused["exitCode"] == 4
    assert {each["outcome"] for each in refused["objects"]} == {"not applied"}

    held = config_map("held", finalizers=["example.com/held"])
    playground.write(held, playground.job("migrate", "exit 1"))
    failed = _checked(playground.codexctl("apply-wait", *as_json), APPLY)
    assert failed["exitCode"] == 1
    assert failed["workloads"][0]["diagnosis"]["cause"]
    stuck = playground.codexctl("destroy", *as_json, "--wait-timeout", "3s")
    removal = '{"metadata":{"finalizers":null}}'
    kubectl(playground, "patch", "configmap", "held", "--type=merge", "--patch", removal)
    [left] = _checked(stuck, DESTROY)["left"]
    assert (left["name"], "finalizer example.com/held" in left["blocker"]) == ("held", True)
    assert "ConfigMap/held" not in objects(playground)
