"""What holds for every workflow here, and what callers may rely on."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.act import USES
from tests.support.shell import BIN, QUICK_S, ROOT, clean_environment
from tests.workflows.conditions import RESULTS, removes, unwanted_removals, would_run
from tests.workflows.reference import workflows

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(ROOT.glob(".github/**/*.yml"))
OURS = sorted(ROOT.glob(".github/workflows/*.yml"))
EXAMPLES = sorted(ROOT.glob("examples/*/.github/workflows/*.yml"))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*$")
CALLER = """
on: push
permissions: {{}}
jobs:
  deploy:
    permissions: {{contents: read}}
    uses: ./.github/workflows/staging-deploy.yml
    {rest}
"""


def _lint(program: str, *arguments: Path | str, folder: Path = ROOT) -> str:
    done = subprocess.run(
        [BIN / program, *arguments],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=QUICK_S,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _beside_ours(folder: Path, name: str, text: str) -> str:
    """Lint a caller as if our workflows were in its repository; returns the complaints."""
    place = folder / ".github/workflows"
    shutil.copytree(ROOT / ".github/workflows", place)
    (place / name).write_text(re.sub(r"org/codexctl/(\S+)@main", r"./\1", text))
    subprocess.run(["git", "init", "--quiet", folder], check=True)  # else nothing is compared
    return _lint("actionlint", "-oneline", place / name, folder=folder)


def _jobs(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(path.read_text())["jobs"].values())


def test_actionlint_finds_nothing() -> None:
    """Our workflows are what GitHub accepts."""
    assert _lint("actionlint", *OURS) == ""


def test_zizmor_finds_nothing() -> None:
    """Nor is there anything that whoever audits workflows complains of; examples too."""
    flags = ("--offline", "--persona", "pedantic", "--no-progress")
    assert _lint("zizmor", *flags, ROOT / ".github", *EXAMPLES) == ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_actions_of_others_are_pinned(path: Path) -> None:
    """A tag that somebody moves changes nothing here; the version stands beside the commit."""
    for line in path.read_text().splitlines():
        if USES.match(line) and "uses: $/" not in line:
            assert PINNED.search(line), line


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_hold_no_expressions(path: Path) -> None:
    """Values reach scripts through variables; none is ever part of the script."""
    content = yaml.safe_load(path.read_text())
    jobs = content["jobs"].values() if "jobs" in content else [content["runs"]]
    scripts = [step.get("run", "") for job in jobs for step in job["steps"]]
    assert not [script for script in scripts if "${{" in script]


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_jobs_ask_for_little_and_end(path: Path) -> None:
    """No permission by default, a time limit on each job, a group that is not the caller's."""
    content = yaml.safe_load(path.read_text())
    assert content["permissions"] == {}
    assert content["concurrency"]["group"].startswith("codexctl-")
    for job in _jobs(path):
        assert "timeout-minutes" in job
        assert "permissions" in job


def test_each_secret_goes_only_to_steps_that_need_it() -> None:
    """The environment of the whole job holds none."""
    for workflow in workflows():
        for job in workflow.content["jobs"].values():
            assert "secrets." not in str(job.get("env", {}))
            assert not any("secrets." in step.get("run", "") for step in job["steps"])


def test_inputs_are_explained_and_have_defaults() -> None:
    """One `uses:` line is enough; everything else can be left out."""
    for workflow in workflows():
        for kind in ("inputs", "secrets", "outputs"):
            for name, each in workflow.called_with(kind).items():
                assert each["description"].endswith("."), name
        assert all("default" in each for each in workflow.called_with("inputs").values())


def test_tables_in_the_documentation_are_current() -> None:
    """What the pages say of inputs is what the workflows take; `make docs` writes them."""
    for workflow in workflows():
        page = workflow.page.read_text()
        assert page == workflow.written_page(page), f"{workflow.page}: run make docs"


def test_a_change_that_callers_see_is_in_the_changelog() -> None:
    """Inputs, secrets, outputs and permissions do not change without a word."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    for workflow in workflows():
        mark = f"({workflow.path.name} {workflow.digest()})"
        assert mark in changelog, (
            f"say in CHANGELOG.md what callers have to do, and end with {mark}"
        )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parts[-4])
def test_examples_of_callers_fit(path: Path, tmp_path: Path) -> None:
    """Who copies an example gets one whose inputs and secrets exist."""
    assert _beside_ours(tmp_path, "zz-caller.yml", path.read_text()) == ""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parts[-4])
def test_examples_grant_what_is_asked_for(path: Path) -> None:
    """A job that grants less is never started, and leaves no log that could say so."""
    needed = {workflow.path.name: workflow.permissions for workflow in workflows()}
    callers = [job for job in _jobs(path) if "uses" in job]
    assert callers
    for job in callers:
        name = job["uses"].rpartition("/")[2].partition("@")[0]
        assert job["permissions"].items() >= needed[name].items()


@pytest.mark.parametrize("path", [*OURS, *EXAMPLES], ids=lambda path: "/".join(path.parts[-4:]))
def test_nothing_is_removed_because_something_did_not_run(path: Path) -> None:
    """Whatever became of jobs, steps and workflows before: only success leads to a removal."""
    assert list(unwanted_removals(yaml.safe_load(path.read_text()))) == []


def test_the_walk_meets_what_removes() -> None:
    """If a workflow that removes were called otherwise tomorrow, the walk would see nothing."""
    removing = {
        path.name
        for path in (*OURS, *EXAMPLES)
        if any(map(removes, yaml.safe_load(path.read_text())["jobs"].values()))
    }
    assert removing == {"ai-cleanup.yml", "gc.yml", "slots.yml"}


@pytest.mark.parametrize(
    ("job", "on", "complaint"),
    [
        ("{needs: a, uses: x/y/.github/workflows/gc.yml@main}", "push", ""),
        ("{needs: a, if: success(), steps: [{run: codexctl gc}]}", "push", ""),
        ("{needs: a, if: always(), uses: ./ai-cleanup.yml}", "push", "after skipped"),
        ("{needs: a, if: '!cancelled()', steps: [{run: codexctl ci gc}]}", "push", "after failure"),
        (
            "{needs: [a, b], if: always() && needs.a.result != 'skipped', uses: x/gc.yml@main}",
            "push",
            "after cancelled, skipped",
        ),
        ("{if: cancelled(), steps: [{run: codexctl destroy}]}", "push", "in a cancelled run"),
        ("{if: always(), steps: [{run: codexctl destroy}]}", "push", "in a cancelled run"),
        (
            "{steps: [{run: make}, {if: failure(), run: codexctl ci cleanup}]}",
            "push",
            "step with if: failure()",
        ),
        ("{steps: [{run: codexctl ci cleanup}]}", "{workflow_run: {}}", "another workflow"),
    ],
)
def test_what_removes_without_success_is_found(job: str, on: str, complaint: str) -> None:
    """The walk above can fail: a step, a job and a workflow that would take a slot down."""
    workflow = yaml.safe_load(f"on: {on}\njobs: {{a: {{}}, b: {{}}, remove: {job}}}")
    found = list(unwanted_removals(workflow))
    assert bool(found) == bool(complaint)
    assert complaint in "; ".join(found)


@pytest.mark.parametrize(
    ("condition", "fitting"),
    [
        ("", ["success"]),
        ("always()", [*RESULTS]),
        ("failure()", ["failure"]),
        ("!cancelled()", [*RESULTS]),
        ("always() && needs.a.result != 'success'", ["failure", "cancelled", "skipped"]),
        (
            "always() && (needs.a.result == 'failure' || needs.a.result == 'cancelled')",
            ["failure", "cancelled"],
        ),
        ("github.event_name == 'schedule'", ["success"]),
    ],
)
def test_conditions_are_read_as_github_does(condition: str, fitting: list[str]) -> None:
    """So that the walk above says something."""
    job = {"if": f"${{{{ {condition} }}}}" if condition else ""}
    ran = [each for each in RESULTS if would_run(job, {"a": each}, is_cancelled=False)]
    assert ran == fitting


@pytest.mark.parametrize(
    ("rest", "complaint"),
    [
        ("with: {enviroment: staging}", 'input "enviroment" is not defined'),
        ("with: {timeout-minutes: soon}", "typed as number"),
        ("secrets: {KUBECONFIGURATION: x}", 'secret "KUBECONFIGURATION" is not defined'),
    ],
)
def test_mistakes_of_callers_are_found(tmp_path: Path, rest: str, complaint: str) -> None:
    """The linters see them, so the examples above are really compared."""
    assert complaint in _beside_ours(tmp_path, "zz-caller.yml", CALLER.format(rest=rest))
