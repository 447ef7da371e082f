"""Hooks in the tasks: when steps run, and what becomes of a run in which one fails."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import CombinedError, Interrupted
from codexctl_tasks.flows import deploy, destroy, plan
from codexctl_tasks.settings import deploy_request
from tests.support.objects import yaml_of
from tests.support.scripts import FakePrograms
from tests.support.stage import SPEC, WAVE, Stage, broken, pending, report_of

if TYPE_CHECKING:
    from pathlib import Path

    from codexctl_tasks.requests.runs import DeployRequest
    from codexctl_tasks.world.outside import Outside
    from tests.support.fakes import FakeClock

STACK = """\
project: shop
namespace: { patterns: { staging: shop } }
hooks:
  beforeAll: [{ name: first, run: all before }]
  afterAll:
    - { name: last, run: all after }
    - { name: tell, run: all always, always: true }
infrastructure:
  - name: db
    manifests: [{ path: db.yaml }]
    hooks:
      beforeApply: [{ name: prepare, run: db before }]
      afterApply: [{ name: fill, run: db after }]
      beforeDestroy: [{ name: save, run: db saved }]
      afterDestroy: [{ name: wipe, run: db wiped }]
services:
  - name: web
    manifests: [{ path: web.yaml }]
    hooks:
      beforeApply: [{ name: key, run: web before }]
      afterApply: [{ name: warm, run: web after }]
"""


class StackStage(Stage):
    """A stage with a stack instead of plain manifests; scripts pretend to run."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        super().__init__(folder, clock)
        self.programs = FakePrograms(clock, self.cluster.calls)

    @property
    def outside(self) -> Outside:
        """The usual outside, whose scripts pretend to run."""
        return replace(super().outside, run=self.programs)

    def request(self, **given: Any) -> DeployRequest:
        """Return the request of somebody who deploys staging with these flags."""
        return deploy_request(env="staging", **given)

    @property
    def happened(self) -> list[str]:
        """Scripts and what was applied or deleted, in order, without what a run keeps."""
        words = ("script", "apply", "delete")
        found = [call for call in self.cluster.calls if call.split()[0] in words]
        return [call.removeprefix("script ") for call in found if "codexctl-" not in call]


@pytest.fixture
def stack(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> StackStage:
    """Return a stage with the stack of this module, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "services.yaml").write_text(STACK)
    (tmp_path / "db.yaml").write_text(yaml_of("Deployment", "db", "  namespace: shop", SPEC))
    (tmp_path / "web.yaml").write_text(yaml_of("Deployment", "web", SPEC))
    return StackStage(tmp_path, clock)


def edit(stack: StackStage, old: str, new: str) -> None:
    """Change the stack."""
    text = (stack.folder / "services.yaml").read_text()
    assert old in text
    (stack.folder / "services.yaml").write_text(text.replace(old, new))


def test_steps_run_around_what_they_are_for(stack: StackStage) -> None:
    """The namespace is there first; the last steps know that everything is healthy."""
    assert stack.run(deploy.apply_and_wait) == 0

    assert stack.happened == [
        "apply Namespace shop",
        *("all before", "db before", "web before"),
        *("apply Deployment db", "apply Deployment web"),
        *("db after", "web after"),
        *("all after", "all always"),
    ]
    assert stack.programs.environs[-1]["CODEXCTL_OUTCOME"] == "ready"
    assert "HEALTHY" in stack.shown.splitlines()[-1]


def test_steps_of_an_item_stand_beside_its_wave(stack: StackStage) -> None:
    """An item of a later wave is prepared when what it stands on is healthy."""
    (stack.folder / "web.yaml").write_text(yaml_of("Deployment", "web", WAVE % 1, SPEC))

    assert stack.run(deploy.apply_and_wait) == 0

    assert stack.happened[2:8] == [
        *("db before", "apply Deployment db", "db after"),
        *("web before", "apply Deployment web", "web after"),
    ]


def test_filters_leave_hooks_out_as_well(stack: StackStage) -> None:
    """`--skip-infra db` means the hooks of db too."""
    assert stack.run(deploy.apply_and_wait, skip_infra="db") == 0

    assert not [each for each in stack.happened if each.startswith("db")]


def test_hooks_can_be_left_out(stack: StackStage) -> None:
    """`--no-hooks` is for the day on which a script is what is broken."""
    assert stack.run(deploy.apply_and_wait, no_hooks=True) == 0

    assert [each.split()[0] for each in stack.happened] == ["apply"] * 3


def test_steps_are_told_what_they_ask_for_first(stack: StackStage) -> None:
    """Variables of the stack, and where the run is; an env file needs no template to be seen."""
    edit(stack, "project: shop", "project: shop\nenvFiles: [a.env]")
    (stack.folder / "a.env").write_text("FROM_FILE=yes\n")

    stack.run(deploy.apply, vars="GIVEN=1")

    told = stack.programs.environs[1]
    assert {name: told[name] for name in ("FROM_FILE", "GIVEN")} == {
        "FROM_FILE": "yes",
        "GIVEN": "1",
    }
    assert {name: value for name, value in told.items() if name.startswith("CODEXCTL_")} == {
        "CODEXCTL_ENV": "staging",
        "CODEXCTL_NAMESPACE": "shop",
        "CODEXCTL_PROJECT": "shop",
        "CODEXCTL_PROJECT_ROOT": str(stack.folder),
        "CODEXCTL_HOOK": "beforeApply",
        "CODEXCTL_ITEM": "db",
        "CODEXCTL_OUTCOME": "ready",
    }


def test_mistakes_in_steps_are_told_before_anything_is_done(stack: StackStage) -> None:
    """An unknown hook in the last step: exit code 3, and the cluster was not even asked."""
    edit(stack, "run: web after", "use: kubectl.wiat")

    error = stack.refused(deploy.apply_and_wait)

    assert isinstance(error, CombinedError)
    assert str(error) == (
        "services.yaml:21: there is no hook 'kubectl.wiat': did you mean 'kubectl.wait'?"
    )
    assert (error.exit_code, stack.cluster.calls) == (3, [])


def test_a_step_that_fails_before_ends_the_run(stack: StackStage) -> None:
    """Nothing is applied; the steps that must run always do."""
    edit(stack, "run: db before", "run: db fail")

    error = stack.refused(deploy.apply_and_wait)

    assert error.exit_code == 5
    assert str(error) == (
        "services.yaml:12: beforeApply step 'prepare' of infrastructure db: "
        "ended with exit code 3: this is db fail"
    )
    assert stack.happened == ["apply Namespace shop", "all before", "db fail", "all always"]
    assert stack.programs.environs[-1]["CODEXCTL_OUTCOME"] == "failed"


def test_a_step_that_may_fail(stack: StackStage) -> None:
    """A warning, and the run goes on."""
    edit(stack, "run: db before", "run: db fail, continueOnError: true")

    assert stack.run(deploy.apply_and_wait) == 0

    assert "ended with exit code 3: this is db fail: going on, as continueOnError" in stack.shown


def test_a_step_after_the_apply_that_fails_shows_why(stack: StackStage) -> None:
    """It is for what was applied: the cause that the judge sees is in the report as well."""
    stack.cluster.on_apply = broken(stack.cluster)
    edit(stack, "run: web after", "run: web fail")

    error = stack.refused(deploy.apply_and_wait)

    assert error.exit_code == 5
    assert "couldn't parse image name" in stack.shown


def test_a_failed_step_of_a_run_that_does_not_watch(stack: StackStage) -> None:
    """`apply` says nothing of workloads that nobody has looked at."""
    edit(stack, "run: web after", "run: web fail")

    error = stack.refused(deploy.apply)

    assert error.exit_code == 5
    assert "NOT READY" not in stack.shown


def test_time_of_steps_is_not_that_of_the_rollout(stack: StackStage) -> None:
    """Slow scripts do not make a healthy deploy time out."""
    for old in ("db before", "web before", "db after"):
        edit(stack, f"run: {old}", f"run: {old} slow")

    assert stack.run(deploy.apply_and_wait, wait_timeout="60s") == 0
    assert stack.clock.time > 300


def test_a_rollout_still_has_its_time_after_slow_steps(stack: StackStage) -> None:
    """And no more than that."""
    edit(stack, "run: web after", "run: web after slow")
    stack.cluster.on_apply = pending

    assert stack.run(deploy.apply_and_wait, wait_timeout="60s") == 70
    assert 160 <= stack.clock.time < 170


def test_a_failed_rollout_runs_only_the_steps_marked_always(stack: StackStage) -> None:
    """They are told that it failed; the exit code stays that of the workload."""
    stack.cluster.on_apply = broken(stack.cluster)

    assert stack.run(deploy.apply_and_wait) == 1

    assert [each for each in stack.happened if each.startswith("all")] == [
        "all before",
        "all always",
    ]
    assert stack.programs.environs[-1]["CODEXCTL_OUTCOME"] == "failed"


def test_a_rollout_that_needs_more_time_is_not_called_failed(stack: StackStage) -> None:
    """What runs always can tell the one from the other."""
    stack.cluster.on_apply = pending

    assert stack.run(deploy.apply_and_wait) == 70

    assert stack.happened[-1] == "all always"
    assert stack.programs.environs[-1]["CODEXCTL_OUTCOME"] == "timed out"


def test_ctrl_c_in_a_step(stack: StackStage) -> None:
    """The report is printed, and what must run always is run."""

    def interrupt(script: str) -> None:
        if script == "web after":
            raise Interrupted(signal.SIGINT)

    stack.programs.on_script = interrupt

    assert stack.run(deploy.apply_and_wait) == 130

    assert stack.happened[-2:] == ["web after", "all always"]
    assert stack.programs.environs[-1]["CODEXCTL_OUTCOME"] == "interrupted"


def test_a_failure_in_a_last_step_does_not_hide_the_one_before(stack: StackStage) -> None:
    """The workload's failure is what matters; the other one is a warning."""
    stack.cluster.on_apply = broken(stack.cluster)
    edit(stack, "run: all always", "run: all fail")

    assert stack.run(deploy.apply_and_wait) == 1

    assert "warning: services.yaml:7: afterAll step 'tell': ended with exit code 3" in stack.shown


def test_a_last_step_that_fails_after_a_healthy_rollout(stack: StackStage) -> None:
    """The run has failed, and what comes after it runs only if it must run always."""
    edit(stack, "run: all after", "run: all fail")

    error = stack.refused(deploy.apply_and_wait)

    assert error.exit_code == 5
    assert stack.happened[-2:] == ["all fail", "all always"]


def test_a_step_over_its_time(stack: StackStage) -> None:
    """The line says how long it was given."""
    edit(stack, "run: db before", "run: db hang, timeout: 20s")

    error = stack.refused(deploy.apply_and_wait)

    assert error.exit_code == 5
    assert "ended by force, as its time of 20 s was over: this is db hang" in str(error)


def test_the_report_as_json_tells_of_steps(
    stack: StackStage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with its outcome and its time, in order."""
    edit(stack, "run: db after", "run: db fail, continueOnError: true")

    stack.run(deploy.apply_and_wait, output="json")

    steps = report_of(capsys)["hooks"]
    assert [(s["point"], s["item"], s["name"], s["outcome"], s["seconds"]) for s in steps[3:5]] == [
        ("afterApply", "infrastructure db", "fill", "failed", 1.0),
        ("afterApply", "service web", "warm", "done", 1.0),
    ]
    assert "exit code 3" in steps[3]["error"]


def test_destroy_has_steps_of_its_own(stack: StackStage) -> None:
    """Those of the stack run as well; those for applying do not."""
    stack.run(deploy.apply)

    assert stack.run(destroy.destroy) == 0

    assert stack.happened[:2] == ["all before", "db saved"]
    assert sorted(stack.happened[2:4]) == ["delete Deployment db", "delete Deployment web"]
    assert stack.happened[4:] == ["db wiped", "all after", "all always"]


def test_steps_after_a_namespace_has_gone(stack: StackStage) -> None:
    """With it goes the lease of the run: that is no reason to leave out what is left to do."""
    (stack.folder / "db.yaml").write_text(
        yaml_of("Namespace", "shop")
        + "---\n"
        + yaml_of("Deployment", "db", "  namespace: shop", SPEC)
    )
    stack.run(deploy.apply)
    stack.cluster.objects["Namespace", "", "shop"]["metadata"]["finalizers"] = ["kubernetes"]

    def empty() -> None:
        for key in [key for key in stack.cluster.objects if key[1] == "shop"]:
            del stack.cluster.objects[key]
        stack.cluster.release("Namespace", "", "shop")

    stack.clock.at(stack.clock.now() + 60, empty)

    assert stack.run(destroy.destroy, wait_timeout="5m") == 0

    assert stack.happened[-3:] == ["db wiped", "all after", "all always"]


def test_a_failed_step_keeps_destroy_from_deleting(stack: StackStage) -> None:
    """A backup that failed is worth more than a clean cluster."""
    stack.run(deploy.apply)
    edit(stack, "run: db saved", "run: db fail")

    error = stack.refused(destroy.destroy)

    assert error.exit_code == 5
    assert not [each for each in stack.happened if each.startswith("delete")]


def test_a_plan_runs_no_step(stack: StackStage, capsys: pytest.CaptureFixture[str]) -> None:
    """It says how many there are."""
    assert stack.run(plan.plan) == 0

    assert stack.happened == []
    assert "  hooks    7 steps run beside that" in capsys.readouterr().out


def test_a_secret_in_a_script_is_warned_of(stack: StackStage) -> None:
    """Its place is the environment, where it is already."""
    edit(stack, "run: all before", "run: 'all {{ .Vars.API_TOKEN }}'")

    stack.run(deploy.apply, vars="API_TOKEN=hunter22")

    assert "step 'first' holds the value of API_TOKEN: write \"$API_TOKEN\" instead" in stack.shown
    assert "hunter22" not in stack.shown


def test_a_stack_of_hooks_alone(stack: StackStage) -> None:
    """Steps need no objects."""
    edit(stack, "    manifests: [{ path: db.yaml }]\n", "")
    edit(stack, "    manifests: [{ path: web.yaml }]\n", "")

    assert stack.run(deploy.apply_and_wait) == 0

    assert stack.happened == [
        *("all before", "db before", "web before", "db after", "web after"),
        *("all after", "all always"),
    ]
