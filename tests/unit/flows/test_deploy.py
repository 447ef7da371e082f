"""The tasks from beginning to end, against a cluster that is a dictionary."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.console import Console
from codexctl_tasks.errors import ClusterError, CodexctlError, CombinedError, Interrupted
from codexctl_tasks.flows import deploy
from codexctl_tasks.settings import DeployRequest, deploy_request
from tests.support.fakes import FakeCluster, fake_outside
from tests.support.objects import crashed, pod, replica_set, waiting, yaml_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from codexctl_tasks.world.outside import Outside
    from tests.support.fakes import FakeClock

SPEC = "spec: {replicas: 1}"
WAVE = '  annotations: {codexctl/wave: "%s"}'
SECRET = 'pä"ss\\word'


class _Stage:
    """A folder with manifests, a cluster, and what was shown."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.folder, self.clock = folder, clock
        self.cluster, self.stream = FakeCluster(), io.StringIO()
        self.cluster.on_apply = healthy

    @property
    def outside(self) -> Outside:
        return fake_outside(self.cluster, self.clock, self.stream)

    def write(self, *manifests: str) -> None:
        (self.folder / "app.yaml").write_text("".join(manifests))

    def request(self, **given: Any) -> DeployRequest:
        return deploy_request(manifests=["app.yaml"], namespace="shop", **given)

    def run(self, task: Callable[[DeployRequest, Outside], int], **given: Any) -> int:
        self.cluster.calls.clear()
        return task(self.request(**given), self.outside)

    def refused(self, task: Callable[[DeployRequest, Outside], int]) -> CodexctlError:
        with pytest.raises(CodexctlError) as caught:
            self.run(task)
        return caught.value

    @property
    def shown(self) -> str:
        return self.stream.getvalue()

    def sent(self, verb: str) -> list[str]:
        return [c.removeprefix(f"{verb} ") for c in self.cluster.calls if c.startswith(verb)]


@pytest.fixture
def stage(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> _Stage:
    monkeypatch.chdir(tmp_path)
    return _Stage(tmp_path, clock)


def healthy(stored: dict[str, Any]) -> None:
    """Give a workload the status of a complete rollout."""
    generation = stored["metadata"]["generation"]
    stored["status"] = {
        "observedGeneration": generation,
        "updatedReplicas": 1,
        "replicas": 1,
        "availableReplicas": 1,
        "conditions": [{"type": "Complete", "status": "True"}],
    }


def pending(stored: dict[str, Any]) -> None:
    """Give a workload the status of a rollout that has just begun."""
    stored["status"] = {"observedGeneration": stored["metadata"]["generation"]}


def broken(cluster: FakeCluster, container: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Return a hook after which the Deployment ``web`` has one pod with this container."""

    def on_apply(stored: dict[str, Any]) -> None:
        if (stored["kind"], stored["metadata"]["name"]) != ("Deployment", "web"):
            healthy(stored)
            return
        pending(stored)
        stored["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
        own = replica_set(owner=stored["metadata"]["uid"])
        cluster.objects["ReplicaSet", "shop", "web-1"] = own
        cluster.objects["Pod", "shop", "web-1-a"] = pod("web-1-a", container)

    return on_apply


BAD_NAME = waiting("InvalidImageName", "couldn't parse image name")


def test_apply_and_wait_until_healthy(stage: _Stage) -> None:
    """Configuration first, then workloads, then the good news; exit code 0."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("ConfigMap", "a"))

    assert stage.run(deploy.apply_and_wait) == 0

    assert stage.sent("apply") == ["Namespace shop", "ConfigMap a", "Deployment web"]
    assert "apply    created   ConfigMap shop/a  app.yaml:7" in stage.shown
    assert "HEALTHY  1 ready" in stage.shown


def test_the_namespace_is_created_only_if_it_is_absent(stage: _Stage) -> None:
    """The first deploy makes it, the second leaves it alone, labels and all."""
    stage.write(yaml_of("ConfigMap", "a"))

    stage.run(deploy.apply)
    assert "Namespace shop" in stage.sent("apply")
    stage.run(deploy.apply)
    assert stage.sent("apply") == ["ConfigMap a"]
    assert "created   Namespace shop  app.yaml" in stage.shown


def test_a_stack_may_bring_its_own_namespace(stage: _Stage) -> None:
    """The declared one is applied, once, with its labels; no bare one before it."""
    stage.write(yaml_of("Namespace", "shop", "  labels: {team: a}"), yaml_of("ConfigMap", "a"))

    stage.run(deploy.apply)

    assert stage.sent("apply") == ["Namespace shop", "ConfigMap a"]
    assert stage.cluster.objects["Namespace", "", "shop"]["metadata"]["labels"] == {"team": "a"}


def test_a_broken_workload_is_exit_code_1_with_its_cause(stage: _Stage) -> None:
    """In seconds: cause, place, log; the exit code that workflows branch on."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.cluster.on_apply = broken(stage.cluster, BAD_NAME)

    assert stage.run(deploy.apply_and_wait) == 1

    assert "FAILED  1 failed" in stage.shown
    assert "cause     container app: couldn't parse image name (InvalidImageName)" in stage.shown
    assert "manifest  app.yaml:1" in stage.shown
    assert stage.clock.time < 15


def test_a_time_out_is_exit_code_70_and_names_who(stage: _Stage) -> None:
    """Nothing failed, more time may be all it needs: another code, and the names."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("Job", "migrate", "spec: {}"))
    stage.cluster.on_apply = lambda o: (pending if o["kind"] == "Deployment" else healthy)(o)

    assert stage.run(deploy.apply_and_wait, wait_timeout="30s") == 70

    assert "TIMED OUT  1 ready, 1 timed out" in stage.shown
    assert "Deployment shop/web  TIMED OUT" in stage.shown
    assert 30 <= stage.clock.time < 32


@pytest.mark.parametrize("task", [deploy.apply, deploy.apply_and_wait])
def test_waves_wait_for_each_other(
    stage: _Stage, task: Callable[[DeployRequest, Outside], int]
) -> None:
    """The migration is complete before the application is applied."""
    stage.write(yaml_of("Deployment", "web", WAVE % 1, SPEC), yaml_of("Job", "migrate", "spec: {}"))
    seen: list[list[str]] = []

    def on_apply(stored: dict[str, Any]) -> None:
        pending(stored)
        if stored["metadata"]["name"] == "web":
            job = stage.cluster.objects["Job", "shop", "migrate"]
            seen.append([c["type"] for c in job["status"].get("conditions", ())])
            healthy(stored)

    stage.cluster.on_apply = on_apply
    stage.clock.at(5.0, lambda: healthy(stage.cluster.objects["Job", "shop", "migrate"]))

    assert stage.run(task) == 0
    assert seen == [["Complete"]]


@pytest.mark.parametrize("task", [deploy.apply, deploy.apply_and_wait])
def test_a_wave_after_a_failed_one_is_skipped(
    stage: _Stage, task: Callable[[DeployRequest, Outside], int]
) -> None:
    """Nothing is built on a broken base, and the report lists what was left out."""
    stage.write(
        yaml_of("Deployment", "web", SPEC),
        yaml_of("ConfigMap", "later", WAVE % 1),
        yaml_of("Deployment", "last", WAVE % 2, SPEC),
    )
    stage.cluster.on_apply = broken(stage.cluster, BAD_NAME)

    assert stage.run(task) == 1

    assert stage.sent("apply") == ["Namespace shop", "Deployment web"]
    assert "1 failed, 2 skipped" in stage.shown
    assert "ConfigMap shop/later  SKIPPED" in stage.shown
    assert "Deployment shop/last  SKIPPED" in stage.shown


def test_apply_alone_does_not_wait(stage: _Stage) -> None:
    """``apply`` returns as soon as everything is accepted."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.cluster.on_apply = pending

    assert stage.run(deploy.apply) == 0
    assert stage.clock.time == 0


@pytest.mark.parametrize("code", [403, 422])
def test_refused_objects_are_exit_code_4_with_their_lines(stage: _Stage, code: int) -> None:
    """All refusals of the stage together, the rest of it applied, nothing after it."""
    stage.write(
        yaml_of("ConfigMap", "a"),
        yaml_of("ConfigMap", "b"),
        yaml_of("Secret", "c"),
        yaml_of("Deployment", "web", SPEC),
    )
    for name in ("a", "c"):
        stage.cluster.refusals[name] = ClusterError("PATCH", "no", status=code)

    error = stage.refused(deploy.apply_and_wait)

    assert isinstance(error, CombinedError)
    assert error.exit_code == 4
    assert [str(p.location) for p in error.problems] == ["app.yaml:1", "app.yaml:11"]
    assert ("ConfigMap", "shop", "b") in stage.cluster.objects
    assert ("Deployment", "shop", "web") not in stage.cluster.objects


def test_mistakes_are_found_before_the_cluster_is_touched(stage: _Stage) -> None:
    """A broken file or an unknown kind deploys nothing at all."""
    stage.write(yaml_of("ConfigMap", "a"), "kind: ConfigMap\n")
    assert stage.refused(deploy.apply).exit_code == 3
    assert stage.cluster.calls == []

    stage.write(yaml_of("ConfigMap", "a"), yaml_of("Nonsense", "b"))
    assert stage.refused(deploy.apply).exit_code == 4
    assert stage.cluster.calls == []


@pytest.mark.parametrize("task", [deploy.apply_and_wait, deploy.wait])
def test_an_interruption_still_prints_the_report(
    stage: _Stage, task: Callable[[DeployRequest, Outside], int]
) -> None:
    """Ctrl-C, or a cancelled job: exit code 130 and everything known so far."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("Job", "migrate", "spec: {}"))
    stage.cluster.on_apply = lambda o: (pending if o["kind"] == "Deployment" else healthy)(o)
    stage.run(deploy.apply)
    stage.clock.at(5.0, _interrupt)

    assert stage.run(task) == 130

    assert "INTERRUPTED  1 ready, 1 not ready" in stage.shown
    assert "Deployment shop/web  NOT READY" in stage.shown


def _interrupt() -> None:
    raise Interrupted(2)


def test_an_interruption_of_the_apply_is_not_called_healthy(stage: _Stage) -> None:
    """The second wave was being sent: the report says so and names what is missing."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("ConfigMap", "later", WAVE % 1))

    def on_apply(stored: dict[str, Any]) -> None:
        healthy(stored)
        if stored["metadata"]["name"] == "later":
            raise Interrupted(15)

    stage.cluster.on_apply = on_apply

    assert stage.run(deploy.apply_and_wait) == 143
    assert "INTERRUPTED  1 ready" in stage.shown
    assert "HEALTHY" not in stage.shown


def test_the_report_as_json(stage: _Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout holds one JSON document and nothing else, whatever the outcome."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("Job", "later", WAVE % 1))
    stage.cluster.on_apply = broken(stage.cluster, BAD_NAME)

    assert stage.run(deploy.apply_and_wait, output="json") == 1

    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"exitCode", "elapsedSeconds", "workloads", "skipped"}
    assert (report["exitCode"], report["skipped"]) == (1, ["Job shop/later"])
    [web] = report["workloads"]
    assert (web["outcome"], web["detail"]) == ("failed", "invalid image name")
    assert web["manifest"] == "app.yaml:1"
    assert web["diagnosis"]["where"] == "pod web-1-a"


def test_without_json_stdout_stays_empty(stage: _Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Progress is no result."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.run(deploy.apply_and_wait)

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("form", ["stringData", "data"])
def test_values_of_secrets_are_masked(
    stage: _Stage, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A crashing container prints its password: neither the log shown nor the JSON repeats it."""
    value = SECRET if form == "stringData" else base64.b64encode(SECRET.encode()).decode()
    stage.write(
        yaml_of("Secret", "db", f"{form}:", f"  password: '{value}'"),
        yaml_of("Deployment", "web", SPEC),
    )
    stage.cluster.log_lines = [f"cannot log in with {SECRET}"]
    stage.cluster.on_apply = broken(stage.cluster, crashed(1))

    assert stage.run(deploy.apply_and_wait, output="json", wait_timeout="5s") == 70

    out = capsys.readouterr().out
    assert "cannot log in with ***" in stage.shown
    assert SECRET not in stage.shown
    assert json.loads(out)["workloads"][0]["diagnosis"]["log"] == ["cannot log in with ***"]


@pytest.mark.parametrize(
    "body",
    ["data: {a: 'pässwort'}", "data: {a: '%%%'}", "data: [a]", "data: text", "stringData: [a]"],
)
def test_a_malformed_secret_is_left_to_the_server(stage: _Stage, body: str) -> None:
    """The server's refusal names the mistake; looking for values to mask must not break."""
    stage.write(yaml_of("Secret", "db", body))

    assert stage.run(deploy.apply) == 0


def test_values_of_secret_variables_are_not_in_errors(
    stage: _Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong with a file that uses a password, the message does not repeat it."""
    (stage.folder / "services.yaml").write_text(
        "project: shop\nservices: [{name: a, manifests: [{path: a.yaml}]}]\n"
    )
    monkeypatch.setenv("API_TOKEN", "hunter2environ")
    mistakes = (
        "{{ Vars[Vars.DB_PASSWORD] }}",
        "{% include Vars.DB_PASSWORD %}",
        "a: !{{ Vars.DB_PASSWORD }} x",
        "a: {{ EnvMap[EnvMap.API_TOKEN] }}",
        "{{ Vars.DB_PASSWORD }}: 1\n{{ Vars.DB_PASSWORD }}: 2",
    )
    for mistake in mistakes:
        (stage.folder / "a.yaml").write_text(mistake)
        request = deploy_request(env="staging", vars="DB_PASSWORD=hunter2given")
        outside = stage.outside
        with pytest.raises(CodexctlError) as caught:
            deploy.apply(request, outside)
        outside.console.error(caught.value)

    assert stage.shown.count("error: ") == len(mistakes)
    assert "hunter2" not in stage.shown


def test_wait_looks_at_what_is_there(stage: _Stage) -> None:
    """Nothing is applied; healthy is healthy."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("ConfigMap", "a"))
    stage.run(deploy.apply)

    assert stage.run(deploy.wait) == 0
    assert stage.sent("apply") == []
    assert "HEALTHY  1 ready" in stage.shown


def test_wait_for_what_was_never_applied(stage: _Stage) -> None:
    """The name, the line and what to do."""
    stage.write(yaml_of("Deployment", "web", SPEC))

    error = stage.refused(deploy.wait)

    assert str(error) == (
        "app.yaml:1: Deployment shop/web does not exist in the cluster: apply it first"
    )
    assert error.exit_code == 4


def test_destroy_deletes_in_reverse_and_twice_is_fine(stage: _Stage) -> None:
    """Workloads first, the namespace last; what is gone already is no error."""
    stage.write(
        yaml_of("Namespace", "shop"),
        yaml_of("ConfigMap", "a"),
        yaml_of("Deployment", "web", SPEC),
    )
    stage.run(deploy.apply)

    assert stage.run(deploy.destroy) == 0
    assert stage.sent("delete") == ["Deployment web", "ConfigMap a", "Namespace shop"]
    assert stage.cluster.objects == {}
    assert "destroy  deleted Deployment shop/web" in stage.shown

    assert stage.run(deploy.destroy) == 0
    assert stage.sent("delete") == []


def test_destroy_names_what_finalizers_hold(stage: _Stage) -> None:
    """Time-out, exit code 70, and the objects that are still there."""

    class _Holding(FakeCluster):
        def delete(self, resource: Any, namespace: str, name: str, uid: str) -> bool:
            self.calls.append(f"delete {resource.kind} {namespace} {name} {uid}")
            return True

    stage.cluster = _Holding()
    stage.write(yaml_of("ConfigMap", "a"))
    stage.run(deploy.apply)

    assert stage.run(deploy.destroy, wait_timeout="10s") == 70
    assert "still there: ConfigMap shop/a: a finalizer holds it" in stage.shown


def test_watches_are_closed_whatever_happens(stage: _Stage) -> None:
    """No thread goes on announcing things below the report."""
    stage.write(yaml_of("Deployment", "web", SPEC))

    stage.run(deploy.apply_and_wait)
    stage.cluster.refusals["web"] = ClusterError("PATCH", "no", status=422)
    stage.refused(deploy.apply_and_wait)

    assert [feed.closed for feed in stage.cluster.feeds] == [True, True]


def test_a_refusal_in_a_later_wave_still_reports_the_waves_before(stage: _Stage) -> None:
    """Exit code 4 comes with what became of the wave that was applied and waited for."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("ConfigMap", "later", WAVE % 1))
    stage.cluster.refusals["later"] = ClusterError("PATCH", "no", status=422)

    error = stage.refused(deploy.apply_and_wait)

    assert error.exit_code == 4
    assert "STOPPED  1 ready" in stage.shown


def test_a_failed_workload_is_an_annotation_in_github_actions(stage: _Stage) -> None:
    """GitHub shows the cause at the line of the manifest, once per failed workload."""
    stage.write(yaml_of("ConfigMap", "a"), yaml_of("Deployment", "web", SPEC))
    stage.cluster.on_apply = broken(stage.cluster, BAD_NAME)
    outside = replace(stage.outside, console=Console(stage.stream, github=True))

    assert deploy.apply_and_wait(stage.request(), outside) == 1

    annotations = [line for line in stage.shown.splitlines() if line.startswith("::error")]
    assert len(annotations) == 1
    assert annotations[0].startswith(
        "::error file=app.yaml,line=6::Deployment shop/web failed: invalid image name: container"
    )


def test_an_account_of_one_namespace_may_not_read_it(stage: _Stage) -> None:
    """Reading the namespace is forbidden: it is taken to exist, and the rest is applied."""
    stage.cluster.forbidden_kinds.add("Namespace")
    stage.write(yaml_of("ConfigMap", "a"))

    assert stage.run(deploy.apply) == 0
    assert stage.sent("apply") == ["ConfigMap a"]


def test_what_was_applied_before_an_interruption_is_in_the_report(stage: _Stage) -> None:
    """Ctrl-C in the middle of a stage: the workloads that are applied are named."""
    stage.write(*(yaml_of("Deployment", name, SPEC) for name in ("a", "b")))
    stage.cluster.on_apply = pending
    told: list[str] = []

    class _Impatient(Console):
        def step(self, verb: str, text: str) -> None:
            super().step(verb, text)
            told.append(text)
            if "Deployment" in text:
                raise Interrupted(2)

    outside = replace(stage.outside, console=_Impatient(stage.stream))

    assert deploy.apply_and_wait(stage.request(), outside) == 130
    assert "INTERRUPTED  1 not ready" in stage.shown
