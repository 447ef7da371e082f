"""``plan``: what a deploy would change, and nothing of it done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError, CombinedError, Conflict
from codexctl_tasks.flows import deploy
from codexctl_tasks.flows.plan import plan
from codexctl_tasks.settings import deploy_request
from tests.support.fakes import managed
from tests.support.objects import yaml_of
from tests.support.stage import SPEC, report_of

if TYPE_CHECKING:
    from tests.support.stage import Stage

WRITES = ("apply", "patch", "delete", "create", "replace")


def _map(name: str, value: str = "v") -> str:
    return yaml_of("ConfigMap", name, f"data: {{k: {value}}}")


def _plan(stage: Stage, *manifests: str, expected: int = 0, **given: Any) -> None:
    """Plan a stack; nothing may be written."""
    stage.write(*manifests)
    before = dict(stage.cluster.objects)
    assert stage.run(plan, **{"stack": "web", **given}) == expected
    assert stage.cluster.objects == before
    assert not [call for call in stage.cluster.calls if call.startswith(WRITES)]


def _deploy(stage: Stage, *manifests: str) -> None:
    stage.write(*manifests)
    assert stage.run(deploy.apply_and_wait, stack="web") == 0


def test_a_plan_for_people(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Created, changed, adopted, replaced, pruned, kept: each with its place, and a total."""
    claim = yaml_of("PersistentVolumeClaim", "data", "spec: {a: b}")
    job = yaml_of("Job", "migrate", "spec: {parallelism: 1}")
    _deploy(stage, _map("same"), _map("mine"), _map("theirs"), _map("old"), claim, job)
    found = stage.cluster.objects["ConfigMap", "shop", "theirs"]
    found["metadata"]["managedFields"] = [managed(found, "helm", "Update")]
    stage.cluster.refusals["migrate"] = ClusterError("PATCH", "field is immutable", status=422)
    capsys.readouterr()

    _plan(
        stage,
        *(_map("same"), _map("mine", "w"), _map("theirs"), job.replace("1}", "2}")),
        yaml_of("Deployment", "web", SPEC),
    )

    out = capsys.readouterr().out
    lines = out.splitlines()
    protected = "a PersistentVolumeClaim is pruned only with --prune-protected"
    assert [line for line in lines if not line.startswith("    ")] == [
        "~ change   ConfigMap shop/mine  app.yaml:7",
        "~ adopt    ConfigMap shop/theirs  app.yaml:13",
        "~ replace  Job shop/migrate  app.yaml:19",
        "+ create   Deployment shop/web  app.yaml:25",
        "- prune    ConfigMap shop/old",
        f"  keep     PersistentVolumeClaim shop/data  ({protected})",
        "1 to create, 1 to change, 1 to adopt, 1 to replace, 1 to prune, 1 unchanged",
    ]
    assert "    ~ data.k: v → w" in lines
    assert "    (what an earlier tool applied and this manifest does not have is removed)" in lines
    assert "    + spec:" in lines
    assert stage.shown == ""


def test_a_plan_without_changes(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """One line; and nothing is asked for but reads."""
    _deploy(stage, _map("a"), _map("b"))
    capsys.readouterr()

    _plan(stage, _map("a"), _map("b"))

    assert capsys.readouterr().out == "2 unchanged\n"
    assert stage.sent("rehearse") == []


def test_what_the_server_finds_unchanged_is_unchanged(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """An object that cannot be proved to be the same is rehearsed; no change, no line."""
    _deploy(stage, _map("a"))
    found = stage.cluster.objects["ConfigMap", "shop", "a"]
    found["metadata"]["managedFields"].append({**managed(found, "x", "Update"), "fieldsV1": {}})
    capsys.readouterr()

    _plan(stage, _map("a"), detailed_exitcode=True)

    assert capsys.readouterr().out == "1 unchanged\n"
    assert stage.sent("rehearse") == ["ConfigMap a"]


def test_every_change_is_rehearsed(stage: Stage) -> None:
    """However many new objects there are: a plan promises that they will be accepted."""
    _plan(stage, *(_map(f"c{n}") for n in range(150)))

    assert len(stage.sent("rehearse")) == 151  # with the namespace


@pytest.mark.parametrize(
    ("manifests", "given", "code"),
    [
        ((_map("a"),), {}, 0),
        ((_map("a", "w"),), {}, 2),
        ((_map("a"), _map("b")), {}, 2),
        ((), {}, 2),
        ((), {"no_prune": True}, 0),
    ],
    ids=["unchanged", "changed", "new", "leaving", "leaving, not pruned"],
)
def test_the_exit_code_tells_on_request_whether_anything_would_change(
    stage: Stage, manifests: tuple[str, ...], given: dict[str, Any], code: int
) -> None:
    """A workflow asks for approval only if there is something to approve."""
    kept = _map("z")
    _deploy(stage, kept, _map("a"))

    _plan(stage, kept, *manifests, expected=0, **given)
    _plan(stage, kept, *manifests, expected=code, detailed_exitcode=True, **given)


def test_a_missing_namespace_is_part_of_the_plan(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be created, so it is shown; the exit code knows of it."""
    _plan(stage, _map("a"), expected=2, detailed_exitcode=True, output="json")

    report = report_of(capsys)
    assert [(e["kind"], e["action"]) for e in report["objects"]] == [
        ("Namespace", "create"),
        ("ConfigMap", "create"),
    ]
    assert report["problems"] == []


def test_a_declared_namespace_is_shown_once(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """The declared one, with its labels; no bare one beside it."""
    _plan(stage, _map("a"), yaml_of("Namespace", "shop", "  labels: {team: a}"))

    out = capsys.readouterr().out
    assert out.count("Namespace shop") == 1
    assert "2 to create" in out


def test_a_plan_for_programs(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON document with every object, every line of difference, and what leaves."""
    _deploy(stage, _map("a"), _map("b"), _map("old"))
    conflict = Conflict(".data.k", "kubectl-edit")
    stage.cluster.refusals["b"] = ClusterError("PATCH", "no", status=409, conflicts=(conflict,))
    stage.cluster.warnings = ("old version",)
    capsys.readouterr()

    _plan(stage, _map("a"), _map("b", "w"), output="json")

    report = report_of(capsys)
    assert {key: report[key] for key in ("version", "stack", "namespace", "changes")} == {
        "version": 1,
        "stack": "web",
        "namespace": "shop",
        "changes": True,
    }
    a, b = report["objects"]
    assert (a["action"], a["difference"], a["warnings"]) == ("unchanged", [], [])
    assert b == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": "shop",
        "name": "b",
        "action": "change",
        "manifest": {"file": "app.yaml", "line": 7},
        "takesOver": [{"field": ".data.k", "manager": "kubectl-edit"}],
        "warnings": ["old version"],
        "difference": [{"sign": "~", "depth": 0, "text": "data.k: v → w"}],
    }
    [old] = report["leaving"]
    assert (old["name"], old["action"], old["kept"]) == ("old", "prune", "")


def test_what_is_taken_over_is_announced(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Before it happens: whose field, whose object."""
    _deploy(stage, _map("b"))
    conflict = Conflict(".data.k", "kubectl-edit")
    stage.cluster.refusals["b"] = ClusterError("PATCH", "no", status=409, conflicts=(conflict,))

    _plan(stage, _map("b", "w"), stack="other")

    out = capsys.readouterr().out
    assert "(takes over .data.k of kubectl-edit)" in out
    assert "(takes it over from stack web.shop)" in out


@pytest.mark.parametrize("output", ["text", "json"])
def test_problems_come_after_the_plan(
    stage: Stage, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    """The plan shows everything else; exit code 4 and a line for each refusal."""
    stage.write(_map("a"), _map("b"), yaml_of("Nonsense", "c"))
    stage.cluster.refusals["a"] = ClusterError("PATCH", "denied by policy", status=403)

    error = stage.refused(plan, stack="web", output=output, detailed_exitcode=True)

    assert isinstance(error, CombinedError)
    assert error.exit_code == 4
    assert [str(p.location) for p in error.problems] == ["app.yaml:13", "app.yaml:1"]
    if output == "json":
        report = report_of(capsys)
        assert [e["name"] for e in report["objects"]] == ["shop", "a", "b"]
        assert [p["where"] for p in report["problems"]] == ["app.yaml:13", "app.yaml:1"]
    else:
        assert "+ create   ConfigMap shop/b  app.yaml:7" in capsys.readouterr().out


def test_missing_rights_are_problems_of_the_plan(stage: Stage) -> None:
    """Also the right to create the namespace, which nobody has declared."""
    stage.cluster.rules = [{"verbs": ["*"], "apiGroups": [""], "resources": ["configmaps"]}]
    stage.write(_map("a"))

    error = stage.refused(plan, stack="web")

    assert [p.what for p in error.problems] == [
        "this account may not create, patch namespaces in the whole cluster"
    ]


def test_an_empty_set_plans_no_pruning(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """As in a deploy: an empty set is more likely a mistake than a wish."""
    _deploy(stage, _map("a"))
    capsys.readouterr()
    (stage.folder / "services.yaml").write_text("project: web\nservices: []\n")
    given: dict[str, Any] = {"env": "prod", "namespace": "shop", "stack": "web"}

    assert plan(deploy_request(**given, detailed_exitcode=True), stage.outside) == 0

    out = capsys.readouterr().out
    assert "keep     ConfigMap shop/a  (nothing is desired any more)" in out


def test_a_plan_waits_for_nobody(stage: Stage) -> None:
    """Another run may be at work: a plan only looks, and takes no lease."""
    _deploy(stage, _map("a"))
    stage.cluster.objects["Lease", "shop", "codexctl-web"] = {
        "metadata": {"uid": "u", "resourceVersion": "1"},
        "spec": {"holderIdentity": "the other", "leaseDurationSeconds": 20},
    }

    _plan(stage, _map("a", "w"))

    assert stage.clock.sleeps == []


def test_values_of_secrets_are_not_shown(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan is written into pull requests: it says that a value changes, never to what."""
    secret = yaml_of("Secret", "db", "stringData: {password: %s}")
    _deploy(stage, secret % "hunter2old")
    capsys.readouterr()

    for output in ("text", "json"):
        _plan(stage, secret % "hunter2new", output=output)

    out = capsys.readouterr().out
    assert "hunter2" not in out
    assert "aHVudGVyM" not in out  # in base64
    assert "data.password" in out


def test_a_plan_in_github_actions(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reviews a pull request reads it in the job summary; later steps know how it ended."""
    summary, outputs = stage.folder / "summary.md", stage.folder / "outputs"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    monkeypatch.setenv("CODEXCTL_JUNIT", str(stage.folder / "report.xml"))

    _plan(stage, _map("a", "'</pre>'"))

    text = summary.read_text()
    assert text.startswith("## 📋 web: planned\n\n2 to create. Nothing was changed.\n")
    assert "\n+ create   ConfigMap shop/a  app.yaml:1\n" in text
    assert "k: &quot;&lt;/pre&gt;&quot;\n" in text
    assert "result<<" in outputs.read_text()
    assert "planned" in outputs.read_text()
    assert not (stage.folder / "report.xml").exists()


def test_a_plan_that_cannot_be_made_in_github_actions(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary says why, and the outputs that it failed."""
    summary, outputs = stage.folder / "summary.md", stage.folder / "outputs"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    stage.write(_map("a"))
    stage.cluster.refusals["a"] = ClusterError("PATCH", "field is unknown", status=422)

    assert isinstance(stage.refused(plan, stack="web"), CombinedError)

    assert "field is unknown" in summary.read_text()
    assert "failed" in outputs.read_text()


def test_the_proxy_of_agents(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever approves the environment of a slot sees what its runs make beside it."""
    (stage.folder / "services.yaml").write_text(
        "project: shop\n"
        'namespace: {patterns: {ai: "shop-dev-{{ Slot }}"}}\n'
        "services:\n- {name: web, manifests: [{path: app.yaml}]}\n"
        "codex: {proxy: {image: 'python:3', agentPods: {app: codex}}}\n"
    )
    stage.write(_map("a"))
    assert plan(deploy_request(env="ai", slot="2"), stage.outside) == 0
    lines = capsys.readouterr().out.splitlines()
    place = "shop-codexctl-model"
    assert f"    Secret {place}/model-id-of-run-key: the key of the model" in lines
    assert any(f"codexctl needs: Role {place}/codexctl-model-proxy" in line for line in lines)
    assert any("NetworkPolicy shop-dev-2/model-id-of-run" in line for line in lines)
    assert plan(deploy_request(env="ai"), stage.outside) == 0
    assert place not in capsys.readouterr().out
