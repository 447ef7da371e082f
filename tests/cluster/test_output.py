"""What programs read of the tasks that talk to a real cluster: JSON as documented."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import output_schema
from tests.support.deploys import config_map, kubectl, objects, service, without_pods

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

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


def test_one_broken_rollout_is_told_in_all_places(playground: Playground, tmp_path: Path) -> None:
    """Page, JUnit, job summary, outputs, annotations and JSON of one run tell the same."""
    crashing = "echo cannot reach the database password=swordfish; exit 3"
    never_ready = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    bad = playground.workload("bad", image=f"{playground.image}-misspelt", imagePullPolicy="Always")
    crash = playground.workload("crash", crashing, readinessProbe=never_ready)
    late = {
        **config_map("late"),
        "metadata": {"name": "late", "annotations": {"codexctl/wave": "1"}},
    }
    playground.write(playground.workload("fine"), bad, crash, late)
    page, junit = tmp_path / "out" / "page.html", tmp_path / "out" / "junit.xml"
    summary, outputs = tmp_path / "summary.md", tmp_path / "outputs"

    result = playground.codexctl(
        *("apply-wait", "--output", "json", "--html", str(page), "--junit", str(junit)),
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(summary),
        GITHUB_OUTPUT=str(outputs),
        GITHUB_WORKSPACE=str(playground.folder.parent),
        CODEXCTL_WAIT_TIMEOUT="90s",
        DB_PASSWORD="swordfish",
    )

    assert result.returncode == 1, result.stderr
    document = json.loads(result.stdout)
    output_schema.check(document, "apply")
    [broken] = [each for each in document["workloads"] if each["name"] == "bad"]
    kinds = [moment["kind"] for moment in broken["timeline"]]
    assert (kinds[0], kinds[-1]) == ("applied", "failed")
    assert "symptom" in kinds
    cause, names = broken["diagnosis"]["cause"], f"Deployment {playground.namespace}/"
    for text in (page.read_text(), junit.read_text(), html.unescape(summary.read_text())):
        assert cause in html.unescape(text)
        assert all(f"{names}{name}" in text for name in ("bad", "crash", "fine"))
        assert "cannot reach the database password=***" in text
        assert "swordfish" not in text
        assert "ConfigMap" in text
    assert "```mermaid\n" in summary.read_text()
    told = outputs.read_text().splitlines()
    assert told[1] == "failed"
    assert f"{names}bad" in told
    lines = result.stderr.splitlines()
    first, last = lines.index("::group::apply 3 objects"), lines.index("::endgroup::")
    assert any(f"{names}bad" in line for line in lines[first:last])
    [headline] = [number for number, line in enumerate(lines) if line.startswith("FAILED  ")]
    assert headline > last
    place = f"::error file=manifests/all.yaml,line={broken['manifest'].partition(':')[2]}::"
    assert [line for line in lines if line.startswith(place)]
    assert "swordfish" not in result.stdout + result.stderr
