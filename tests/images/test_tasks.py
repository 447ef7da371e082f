"""`codexctl images`: mirrored, built, pinned, with a real registry and a real builder."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.image_files import find_digest
from tests.support.images import Pusher
from tests.support.output_schema import check
from tests.support.shell import BIN, QUICK_S, clean_environment, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="builds as root")

STACK = """\
project: shop
versions: {{ web: "{{{{ envOr('WEB', '1.0') }}}}" }}
images:
  base:
    type: external
    from: {host}/base:1
    local: {host}/shop/base:1
  web:
    type: build
    repository: {host}/shop/web
    tagTemplate: "{{{{ Versions.web }}}}"
    dockerfile: web/Dockerfile
    context: web
    buildArgs: {{ BASE: "{host}/shop/base:1" }}
  late:
    type: build
    repository: {host}/shop/late
    tag: "1"
    dockerfile: late/Dockerfile
    context: late
    buildArgs: {{ WEB: "{host}/shop/web:{{{{ Versions.web }}}}" }}
services:
  - name: web
    manifests: [{{ path: web.yaml }}]
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: { name: web }
spec:
  containers:
    - { name: web, image: "{{ Images.web }}" }
    - { name: other, image: "example.com/other:1" }
"""


@pytest.fixture
def stack(tmp_path: Path, host: str) -> Path:
    """Return a project with one image to mirror and two to build, one on top of the other."""
    project = tmp_path / "project"
    for name, text in (("web", "ARG BASE\nFROM $BASE\n"), ("late", "ARG WEB\nFROM $WEB\n")):
        (project / name).mkdir(parents=True)
        (project / name / "Dockerfile").write_text(f"{text}COPY page /page\n")
        (project / name / "page").write_text(f"{name} of {tmp_path}\n")
    (project / "services.yaml").write_text(STACK.format(host=host))
    (project / "web.yaml").write_text(POD)
    return project


def images(stack: Path, *words: str, task: str = "images", **env: str) -> Any:
    """Run the task and return its report."""
    done = images_run(stack, *words, "--output", "json", task=task, **env)
    report = json.loads(done.stdout)
    check(report, "images")
    assert report["exitCode"] == done.returncode
    return report


def images_run(
    stack: Path, *words: str, task: str = "images", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the task."""
    logs = () if task == "images-mirror" else ("--logs", str(stack.parent / "logs"))
    return run(task, "--env", "staging", *logs, *words, cwd=stack, env=env)


def outcomes(report: Any) -> dict[str, str]:
    """Return what was done with each image."""
    return {each["name"]: each["outcome"] for each in report["images"]}


def test_all_images_before_a_deploy(stack: Path, host: str) -> None:
    """Mirrored first, built in order; then again: nothing; then exactly these are deployed."""
    first = images(stack, "--pin", "pins.json")
    again = images(stack)
    rendered = run("render", "--env", "staging", "--pins", "pins.json", cwd=stack)

    assert outcomes(first)["web"] == outcomes(first)["late"] == "built"
    assert set(outcomes(again).values()) == {"unchanged"}
    pins = json.loads((stack / "pins.json").read_text())["images"]
    assert pins[f"{host}/shop/web:1.0"] == find_digest(host, "shop/web", "1.0")
    assert f"image: {host}/shop/web@{pins[f'{host}/shop/web:1.0']}" in rendered.stdout
    assert "image: example.com/other:1" in rendered.stdout


def test_a_built_image_says_when_it_was_made(stack: Path, host: str) -> None:
    """Times in it are those of the epoch; `gc-images` has to know its age all the same."""
    images(stack, "--only", "web,base")

    manifest = json.loads(Pusher(host).raw("shop/web", "1.0"))
    made = datetime.fromisoformat(manifest["annotations"]["org.opencontainers.image.created"])
    assert datetime.now(UTC) - made < timedelta(hours=1)


def test_a_new_version_of_the_same_content_is_only_tagged(stack: Path, host: str) -> None:
    """No builder is started for a tag."""
    images(stack)

    report = images(stack, "--vars", "WEB=2.0", "--only", "web", PATH=str(stack))

    assert outcomes(report) == {"web": "retagged"}
    assert find_digest(host, "shop/web", "2.0") == find_digest(host, "shop/web", "1.0")


def test_pins_of_images_that_were_not_chosen_stay(stack: Path, host: str) -> None:
    """A later look at one image does not forget the others."""
    images(stack, "--pin", "pins.json")
    before = json.loads((stack / "pins.json").read_text())["images"]
    (stack / "late" / "page").write_text("changed\n")

    images(stack, "--only", "late", "--pin", "pins.json")

    after = json.loads((stack / "pins.json").read_text())["images"]
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {f"{host}/shop/late:1"}


def test_pins_that_cannot_be_written(stack: Path) -> None:
    """A deploy must not go on with older ones, or with none."""
    done = images_run(stack, "--only", "base", "--pin", "nosuch/pins.json")

    assert done.returncode == 3
    assert "nosuch/pins.json: cannot be written: No such file or directory" in done.stderr


def test_an_interrupted_run_says_what_was_done(stack: Path) -> None:
    """Ctrl-C in a long build: the table has what is there by then."""
    (stack / "web" / "Dockerfile").write_text("ARG BASE\nFROM $BASE\nRUN sleep 600\n")
    process = subprocess.Popen(
        [BIN / "codexctl", "images", "--env", "staging", "--logs", stack.parent / "logs"],
        cwd=stack,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    log = stack.parent / "logs" / "web.log"
    while process.poll() is None and "sleep 600" not in (log.read_text() if log.exists() else ""):
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=QUICK_S)[1]

    assert process.returncode == 130
    assert re.search(r"^  base  (copied|unchanged|retagged) ", told, re.MULTILINE)
    assert told.splitlines()[-1] == "interrupted"


def test_one_half_of_the_work(stack: Path) -> None:
    """`images-mirror` builds nothing, `images-build` mirrors nothing."""
    assert outcomes(images(stack, task="images-mirror")).keys() == {"base"}
    assert outcomes(images(stack, task="images-build")).keys() == {"web", "late"}


def test_a_dry_run_writes_nothing(stack: Path, host: str) -> None:
    """What would be done, also for what stands on something that would be built."""
    report = images(stack, "--vars", "WEB=9.9", "--dry-run")

    assert outcomes(report)["web"] == outcomes(report)["late"] == "would build"
    assert find_digest(host, "shop/web", "9.9") == ""


def test_what_fails_stops_only_what_needs_it(stack: Path) -> None:
    """The log's last lines are shown, the table says why, the exit code is that of a program."""
    (stack / "web" / "Dockerfile").write_text("ARG BASE\nFROM $BASE\nRUN /nosuch-program\n")

    done = images_run(stack, "--output", "json")

    report = json.loads(done.stdout)
    assert done.returncode == 5
    assert outcomes(report)["base"] in ("copied", "unchanged", "retagged")
    assert outcomes(report)["web"] == "failed"
    assert outcomes(report)["late"] == "skipped"
    assert "needs web" in {e["name"]: e["error"] for e in report["images"]}["late"]
    assert "nosuch-program" in done.stderr


def test_in_github_actions(stack: Path, tmp_path: Path) -> None:
    """A table in the job summary, digests as an output, an annotation at the image that failed."""
    summary, outputs = tmp_path / "summary.md", tmp_path / "outputs"
    (stack / "late" / "Dockerfile").write_text("FROM nosuch.invalid/x:1\n")

    done = images_run(
        stack,
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(summary),
        GITHUB_OUTPUT=str(outputs),
    )

    assert done.returncode != 0
    assert "## ❌ Images: " in summary.read_text()
    assert "| late<br>" in summary.read_text()
    assert '"web": "sha256:' in outputs.read_text()
    assert "::error" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("--only", "wbe"), 2, "--only: there is no image 'wbe': did you mean 'web'?"),
        (("--platform", "amd64"), 2, "--platform: 'amd64' is no platform: write linux/amd64"),
        (("--jobs", "many"), 2, "--jobs: 'many' is no number: give a whole number"),
        (("--pin", "p", "--dry-run"), 2, "--pin: needs images that are pushed"),
        (("--backend", "kaniko", "--force"), 2, "there is no builder 'kaniko'"),
    ],
)
def test_wrong_usage(stack: Path, words: tuple[str, ...], code: int, line: str) -> None:
    """One line, before any registry is asked."""
    done = images_run(stack, *words)

    assert done.returncode == code
    assert line in done.stderr
