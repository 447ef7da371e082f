"""The steps of workflows as a laptop or a runner runs them, without a cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.accounts import NOWHERE
from tests.support.shell import run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

STACK = """
project: shop
environments: {staging: {}}
services:
  - {name: web, manifests: [{path: web.yaml}]}
"""
MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {password: "{{ envOr('DB_PASSWORD', 'none') }}"}
"""


class Job:
    """A job on a runner: a checkout, a folder for temporary files, and variables."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.temp = folder / "checkout", folder / "temp"
        for each in (self.folder, self.temp):
            each.mkdir()
        (self.folder / "services.yaml").write_text(STACK)
        (self.folder / "web.yaml").write_text(MANIFEST)
        self.variables = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.folder),
            "GITHUB_OUTPUT": str(self.temp / "outputs"),
            "GITHUB_STEP_SUMMARY": str(self.temp / "summary"),
            "RUNNER_TEMP": str(self.temp),
            "CODEXCTL_ENV": "staging",
            "CODEXCTL_SECRET_KUBECONFIG": NOWHERE,
        }

    def step(self, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a step."""
        return run("ci", name, cwd=self.folder, env={**self.variables, **variables})

    def written(self, name: str) -> str:
        """Return what steps wrote for the runner; empty: nothing."""
        path = self.temp / name
        return path.read_text() if path.exists() else ""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.mark.parametrize("step", ["doctor", "images", "deploy"])
@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("CODEXCTL_IMAGES", "al", "'al' is unknown: use one of mirror, build, all, none"),
        ("CODEXCTL_WAIT_TIMEOUT", "soon", "'soon' is no duration: write 90, 90s, 10m or 1h30m"),
        ("CODEXCTL_VARS", "A", "a part has no NAME=VALUE: write --vars A=1,B=2"),
    ],
)
def test_a_wrong_value_stops_the_first_step(
    job: Job, step: str, variable: str, value: str, message: str
) -> None:
    """A mistake in an input is told before anything is built, and not after."""
    done = job.step(step, **{variable: value})
    assert done.returncode == 2
    assert message in done.stderr


def test_an_unreachable_cluster_is_told_before_images_are_made(job: Job) -> None:
    """The first step says which address does not answer."""
    done = job.step("doctor")
    assert done.returncode == 4
    assert "127.0.0.1:9" in done.stderr


def test_a_deploy_that_cannot_begin_says_so_everywhere(job: Job) -> None:
    """Annotation, job summary and outputs name the cause."""
    done = job.step("deploy")
    assert done.returncode == 4
    assert "::error::" in done.stderr
    assert "staging: stopped" in job.written("summary")
    report = next(line for line in job.written("outputs").splitlines() if line.startswith("{"))
    assert json.loads(report)["result"] == "stopped"
    assert "127.0.0.1:9" in json.loads(report)["problems"][0]


def test_no_images_are_made_when_none_are_wanted(job: Job) -> None:
    """A stack whose images are made elsewhere needs no builder on the runner."""
    done = job.step("images", CODEXCTL_IMAGES="none", CODEXCTL_PINS=str(job.temp / "pins.json"))
    assert done.returncode == 0
    assert "none are asked for" in done.stderr
    assert job.written("pins.json") == ""


def test_a_stack_without_images_is_deployed_without_pins(job: Job) -> None:
    """Nobody is warned of pins that cannot exist."""
    pins = {"CODEXCTL_PINS": str(job.temp / "pins.json")}
    assert job.step("images", **pins).returncode == 0
    assert "pin" not in job.step("deploy", **pins).stderr


def _told(done: subprocess.CompletedProcess[str]) -> str:
    """Return what people see of a step: GitHub does not show what it is asked to mask."""
    lines = done.stderr.splitlines()
    return "\n".join(line for line in lines if not line.startswith("::add-mask::"))


def test_secrets_are_masked_and_leave_no_file(job: Job) -> None:
    """What the workflow was given as secrets is neither shown nor left behind on the runner."""
    variables = "DB_PASSWORD=sentinel-of-the-database\nexport PLAIN_NAME='sentinel # two'\n"
    secrets = {
        "CODEXCTL_SECRET_ENV_FILE": variables,
        "CODEXCTL_SECRET_REGISTRY_AUTH": '{"auths": {"r.test": {"auth": "c2VudGluZWw6eA=="}}}',
    }
    for step in ("doctor", "images", "deploy"):
        done = job.step(step, **secrets)
        assert "::add-mask::sentinel-of-the-database" in done.stderr.splitlines()
        assert "::add-mask::sentinel # two" in done.stderr.splitlines()
        assert "sentinel" not in _told(done) + done.stdout
    assert {path.name for path in job.temp.iterdir()} == {"outputs", "summary"}
    assert "sentinel" not in job.written("outputs") + job.written("summary")


def test_a_mistake_in_the_secret_of_variables_is_told_by_its_line(job: Job) -> None:
    """The line is named, its content is not."""
    done = job.step("doctor", CODEXCTL_SECRET_ENV_FILE="A=1\nsentinel\n")
    assert done.returncode == 3
    assert "CODEXCTL_ENV_FILE" in done.stderr
    assert "sentinel" not in _told(done)


def test_variables_as_json_are_masked(job: Job) -> None:
    """Each value by itself, whatever is in it."""
    secret = json.dumps({"DB_PASSWORD": "sentinel's\\", "KEY": "sentinel 1\nsentinel 2"})
    done = job.step("images", CODEXCTL_SECRET_ENV_FILE=secret)
    assert done.returncode == 0
    masked = [line for line in done.stderr.splitlines() if line.startswith("::add-mask::")]
    assert [line.removeprefix("::add-mask::") for line in masked if "cluster" not in line] == [
        *("sentinel 1", "sentinel 2", "sentinel's\\"),
    ]


def test_a_password_that_does_not_exist_is_not_deployed(job: Job) -> None:
    """The first step names the variable and where its secret has to be."""
    done = job.step("doctor", CODEXCTL_SECRET_ENV_FILE="DB_PASSWORD=''\n")
    assert done.returncode == 3
    assert "CODEXCTL_ENV_FILE: DB_PASSWORD is empty, as a secret that does not" in done.stderr


def test_secrets_in_which_github_would_mask_braces(job: Job) -> None:
    """Its owner learns why the report is missing; told once, and not where they do no harm."""
    logins = {"CODEXCTL_SECRET_REGISTRY_AUTH": json.dumps({"auths": {}}, indent=2)}
    told = job.step("doctor", **logins).stderr
    assert "::warning::secret REGISTRY_AUTH: has a line with only a brace" in told
    assert "brace" not in job.step("images", **logins).stderr
    assert "brace" not in job.step("doctor").stderr


def test_two_kubeconfigs_are_refused(job: Job) -> None:
    """Neither silently wins."""
    done = job.step("doctor", CODEXCTL_KUBECONFIG="somewhere")
    assert done.returncode == 2
    assert "cannot be combined with CODEXCTL_KUBECONFIG: give one of the two" in done.stderr


def test_the_same_lines_work_on_a_laptop(job: Job) -> None:
    """Without a runner the steps read the same variables and print for people."""
    variables = {"CODEXCTL_ENV": "staging", "KUBECONFIG": "/nowhere"}
    done = run("ci", "deploy", cwd=job.folder, env=variables)
    assert done.returncode != 0
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize(("images", "asks"), [("none", False), ("mirror", False), ("all", True)])
def test_a_builder_is_asked_for_where_something_is_built(job: Job, images: str, asks: bool) -> None:
    """A runner without Docker deploys images that are made elsewhere."""
    image = "{type: build, repository: r.test/web, tagTemplate: x, context: ., dockerfile: D}"
    (job.folder / "services.yaml").write_text(f"{STACK}\nimages:\n  web: {image}\n")
    done = job.step("doctor", CODEXCTL_IMAGES=images)
    assert ("builders" in done.stderr) == asks
