"""Flags, then ``CODEXCTL_*``, then defaults."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests.basis import DeployDefaults
from codexctl_tasks.settings import (
    ci_request,
    colour_wanted,
    debugging,
    deploy_request,
    ensure_ready_request,
    event_cleanup_request,
    gc_images_request,
    github_workspace,
    in_github_actions,
    step_request,
    sync_request,
    workflow_secrets,
)

if TYPE_CHECKING:
    from codexctl_tasks.requests.runs import DeployRequest


def _request(**given: Any) -> DeployRequest:
    return deploy_request(**{"env": "staging", **given})


def _seen(request: DeployRequest) -> dict[str, Any]:
    source, filters = request.source, request.source.filters
    return {
        "env": source.env,
        "slot": source.slot,
        "namespace": source.namespace,
        "config": str(source.config),
        "vars": dict(source.variables),
        "only_services": filters.only_services,
        "skip_services": filters.skip_services,
        "only_infra": filters.only_infra,
        "skip_infra": filters.skip_infra,
        "kubeconfig": request.cluster.kubeconfig,
        "context": request.cluster.context,
        "wait_timeout": request.wait_timeout_s,
        "force_conflicts": request.force_conflicts,
        "stack": request.stack,
        "no_prune": not request.prunes,
        "prune_protected": request.prune_protected,
        "detailed_exitcode": request.detailed_exitcode,
        "output": request.output,
        "junit": request.files.junit,
        "html": request.files.html,
    }


FLAGS: dict[str, tuple[Any, tuple[Any, Any], tuple[str, Any]]] = {
    # name: default, (flag, what it becomes), (variable, what it becomes)
    "env": ("staging", ("a", "a"), ("b", "staging")),
    "slot": (0, ("3", 3), ("4", 4)),
    "namespace": ("", ("a", "a"), ("b", "b")),
    "config": ("services.yaml", ("a.yaml", "a.yaml"), ("b.yaml", "b.yaml")),
    "vars": ({}, ("A=1", {"A": "1"}), ("B=2", {"B": "2"})),
    "only_services": (frozenset(), ("a", {"a"}), ("b", {"b"})),
    "skip_services": (frozenset(), ("a", {"a"}), ("b", {"b"})),
    "only_infra": (frozenset(), ("a", {"a"}), ("b", {"b"})),
    "skip_infra": (frozenset(), ("a", {"a"}), ("b", {"b"})),
    "kubeconfig": ("", ("a", "a"), ("b", "b")),
    "context": ("", ("a", "a"), ("b", "b")),
    "wait_timeout": (600.0, ("90s", 90.0), ("2m", 120.0)),
    "force_conflicts": (False, (True, True), ("yes", True)),
    "stack": ("", ("a", "a"), (" b ", "b")),
    "no_prune": (False, (True, True), ("1", True)),
    "prune_protected": (False, (True, True), ("true", True)),
    "detailed_exitcode": (False, (True, True), ("on", True)),
    "output": ("text", ("json", "json"), ("json", "json")),
    "junit": (None, ("a/b.xml", Path("a/b.xml")), ("c.xml", Path("c.xml"))),
    "html": (None, ("a.html", Path("a.html")), ("/b.html", Path("/b.html"))),
}


@pytest.mark.parametrize("name", FLAGS)
def test_flag_beats_variable_beats_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed wins; what CI exports stands in; nothing given is a sensible default."""
    default, (given, of_flag), (exported, of_variable) = FLAGS[name]

    assert _seen(_request())[name] == default
    monkeypatch.setenv(f"CODEXCTL_{name.upper()}", exported)
    assert _seen(_request())[name] == of_variable
    assert _seen(_request(**{name: given}))[name] == of_flag


def test_what_services_yaml_says_is_beaten_by_flags_and_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A team writes cluster and patience down once; who deploys can still choose others."""
    monkeypatch.setenv("KUBECONFIG", "/k/kubectl")
    said = DeployDefaults(kubeconfig="/k/stack", context="stack", wait_timeout="5m")

    request = _request().with_defaults(said)
    assert (request.cluster.kubeconfig, request.cluster.context) == ("/k/stack", "stack")
    assert request.wait_timeout_s == 300
    request = _request(wait_timeout="1m", context="mine").with_defaults(said)
    assert (request.cluster.kubeconfig, request.cluster.context) == ("/k/kubectl", "mine")
    assert request.wait_timeout_s == 60
    request = _request().with_defaults(DeployDefaults())
    assert (request.cluster.kubeconfig, request.wait_timeout_s) == ("/k/kubectl", 600)


def test_the_environment_may_come_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workflow exports CODEXCTL_ENV once instead of passing --env to every step."""
    monkeypatch.setenv("CODEXCTL_ENV", " production ")

    assert deploy_request().source.env == "production"


def test_kubeconfig_variable_of_kubectl_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    """KUBECONFIG works as with kubectl, unless codexctl is told something else."""
    monkeypatch.setenv("KUBECONFIG", "/k/kubectl")
    assert _request().cluster.kubeconfig == "/k/kubectl"

    monkeypatch.setenv("CODEXCTL_KUBECONFIG", "/k/codexctl")
    assert _request().cluster.kubeconfig == "/k/codexctl"
    assert _request(kubeconfig="/k/flag").cluster.kubeconfig == "/k/flag"


def test_manifests_come_from_a_repeated_flag_or_a_path_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Plain YAML can be named on the command line or, for workflows, in one variable."""
    given = deploy_request(manifests=["a.yaml", "b"], namespace="shop")
    assert given.source.manifests == (Path("a.yaml"), Path("b"))

    monkeypatch.setenv("CODEXCTL_MANIFESTS", os.pathsep.join(["c", "", "d.yaml"]))
    exported = deploy_request(namespace="shop")
    assert exported.source.manifests == (Path("c"), Path("d.yaml"))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "--env: is required"),
        ({"env": "a", "manifests": ["x"], "namespace": "n"}, "--manifests: cannot be combined"),
        ({"manifests": ["x"]}, "--namespace: is required with --manifests"),
        ({"env": "a", "slot": "-1"}, "--slot: '-1' is no slot"),
        ({"env": "a", "vars": "A=1,B"}, "--vars: a part has no NAME=VALUE"),
        ({"env": "a", "vars": "=1"}, "--vars: a part has no NAME=VALUE"),
        ({"env": "a", "output": "yaml"}, "--output: 'yaml' is unknown: use text or json"),
    ],
    ids=["nothing", "two sources", "no namespace", "slot", "vars", "vars without name", "output"],
)
def test_what_cannot_be_used_is_refused(given: dict[str, Any], problem: str) -> None:
    """Wrong usage is told before anything is read or sent, and names the flag."""
    with pytest.raises(UsageError) as caught:
        deploy_request(**given)

    assert str(caught.value).startswith(problem)


def test_a_slot_variable_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in a workflow's variable is as clear as one on the command line."""
    monkeypatch.setenv("CODEXCTL_SLOT", "one")

    with pytest.raises(UsageError, match="--slot: 'one' is no slot"):
        _request()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("1.5s", 1.5),
        ("10m", 600),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1h5s", 3605),
        ("2m30s", 150),
        (" 5m ", 300),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """Durations are written as in kubectl."""
    assert _request(wait_timeout=text).wait_timeout_s == seconds


@pytest.mark.parametrize("text", ["0", "0s", "-5", "10 m", "5d", "m", "soon", "1h1", "nan", "inf"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A wait without an end, or one that has ended before it begins, is nobody's intention."""
    with pytest.raises(UsageError, match=r"--wait-timeout: .* is no duration"):
        _request(wait_timeout=text)


def test_names_of_filters_are_trimmed_and_lower_cased() -> None:
    """Blanks and capitals in a list do not make a filter miss."""
    assert _request(only_services=" Web, api,,").source.filters.only_services == {"web", "api"}


def test_variables_may_hold_equals_signs_and_be_empty() -> None:
    """Only commas separate; the first equals sign ends the name."""
    request = _request(vars="URL=postgres://x?a=b, EMPTY=, ,")

    assert request.source.variables == {"URL": "postgres://x?a=b", "EMPTY": ""}


def test_secrets_are_not_in_the_text_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a refused --vars nor a printed request gives a secret away."""
    monkeypatch.setenv("DEPLOY_TOKEN", "hunter2-token")
    assert "hunter2-token" not in repr(_request())

    with pytest.raises(UsageError) as caught:
        _request(vars="PASSWORD=a,hunter2-rest")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
    ids=["nothing set", "NO_COLOR", "NO_COLOR empty", "dumb terminal"],
)
def test_colours_follow_no_color(
    variables: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has switched colours off for all programs gets none here."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert colour_wanted() is wanted


def test_github_and_debugging_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations appear in GitHub Actions only, tracebacks on request only."""
    assert (in_github_actions(), debugging()) == (False, False)

    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("CODEXCTL_DEBUG", "1")
    assert (in_github_actions(), debugging()) == (True, True)


def test_other_people_find_the_run_that_they_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a laptop: who, where, which process; in GitHub Actions: the page of the run."""
    process = f"process {os.getpid()}"
    monkeypatch.setenv("LOGNAME", "kim")
    assert _request().holder == f"kim@{socket.gethostname()} ({process})"

    variables = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_RUN_ID": "12",
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_JOB": "deploy",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_SERVER_URL": "https://git.example",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    page = "https://git.example/o/r/actions/runs/12"
    assert _request().holder == f"{page} (attempt 2, job deploy, {process})"


def test_a_flag_beats_the_variable_of_the_other_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exported CODEXCTL_ENV does not get into the way of --manifests, nor the reverse."""
    monkeypatch.setenv("CODEXCTL_ENV", "staging")
    monkeypatch.setenv("CODEXCTL_MANIFESTS", "k8s")

    plain = deploy_request(manifests=["other"], namespace="shop").source
    stack = deploy_request(env="production").source

    assert (plain.env, plain.manifests) == ("", (Path("other"),))
    assert (stack.env, stack.manifests) == ("production", ())


def test_files_of_a_step_come_from_github(monkeypatch: pytest.MonkeyPatch) -> None:
    """Job summary and outputs need no flag in GitHub Actions; elsewhere there are none."""
    assert not _request().files.wanted
    assert github_workspace() is None
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/r/summary.md")
    monkeypatch.setenv("GITHUB_OUTPUT", "/r/output")
    monkeypatch.setenv("GITHUB_WORKSPACE", "/r/work")

    files = _request().files
    assert files.wanted
    assert (files.step_summary, files.step_outputs) == (Path("/r/summary.md"), Path("/r/output"))
    assert github_workspace() == Path("/r/work")


def test_a_job_in_debug_mode_shows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who runs a job again with debug logging gets tracebacks; a variable alone says nothing."""
    monkeypatch.setenv("RUNNER_DEBUG", "1")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert not debugging()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert debugging()


def test_secrets_are_files_for_as_long_as_a_task_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only this user can read them, and no program inherits what is in them."""
    monkeypatch.setenv("RUNNER_TEMP", str(tmp_path))
    for variable in ("KUBECONFIG", "CODEXCTL_KUBECONFIG"):
        monkeypatch.setenv(variable, "")
    monkeypatch.setenv("CODEXCTL_SECRET_KUBECONFIG", "kind: Config")
    monkeypatch.setenv("CODEXCTL_SECRET_ENV_FILE", "A=1")
    with workflow_secrets() as secrets:
        file = Path(os.environ["KUBECONFIG"])
        assert (secrets.variables, secrets.documents) == ("A=1", {"KUBECONFIG": "kind: Config"})
        assert not [name for name in os.environ if name.startswith("CODEXCTL_SECRET_")]
        assert os.environ["CODEXCTL_KUBECONFIG"] == str(file)
        assert file.read_text() == "kind: Config\n"
        assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.iterdir())


def test_hooks_do_not_speak_for_a_reusable_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outputs and the environment of its later steps are for codexctl alone to write."""
    monkeypatch.setenv("CODEXCTL_ENV", "staging")
    names = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH")
    for name in (*names, "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(name, f"/r/{name}")

    asked = ci_request({})

    assert (
        asked.deploy.files.step_outputs == asked.images.files.step_outputs == Path("/r", names[0])
    )
    for each in (asked.deploy, asked.images, asked.doctor):
        assert not {*names} & {*each.source.environ}
        assert "GITHUB_STEP_SUMMARY" in each.source.environ
    assert not {*names} & {*os.environ}


def test_a_secret_is_not_overridden_by_what_is_not_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch called `x,DB_PASSWORD=theirs` in `vars` cannot bring a password of its own."""
    monkeypatch.setenv("CODEXCTL_ENV", "staging")
    monkeypatch.setenv("CODEXCTL_VARS", "BRANCH=x,DB_PASSWORD=theirs")

    with pytest.raises(UsageError) as caught:
        ci_request({"DB_PASSWORD": "ours", "OTHER": "1"})

    assert str(caught.value) == (
        "CODEXCTL_VARS: DB_PASSWORD is in the secret CODEXCTL_ENV_FILE as well: "
        "leave it out here or there"
    )


def test_what_gc_images_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults that lose nothing; variables change them, but only the flag deletes."""
    usual = gc_images_request()
    assert (usual.newest, usual.younger_s, usual.deletes) == (10, 86400, False)
    assert usual.protected == ("v*", "latest", "main", "master", "stable")

    monkeypatch.setenv("CODEXCTL_PROTECT", "release-*, ,main")
    monkeypatch.setenv("CODEXCTL_DELETE", "true")
    given = gc_images_request(keep="0", younger_than="0s", contexts="b,a,b")
    assert (given.newest, given.younger_s, given.deletes) == (0, 0, False)
    assert given.protected == ("release-*", "main")
    assert given.contexts == ("b", "a")


@pytest.mark.parametrize("given", [{"keep": "-1"}, {"keep": "x"}, {"younger_than": "a day"}])
def test_what_gc_images_does_not_understand(given: dict[str, str]) -> None:
    """A limit that is misread could delete too much."""
    with pytest.raises(UsageError, match="is no"):
        gc_images_request(**given)


@pytest.mark.parametrize(
    ("event", "issue", "pr"),
    [
        ({"issue": {"number": 7}}, 7, 0),
        ({"pull_request": {"number": 8}}, 0, 8),
        ({"issue": {"number": 9, "pull_request": {}}}, 9, 0),
        ({"issue": {"number": 9, "pull_request": {"url": "u"}}}, 0, 9),
    ],
)
def test_what_an_event_cleans_up(
    event: dict[str, Any],
    issue: int,
    pr: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A closed Issue or pull request says itself whose slot is meant; never one that is open."""
    (tmp_path / "event.json").write_text(json.dumps(event))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    monkeypatch.setenv("GITHUB_REPOSITORY", "org/shop")

    request = event_cleanup_request()

    assert (request.issue, request.pr, request.only_closed) == (issue, pr, True)


@pytest.mark.parametrize("event", ["", "[]", '{"issue": {"number": "x"}}', '{"schedule": "5 4"}'])
def test_an_event_that_is_about_nothing_cleans_nothing_up(
    event: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody said what is to go."""
    (tmp_path / "event.json").write_text(event)
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    monkeypatch.setenv("GITHUB_REPOSITORY", "org/shop")
    with pytest.raises(UsageError, match="nobody said what is to go"):
        event_cleanup_request()


def test_a_step_of_a_workflow_gets_its_secrets_in_all_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a task loads, templates and hooks know the variables of the secret."""
    monkeypatch.setenv("GITHUB_REPOSITORY", "org/shop")
    monkeypatch.setenv("GITHUB_OUTPUT", "outputs")
    monkeypatch.setenv("CODEXCTL_ISSUE", "7")
    request = step_request(ensure_ready_request, {"DB": "secret"})
    parts = (request, request.deploy, request.sync, request.images)
    assert {part.source.variables["DB"] for part in parts} == {"secret"}
    assert not any("GITHUB_OUTPUT" in part.source.environ for part in parts)
    assert request.files.step_outputs == Path("outputs")


def test_the_workspace_that_is_meant_without_flags(tmp_path: Path) -> None:
    """The claim is called ``workspace``, the folder is that of services.yaml."""
    file = tmp_path / "services.yaml"
    request = sync_request(env="ai", config=str(file))
    assert (request.claim, request.path, request.folder) == ("workspace", "", tmp_path)
    assert (request.image, request.overwrite) == ("", False)


def test_a_workspace_may_be_described_by_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Variables say all that flags say; flags win."""
    for name, text in (("CLAIM", "c"), ("PATH", "a/b"), ("IMAGE", "i:1"), ("OVERWRITE", "true")):
        monkeypatch.setenv(f"CODEXCTL_{name}", text)
    monkeypatch.setenv("CODEXCTL_FOLDER", str(tmp_path))
    request = sync_request(env="ai", claim="mine")
    assert (request.claim, request.path, request.image) == ("mine", "a/b", "i:1")
    assert (request.folder, request.overwrite) == (tmp_path, True)


@pytest.mark.parametrize("path", ["/etc", "..", "a/../../b", "a\0b"])
def test_a_path_out_of_the_volume_is_refused(path: str) -> None:
    """Nothing is written anywhere but on the volume."""
    with pytest.raises(UsageError, match="leads out of the volume"):
        sync_request(env="ai", path=path)


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_folder_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    """It is named with its whole path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=f"--folder: .*{name} is no folder"):
        sync_request(env="ai", folder=str(tmp_path / name))
