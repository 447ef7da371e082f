"""What is missing, before the work."""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError, UsageError
from codexctl_tasks.flows.doctor import doctor
from codexctl_tasks.settings import doctor_request
from codexctl_tasks.world.outside import Outside
from codexctl_tasks.world.process import Ended
from tests.support.objects import yaml_of
from tests.support.stage import Stage, report_of

if TYPE_CHECKING:
    from codexctl_tasks.requests.basis import ClusterSettings


def _doctor(stage: Stage, **given: Any) -> int:
    stage.stream.seek(0)
    stage.stream.truncate()
    outside = replace(stage.outside, run=lambda *_, **__: Ended(0))
    return doctor(doctor_request(**given), outside)


def _refused_host() -> str:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


def _write_stack(stage: Stage, more: str = "") -> None:
    (stage.folder / "app.yaml").write_text(yaml_of("ConfigMap", "a", "data: {k: v}"))
    item = "services: [{name: a, manifests: [{path: app.yaml}]}]"
    (stage.folder / "services.yaml").write_text(
        f"project: shop\nenvironments: {{staging: {{}}}}\n{item}\n{more}\n"
    )


def test_without_a_stack_this_machine_and_the_cluster(stage: Stage) -> None:
    """In any folder: programs, cluster and disk."""
    assert _doctor(stage) == 0

    checks = [line.split()[1] for line in stage.shown.splitlines()[:-1]]
    assert list(dict.fromkeys(checks)) == ["programs", "cluster", "disk"]
    assert stage.shown.splitlines()[-1].startswith("HEALTHY  ")


def test_an_environment(stage: Stage) -> None:
    """Its objects, its scripts, its registries; nothing is changed."""
    host = _refused_host()
    _write_stack(stage, f"registry: {host}\nhooks: {{beforeAll: [{{run: nosuch}}]}}")

    assert _doctor(stage, env="staging") == 0

    assert "ok       stack        services.yaml: 1 object\n" in stage.shown
    assert "ok       programs     bash: " in stage.shown
    assert "namespace shop-staging: this account may do all that 1 object needs" in stage.shown
    assert f"warning  registries   registry {host}: nothing listens there" in stage.shown
    assert stage.sent("apply") == stage.sent("rehearse") == stage.sent("create") == []


def test_plain_yaml(stage: Stage) -> None:
    """Permissions with the line of the manifest; exit code 4."""
    stage.write(yaml_of("Deployment", "web", "spec: {replicas: 1}"))
    stage.cluster.rules = []

    assert _doctor(stage, manifests=["app.yaml"], namespace="shop") == 4

    assert "failed   permissions  app.yaml:1: this account may not create, patch" in stage.shown
    assert stage.shown.splitlines()[-1].startswith("FAILED  ")


def test_the_worst_decides_about_the_exit_code(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster or a registry that refuses is 4; this machine is 5."""
    host = _refused_host()
    images = f"images: {{a: {{type: external, from: {host}/b:1, local: {host}/a:1}}}}"
    _write_stack(stage, images)
    assert _doctor(stage, env="staging") == 4

    _write_stack(stage, f"{images}\nhooks: {{beforeAll: [{{run: 'true'}}]}}")
    monkeypatch.setenv("PATH", str(stage.folder))
    stage.cluster.review_refusal = ClusterError("POST", "Unauthorized", status=401)

    assert _doctor(stage) == 4
    assert _doctor(stage, env="staging") == 5
    assert "skipped  permissions  cluster: it cannot be asked" in stage.shown


def test_a_stack_that_cannot_be_loaded_hides_nothing(stage: Stage) -> None:
    """Exit code 3, with file and line, beside what is to be said about machine and cluster."""
    (stage.folder / "services.yaml").write_text("project: shop\nservices: [{nam: a}]\n")

    assert _doctor(stage, env="staging") == 3

    assert "failed   stack        services.yaml:2: " in stage.shown
    assert "ok       cluster      " in stage.shown
    assert "permissions" not in stage.shown


def test_a_hook_that_there_is_not(stage: Stage) -> None:
    """Steps are checked as before a deploy; a step that does not run is not looked at."""
    _write_stack(stage, "hooks: {beforeAll: [{use: preflght}, {run: nosuch, when: 'no'}]}")

    assert _doctor(stage, env="staging") == 3

    assert "failed   stack        services.yaml:4: there is no hook 'preflght'" in stage.shown
    assert "bash" not in stage.shown


def test_the_cluster_of_the_environment(stage: Stage) -> None:
    """The kubeconfig that services.yaml names is the one that is tried."""
    asked: list[ClusterSettings] = []
    _write_stack(stage)
    text = (stage.folder / "services.yaml").read_text()
    (stage.folder / "services.yaml").write_text(
        text.replace("staging: {}", "staging: {context: main}")
    )
    real = stage.outside

    def connect(settings: ClusterSettings, *more: Any) -> Any:
        asked.append(settings)
        return real.connect(settings, *more)

    outside = Outside(console=real.console, clock=real.clock, connect=connect, watch=real.watch)
    assert doctor(doctor_request(env="staging"), outside) == 0

    assert [settings.context for settings in asked] == ["main"]  # asked once, not once per check


def test_as_json(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs: each finding with its state, place and remedy."""
    stage.write(yaml_of("ConfigMap", "a", "data: {k: v}"))
    stage.cluster.rules = []

    assert _doctor(stage, manifests=["app.yaml"], namespace="shop", output="json") == 4

    report = report_of(capsys)
    assert (report["version"], report["exitCode"]) == (1, 4)
    failed = next(f for f in report["findings"] if f["line"] == 1)
    assert failed == {
        "check": "permissions",
        "state": "failed",
        "where": "app.yaml:1",
        "file": "app.yaml",
        "line": 1,
        "what": "this account may not create, patch configmaps in namespace shop",
        "fix": "ask for this permission, or use other credentials",
    }


def test_secrets_are_masked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever they turn up, also in JSON."""
    monkeypatch.setenv("DEPLOY_TOKEN", "hunter2-hunter2")
    stage.cluster.user = "hunter2-hunter2"

    _doctor(stage, output="json")

    assert "as ***" in stage.shown
    assert "hunter2" not in stage.shown + capsys.readouterr().out


def test_a_manifest_needs_a_namespace(stage: Stage) -> None:
    """Wrong usage is refused as everywhere."""
    with pytest.raises(UsageError, match="--namespace"):
        _doctor(stage, manifests=["app.yaml"])
