"""The tasks from beginning to end, against a cluster that is a dictionary."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.console import Console
from codexctl_tasks.errors import ClusterError, CodexctlError, CombinedError, Interrupted
from codexctl_tasks.flows import deploy
from codexctl_tasks.settings import deploy_request
from tests.support.objects import crashed, yaml_of
from tests.support.stage import SPEC, WAVE, broken, healthy, pending, report_of

if TYPE_CHECKING:
    from tests.support.stage import Stage, Task

SECRET = 'pä"ss\\word'


def test_apply_and_wait_until_healthy(stage: Stage) -> None:
    """Configuration first, then workloads, then the good news; exit code 0."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("ConfigMap", "a"))

    assert stage.run(deploy.apply_and_wait) == 0

    assert stage.sent("apply") == ["Namespace shop", "ConfigMap a", "Deployment web"]
    assert "apply    created   ConfigMap shop/a  app.yaml:7" in stage.shown
    assert "HEALTHY  1 ready" in stage.shown


def test_the_namespace_is_created_only_if_it_is_absent(stage: Stage) -> None:
    """The first deploy makes it, the second leaves it alone, labels and all."""
    stage.write(yaml_of("ConfigMap", "a"))

    stage.run(deploy.apply)
    assert "Namespace shop" in stage.sent("apply")
    assert "created   Namespace shop  app.yaml" in stage.shown
    stage.write(yaml_of("ConfigMap", "a", "data: {k: v}"))
    stage.run(deploy.apply)
    assert stage.sent("apply") == ["ConfigMap a"]


def test_a_stack_may_bring_its_own_namespace(stage: Stage) -> None:
    """The declared one is applied, once, with its labels; no bare one before it."""
    stage.write(yaml_of("Namespace", "shop", "  labels: {team: a}"), yaml_of("ConfigMap", "a"))

    stage.run(deploy.apply)

    assert stage.sent("apply") == ["Namespace shop", "ConfigMap a"]
    assert stage.cluster.objects["Namespace", "", "shop"]["metadata"]["labels"] == {"team": "a"}


def test_a_broken_workload_is_exit_code_1_with_its_cause(stage: Stage) -> None:
    """In seconds: cause, place, log; the exit code that workflows branch on."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.cluster.on_apply = broken(stage.cluster)

    assert stage.run(deploy.apply_and_wait) == 1

    assert "FAILED  1 failed" in stage.shown
    assert "cause     container app: couldn't parse image name (InvalidImageName)" in stage.shown
    assert "manifest  app.yaml:1" in stage.shown
    assert stage.clock.time < 15


def test_a_time_out_is_exit_code_70_and_names_who(stage: Stage) -> None:
    """Nothing failed, more time may be all it needs: another code, and the names."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("Job", "migrate", "spec: {}"))
    stage.cluster.on_apply = lambda o: (pending if o["kind"] == "Deployment" else healthy)(o)

    assert stage.run(deploy.apply_and_wait, wait_timeout="30s") == 70

    assert "TIMED OUT  1 ready, 1 timed out" in stage.shown
    assert "Deployment shop/web  TIMED OUT" in stage.shown
    assert 30 <= stage.clock.time < 32


@pytest.mark.parametrize("task", [deploy.apply, deploy.apply_and_wait])
def test_waves_wait_for_each_other(stage: Stage, task: Task) -> None:
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
def test_a_wave_after_a_failed_one_is_skipped(stage: Stage, task: Task) -> None:
    """Nothing is built on a broken base, and the report lists what was left out."""
    stage.write(
        yaml_of("Deployment", "web", SPEC),
        yaml_of("ConfigMap", "later", WAVE % 1),
        yaml_of("Deployment", "last", WAVE % 2, SPEC),
    )
    stage.cluster.on_apply = broken(stage.cluster)

    assert stage.run(task) == 1

    assert stage.sent("apply") == ["Namespace shop", "Deployment web"]
    assert "1 failed, 2 skipped" in stage.shown
    assert "ConfigMap shop/later  SKIPPED" in stage.shown
    assert "Deployment shop/last  SKIPPED" in stage.shown


def test_apply_alone_does_not_wait(stage: Stage) -> None:
    """``apply`` returns as soon as everything is accepted."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.cluster.on_apply = pending

    assert stage.run(deploy.apply) == 0
    assert stage.clock.time == 0


REFUSED = (
    yaml_of("ConfigMap", "a"),
    yaml_of("ConfigMap", "b"),
    yaml_of("Secret", "c"),
    yaml_of("Deployment", "web", SPEC),
)


@pytest.mark.parametrize("code", [403, 422])
def test_what_would_be_refused_is_found_before_anything_is_applied(stage: Stage, code: int) -> None:
    """All refusals of the whole set together, with their lines: exit code 4, nothing changed."""
    stage.write(*REFUSED)
    for name in ("a", "c", "web"):
        stage.cluster.refusals[name] = ClusterError("PATCH", "no", status=code)

    error = stage.refused(deploy.apply_and_wait)

    assert isinstance(error, CombinedError)
    assert error.exit_code == 4
    assert [str(p.location) for p in error.problems] == ["app.yaml:1", "app.yaml:11", "app.yaml:16"]
    assert (stage.sent("apply"), stage.cluster.objects) == ([], {})
    assert len(stage.sent("rehearse")) == 5


@pytest.mark.parametrize("code", [403, 422])
def test_what_is_refused_only_when_it_is_applied(stage: Stage, code: int) -> None:
    """All refusals of the stage together, the rest of it applied, nothing after it."""
    stage.write(*REFUSED)
    for name in ("a", "c"):
        stage.cluster.late_refusals[name] = [ClusterError("PATCH", "no", status=code)]

    error = stage.refused(deploy.apply_and_wait)

    assert isinstance(error, CombinedError)
    assert error.exit_code == 4
    assert [str(p.location) for p in error.problems] == ["app.yaml:1", "app.yaml:11"]
    assert stage.names == {"ConfigMap b"}
    assert "2 of 5 objects were applied before the end" in stage.shown
    assert "Deployment shop/web was not applied" in stage.shown


def test_a_refusal_before_the_apply_is_one_json_document(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Programs cannot read stderr: they get every problem, and that nothing was applied."""
    stage.write(*REFUSED)
    stage.cluster.refusals["a"] = ClusterError("PATCH", "no", status=422)

    stage.refused(deploy.apply_and_wait, output="json")

    report = report_of(capsys)
    assert (report["exitCode"], report["workloads"]) == (4, [])
    assert {each["outcome"] for each in report["objects"]} == {"not applied"}
    assert [each["where"] for each in report["problems"]] == ["app.yaml:1"]


def test_missing_rights_are_told_once(stage: Stage) -> None:
    """The review of the account says it in one line; its consequences are not listed as well."""
    stage.write(*REFUSED)
    stage.cluster.rules = [{"verbs": ["get"], "apiGroups": ["*"], "resources": ["*"]}]
    for name in ("shop", "a", "b", "c", "web"):
        stage.cluster.refusals[name] = ClusterError(
            "PATCH", f'"{name}" is forbidden: User "ci" cannot patch resource', status=403
        )

    lines = str(stage.refused(deploy.apply)).splitlines()

    assert [line.partition(" may not ")[2].partition(":")[0] for line in lines] == [
        "create, patch namespaces in the whole cluster",
        "create, patch configmaps in namespace shop",
        "create, patch secrets in namespace shop",
        "create, patch deployments.apps in namespace shop",
    ]
    assert stage.cluster.objects == {}


def test_mistakes_are_found_before_the_cluster_is_touched(stage: Stage) -> None:
    """A broken file or an unknown kind deploys nothing at all."""
    stage.write(yaml_of("ConfigMap", "a"), "kind: ConfigMap\n")
    assert stage.refused(deploy.apply).exit_code == 3
    assert stage.cluster.calls == []

    stage.write(yaml_of("ConfigMap", "a"), yaml_of("Nonsense", "b"))
    stage.cluster.refusals["a"] = ClusterError("PATCH", "no", status=422)
    error = stage.refused(deploy.apply)
    assert error.exit_code == 4
    assert [str(p.location) for p in error.problems] == ["app.yaml:6", "app.yaml:1"]
    assert (stage.sent("apply"), stage.cluster.objects) == ([], {})


@pytest.mark.parametrize("task", [deploy.apply_and_wait, deploy.wait])
def test_an_interruption_still_prints_the_report(stage: Stage, task: Task) -> None:
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


def test_an_interruption_of_the_apply_is_not_called_healthy(stage: Stage) -> None:
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


def test_the_report_as_json(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout holds one JSON document and nothing else, whatever the outcome."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("Job", "later", WAVE % 1))
    stage.cluster.on_apply = broken(stage.cluster)

    assert stage.run(deploy.apply_and_wait, output="json") == 1

    report = report_of(capsys)
    assert set(report) == {
        *("version", "exitCode", "elapsedSeconds", "workloads", "skipped"),
        *("stack", "namespace", "hooks", "objects", "leaving", "problems"),
    }
    assert [each["outcome"] for each in report["objects"]] == ["created", "created", "not applied"]
    assert (report["exitCode"], report["skipped"]) == (1, ["Job shop/later"])
    [web] = report["workloads"]
    assert (web["outcome"], web["detail"]) == ("failed", "invalid image name")
    assert web["manifest"] == "app.yaml:1"
    assert web["diagnosis"]["where"] == "pod web-1-a"


def test_without_json_stdout_stays_empty(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Progress is no result."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.run(deploy.apply_and_wait)

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("form", ["stringData", "data"])
def test_values_of_secrets_are_masked(
    stage: Stage, form: str, capsys: pytest.CaptureFixture[str]
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


@pytest.mark.parametrize(("key", "name"), [("POSTGRES_USER", "market"), ("password", "***")])
@pytest.mark.parametrize(("form", "value"), [("stringData", "market"), ("data", "bWFya2V0")])
def test_a_database_with_the_name_of_the_stack_leaves_lines_readable(
    stage: Stage, key: str, name: str, form: str, value: str
) -> None:
    """A user that is called as an object is no secret; a password is, whatever it is."""
    stage.write(yaml_of("Secret", "market", f"{form}:", f"  {key}: {value}"))

    assert stage.run(deploy.apply) == 0

    assert f"created   Secret shop/{name} " in stage.shown


@pytest.mark.parametrize(
    "body",
    ["data: {a: 'pässwort'}", "data: {a: '%%%'}", "data: [a]", "data: text", "stringData: [a]"],
)
def test_a_malformed_secret_is_left_to_the_server(stage: Stage, body: str) -> None:
    """The server's refusal names the mistake; looking for values to mask must not break."""
    stage.write(yaml_of("Secret", "db", body))

    assert stage.run(deploy.apply) == 0


def test_values_of_secret_variables_are_not_in_errors(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
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


def test_wait_looks_at_what_is_there(stage: Stage) -> None:
    """Nothing is applied; healthy is healthy."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("ConfigMap", "a"))
    stage.run(deploy.apply)

    assert stage.run(deploy.wait) == 0
    assert stage.sent("apply") == []
    assert "HEALTHY  1 ready" in stage.shown


def test_wait_for_what_was_never_applied(stage: Stage) -> None:
    """The name, the line and what to do."""
    stage.write(yaml_of("Deployment", "web", SPEC))

    error = stage.refused(deploy.wait)

    assert str(error) == (
        "app.yaml:1: Deployment shop/web does not exist in the cluster: apply it first"
    )
    assert error.exit_code == 4


def test_wait_for_many_asks_for_all_of_a_kind_at_once(stage: Stage) -> None:
    """A hundred Deployments are one request, not a hundred."""
    stage.write(*(yaml_of("Deployment", f"web-{number}", SPEC) for number in range(100)))
    stage.run(deploy.apply)

    assert stage.run(deploy.wait) == 0
    assert stage.sent("get") == []
    assert "HEALTHY  100 ready" in stage.shown


def test_wait_for_what_may_not_be_read(stage: Stage) -> None:
    """That is not the same as if it did not exist."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.run(deploy.apply)
    stage.cluster.forbidden_kinds.add("Deployment")

    error = stage.refused(deploy.wait)

    assert str(error) == "app.yaml:1: Deployment shop/web may not be read: ask for this permission"
    assert error.exit_code == 4


def test_a_wait_that_is_refused_in_the_middle_still_reports(stage: Stage) -> None:
    """Permissions that are taken away end it; what is known so far is printed all the same."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.cluster.on_apply = pending
    stage.run(deploy.apply)
    stage.clock.at(stage.clock.now() + 5, lambda: stage.cluster.forbidden_kinds.add("Pod"))

    error = stage.refused(deploy.wait)

    assert (error.exit_code, str(error)) == (4, "GET pods: forbidden")
    assert "STOPPED  1 not ready" in stage.shown
    assert "Deployment shop/web  NOT READY" in stage.shown


def test_watches_are_closed_whatever_happens(stage: Stage) -> None:
    """No thread goes on announcing things below the report."""
    stage.write(yaml_of("Deployment", "web", SPEC))

    stage.run(deploy.apply_and_wait)
    stage.write(yaml_of("Deployment", "web", "spec: {replicas: 2}"))
    stage.cluster.late_refusals["web"] = [ClusterError("PATCH", "no", status=422)]
    stage.refused(deploy.apply_and_wait)

    assert [feed.closed for feed in stage.cluster.feeds] == [True, True]


def test_a_refusal_in_a_later_wave_still_reports_the_waves_before(stage: Stage) -> None:
    """Exit code 4 comes with what became of the wave that was applied and waited for."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("ConfigMap", "later", WAVE % 1))
    stage.cluster.late_refusals["later"] = [ClusterError("PATCH", "no", status=422)]

    error = stage.refused(deploy.apply_and_wait)

    assert error.exit_code == 4
    assert "STOPPED  1 ready" in stage.shown


def test_a_failed_workload_is_an_annotation_in_github_actions(stage: Stage) -> None:
    """GitHub shows the cause at the line of the manifest, once per failed workload."""
    stage.write(yaml_of("ConfigMap", "a"), yaml_of("Deployment", "web", SPEC))
    stage.cluster.on_apply = broken(stage.cluster)
    outside = replace(stage.outside, console=Console(stage.stream, github=True))

    assert deploy.apply_and_wait(stage.request(), outside) == 1

    annotations = [line for line in stage.shown.splitlines() if line.startswith("::error")]
    assert len(annotations) == 1
    assert annotations[0].startswith(
        "::error file=app.yaml,line=6::Deployment shop/web failed: invalid image name: container"
    )


def test_an_account_of_one_namespace_may_not_read_it(stage: Stage) -> None:
    """Reading the namespace is forbidden: it is taken to exist, and the rest is applied."""
    stage.write(yaml_of("Namespace", "shop"))
    stage.run(deploy.apply)
    stage.cluster.forbidden_kinds.add("Namespace")
    stage.write(yaml_of("ConfigMap", "a"))

    assert stage.run(deploy.apply) == 0
    assert stage.sent("apply") == ["ConfigMap a"]


def test_what_was_applied_before_an_interruption_is_in_the_report(stage: Stage) -> None:
    """Ctrl-C in the middle of a stage: the workloads that are applied are named."""
    stage.write(*(yaml_of("Deployment", name, SPEC) for name in ("a", "b")))
    stage.cluster.on_apply = pending

    class _Impatient(Console):
        def step(self, verb: str, text: str) -> None:
            super().step(verb, text)
            if text.startswith("created   Deployment"):
                raise Interrupted(2)

    outside = replace(stage.outside, console=_Impatient(stage.stream))

    assert deploy.apply_and_wait(stage.request(), outside) == 130
    assert "INTERRUPTED  1 not ready" in stage.shown
