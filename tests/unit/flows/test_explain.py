"""Why something in a namespace is not healthy, from one look."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError, UsageError
from codexctl_tasks.flows.explain import explain
from codexctl_tasks.settings import explain_request
from tests.support.objects import (
    condition,
    crashed,
    deployment,
    found,
    pod,
    replica_set,
    running,
    waiting,
    yaml_of,
)
from tests.support.stage import Stage, report_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fakes import FakeClock

MISSING = waiting("ErrImagePull", "manifest unknown")


@pytest.fixture
def stage(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Give a namespace with a broken web, a healthy api and a claim."""
    monkeypatch.chdir(tmp_path)
    made = Stage(tmp_path, clock)
    api = deployment(1, name="api", uid="Deployment-api")
    bound = found("PersistentVolumeClaim", "data", status={"phase": "Bound"})
    _put(made, deployment(), replica_set(), pod("web-1-a", MISSING), api, bound)
    return made


def _put(stage: Stage, *objects: dict[str, Any]) -> None:
    for each in objects:
        key = (each["kind"], "shop", each["metadata"]["name"])
        stage.cluster.objects[key] = each


def _explain(stage: Stage, object: str = "", **given: Any) -> int:  # noqa: A002 - the flag's name
    return explain(explain_request(object=object, namespace="shop", **given), stage.outside)


def test_everything_that_is_not_healthy_is_explained(stage: Stage) -> None:
    """Cause, place and hint; what is healthy is only counted."""
    assert _explain(stage) == 1

    lines = stage.shown.splitlines()
    assert lines[0] == "UNHEALTHY  namespace shop: 1 of 3 objects not ready"
    assert lines[1].startswith("Deployment shop/web  FAILED  image not found")
    assert any("hint" in line and "the tag was not pushed" in line for line in lines)
    assert "api" not in stage.shown
    assert stage.sent("apply") == []


def test_one_object(stage: Stage) -> None:
    """Named as for kubectl."""
    for name in ("deployment/api", "deploy/api", "Deployment/api", "deployments/api"):
        assert _explain(stage, name) == 0
    assert _explain(stage, "po/web-1-a") == 1
    assert "Pod shop/web-1-a  FAILED  image not found" in stage.shown


def test_a_healthy_namespace(stage: Stage) -> None:
    """Exit code 0: so that a script can ask."""
    _put(stage, deployment(1))

    assert _explain(stage) == 0
    assert stage.shown == "HEALTHY  namespace shop: 3 objects, all ready\n"


def test_crashes_of_old_count(stage: Stage) -> None:
    """Who asks wants to know; the log of the last one is shown."""
    stage.cluster.log_lines = ["panic: no database"]
    _put(stage, pod("web-1-a", crashed(40)))

    assert _explain(stage) == 1
    assert "crash loop, exit code 1" in stage.shown
    assert "| panic: no database" in stage.shown


def test_a_container_that_runs_again_since_a_moment_is_doubted(stage: Stage) -> None:
    """Without a probe it is ready at once; one that has just begun for the first time is fine."""
    stage.cluster.time = datetime(2026, 1, 2, 3, 4, 10, tzinfo=UTC)
    spec = {"containers": [{"name": "app"}]}
    _put(stage, deployment(1), pod("web-1-a", running(), spec=spec))
    assert _explain(stage) == 0

    _put(stage, pod("web-1-a", running(restarts=5), spec=spec))
    assert _explain(stage) == 1
    assert "a container has just been restarted" in stage.shown


def test_what_only_waits_is_not_called_failed(stage: Stage) -> None:
    """A pod that no node takes yet, for instance when its probe fails."""
    _put(stage, pod("web-1-a", status={"conditions": [condition("Ready", "False")]}))

    assert _explain(stage) == 1
    assert "Deployment shop/web  NOT READY  0 of 1 pod ready" in stage.shown


def test_the_line_of_the_manifest_if_the_stack_is_known(stage: Stage) -> None:
    """With --manifests or --env the report leads to the file."""
    (stage.folder / "app.yaml").write_text("\n" + yaml_of("Deployment", "web", "spec: {}"))

    assert _explain(stage, manifests=["app.yaml"]) == 1
    assert "manifest  app.yaml:2" in stage.shown


def test_as_json(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """The same document as that of a deploy."""
    assert _explain(stage, output="json") == 1

    report = report_of(capsys)
    outcomes = {each["name"]: each["outcome"] for each in report["workloads"]}
    assert outcomes == {"web": "failed", "api": "ready", "data": "ready"}


@pytest.mark.parametrize("text", ["web", "deployment/", "deployment/We b", "nosuchkind/web"])
def test_what_is_no_object(stage: Stage, text: str) -> None:
    """Exit code 2, and how to write it."""
    with pytest.raises(UsageError):
        _explain(stage, text)


def test_an_object_that_does_not_exist(stage: Stage) -> None:
    """Exit code 4: the cluster says so."""
    with pytest.raises(ClusterError, match="does not exist"):
        _explain(stage, "deployment/nosuch")
