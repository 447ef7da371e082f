"""What a run leaves behind in files, however it ends."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from codexctl_tasks.errors import ClusterError, CodexctlError, Interrupted, UsageError
from codexctl_tasks.flows import deploy
from tests.support import output_schema
from tests.support.objects import yaml_of
from tests.support.stage import SPEC, WAVE, broken, pending, report_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.stage import Stage, Task

HTML, JUNIT = Path("out/report.html"), Path("out/report.xml")
FILES = {"html": str(HTML), "junit": str(JUNIT)}
SUMMARY, OUTPUTS = Path("summary.md"), Path("outputs")


@pytest.fixture(autouse=True)
def _github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(SUMMARY))
    monkeypatch.setenv("GITHUB_OUTPUT", str(OUTPUTS))


def _outputs() -> dict[str, str]:
    lines = iter(OUTPUTS.read_text().splitlines())
    found = {}
    for line in lines:
        name, _, delimiter = line.partition("<<")
        values: list[str] = []
        while (value := next(lines)) != delimiter:
            values.append(value)
        found[name] = "\n".join(values)
    return found


def _tell(word: str, *texts: str) -> None:
    """Fail unless all files tell the same."""
    page, summary = HTML.read_text(), html.unescape(SUMMARY.read_text())
    assert f"<title>{word.capitalize()}: shop</title>" in page
    assert f"shop: {word}\n" in summary
    assert _outputs()["result"] == word.replace(" ", "-")
    junit = ET.parse(JUNIT).getroot()  # noqa: S314 - our own file
    for text in texts:
        assert text in page
        assert text in summary
        assert text in ET.tostring(junit, "unicode")


def _interrupt() -> None:
    raise Interrupted(2)


def test_a_good_deploy_leaves_all_files(stage: Stage) -> None:
    """Page, JUnit, job summary and outputs of a healthy rollout; folders are made."""
    stage.write(yaml_of("Deployment", "web", SPEC))

    assert stage.run(deploy.apply_and_wait, **FILES) == 0

    _tell("healthy", "Deployment shop/web")
    outputs = _outputs()
    assert json.loads(outputs.pop("report"))["workloads"] == "1 ready"
    assert outputs == {
        "result": "healthy",
        "failed": "",
        "exit-code": "0",
        "namespace": "shop",
        "url": "",
    }
    assert "2 created" in HTML.read_text()


@pytest.mark.parametrize("task", [deploy.apply_and_wait, deploy.wait])
def test_a_failure_is_explained_in_all_files(stage: Stage, task: Task) -> None:
    """The cause and what was skipped are where people look."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("Job", "late", WAVE % 1))
    stage.cluster.on_apply = broken(stage.cluster)
    stage.run(deploy.apply)
    SUMMARY.unlink()
    OUTPUTS.unlink()
    if task is deploy.wait:
        stage.write(yaml_of("Deployment", "web", SPEC))

    assert stage.run(task, **FILES) == 1

    _tell("failed", "Deployment shop/web", "InvalidImageName")
    outputs = _outputs()
    assert outputs["result"] == "failed"
    assert outputs["failed"] == "Deployment shop/web"
    assert outputs["exit-code"] == "1"
    assert ("Job shop/late" in HTML.read_text()) == (task is not deploy.wait)


def test_a_time_out_is_told(stage: Stage) -> None:
    """Who was waited for in vain, in all files."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.cluster.on_apply = pending

    assert stage.run(deploy.apply_and_wait, wait_timeout="30s", **FILES) == 70

    _tell("timed out", "Deployment shop/web", "no pods yet")
    assert _outputs()["failed"] == "Deployment shop/web"


def test_an_interrupted_wait_is_told(stage: Stage) -> None:
    """Ctrl-C in the middle of the wait: what is known is written."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.cluster.on_apply = pending
    stage.clock.at(5.0, _interrupt)

    assert stage.run(deploy.apply_and_wait, **FILES) == 130

    _tell("interrupted", "Deployment shop/web")
    assert _outputs()["exit-code"] == "130"


def test_an_interruption_before_anything_was_done_is_told(stage: Stage) -> None:
    """Ctrl-C while another run has its turn: no old report is left over."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.cluster.resources = lambda **_: _interrupt()  # type: ignore[method-assign,assignment]

    with pytest.raises(Interrupted):
        stage.run(deploy.apply_and_wait, **FILES)

    _tell("interrupted")


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_refused_deploy_is_told(
    stage: Stage, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the server would refuse stands in the files, and in the JSON."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.cluster.refusals["web"] = ClusterError("web", "the field is unknown", status=400)

    stage.refused(deploy.apply_and_wait, output=output, **FILES)

    _tell("stopped", "the field is unknown")
    assert "before it changed anything" in HTML.read_text()
    if output == "json":
        document = report_of(capsys)
        output_schema.check(document, "apply")
        assert document["problems"][0]["what"] == "Deployment shop/web: the field is unknown"


def test_a_mistake_in_a_manifest_is_told(stage: Stage) -> None:
    """A run that never reached the cluster leaves its mistake in the files."""
    stage.write("kind: [")

    error = stage.refused(deploy.apply_and_wait, **FILES)

    assert error.exit_code == 3
    _tell("stopped", "app.yaml")
    assert _outputs()["exit-code"] == "3"


def test_an_error_in_the_middle_is_told_with_what_was_known(stage: Stage) -> None:
    """The second wave is refused: the first one's workloads are in the files as well."""
    stage.write(yaml_of("Deployment", "web", SPEC), yaml_of("ConfigMap", "late", WAVE % 1))
    stage.cluster.late_refusals["late"] = [ClusterError("late", "quota is used up", status=403)]

    stage.refused(deploy.apply_and_wait, **FILES)

    _tell("stopped", "Deployment shop/web", "quota is used up")
    assert SUMMARY.read_text().count("## ") == 1


def test_a_defect_is_told(stage: Stage) -> None:
    """Even a mistake of our own leaves a report that says so."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.clock.at(2.0, lambda: {}["none"])
    stage.cluster.on_apply = pending

    with pytest.raises(KeyError):
        stage.run(deploy.apply_and_wait, **FILES)

    _tell("stopped", "internal error: KeyError")


def test_what_was_only_applied_is_not_called_healthy(stage: Stage) -> None:
    """`apply` does not wait for its last wave, and does not say how it is."""
    stage.write(yaml_of("Deployment", "web", SPEC))

    assert stage.run(deploy.apply, **FILES) == 0

    _tell("applied")
    assert "2 created" in HTML.read_text()
    assert "2 created" in SUMMARY.read_text()


def test_secrets_are_hidden_in_all_files(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that an event or a log shows is nowhere in the files, escaped or not."""
    secret = 'pa"ss<&>word'
    monkeypatch.setenv("DB_PASSWORD", secret)
    stage.write(yaml_of("Deployment", "web", SPEC))
    waiting = {"reason": "InvalidImageName", "message": f"couldn't parse {secret}"}
    container = {"name": "app", "restartCount": 0, "state": {"waiting": waiting}}
    stage.cluster.on_apply = broken(stage.cluster, container)

    assert stage.run(deploy.apply_and_wait, **FILES) == 1

    _tell("failed", "***")
    for file in (HTML, JUNIT, SUMMARY):
        assert "ss<" not in html.unescape(file.read_text())


@pytest.mark.parametrize(
    ("flags", "prepare", "message"),
    [
        ({"html": "page"}, lambda: Path("page").mkdir(), "--html page: cannot be written: Is a"),
        ({"junit": "a/b.xml"}, lambda: Path("a").touch(), "--junit a/b.xml: cannot be written: "),
        (
            {"junit": "out/x", "html": "out/../out/x"},
            lambda: None,
            "--html: is the same file as --junit: give each one of its own",
        ),
    ],
    ids=["a folder", "below a file", "twice the same"],
)
def test_a_file_that_cannot_be_written_is_found_first(
    stage: Stage, flags: dict[str, str], prepare: Callable[[], Any], message: str
) -> None:
    """A wrong flag is exit code 2 before anything is changed, not a surprise at the end."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    prepare()

    error = stage.refused(deploy.apply_and_wait, **flags)

    assert isinstance(error, UsageError)
    assert str(error).startswith(message)
    assert stage.cluster.calls == []


def test_a_summary_that_cannot_be_written_is_a_warning(stage: Stage) -> None:
    """A full or odd disk of the runner is no reason to call a deploy failed."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    SUMMARY.mkdir()

    assert stage.run(deploy.apply_and_wait) == 0

    assert "warning: summary.md: not written: Is a directory" in stage.shown
    assert _outputs()["result"] == "healthy"


def test_two_commands_of_one_step_add_to_the_summary(stage: Stage) -> None:
    """The second deploy of a step does not overwrite what the first one wrote."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.run(deploy.apply)

    stage.run(deploy.wait)

    assert SUMMARY.read_text().count("## ") == 2


def test_what_a_script_has_begun_stays_its_own(stage: Stage) -> None:
    """A line without an end in the files of a step makes neither outputs nor summary invalid."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    for path in (SUMMARY, OUTPUTS):
        path.write_text("theirs=1")

    assert stage.run(deploy.apply_and_wait) == 0

    assert [path.read_text().splitlines()[0] for path in (SUMMARY, OUTPUTS)] == ["theirs=1"] * 2
    OUTPUTS.write_text(OUTPUTS.read_text().removeprefix("theirs=1\n"))
    assert _outputs()["result"] == "healthy"


@pytest.mark.parametrize("end", ["healthy", "failed", "interrupted"])
def test_the_json_keeps_to_the_published_schema(
    stage: Stage, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Programs can rely on it in good times and in bad ones."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    if end == "failed":
        stage.cluster.on_apply = broken(stage.cluster)
    if end == "interrupted":
        stage.cluster.on_apply = pending
        stage.clock.at(3.0, _interrupt)

    stage.run(deploy.apply_and_wait, output="json")

    document = report_of(capsys)
    output_schema.check(document, "apply")
    assert document["workloads"][0]["timeline"][0]["kind"] == "applied"
    json.dumps(document)


def test_errors_are_never_swallowed(stage: Stage) -> None:
    """Files are written on the way; the error goes on to whoever prints it."""
    stage.write(yaml_of("Deployment", "web", SPEC))
    stage.cluster.refusals["web"] = ClusterError("web", "no", status=403)

    with pytest.raises(CodexctlError, match="no"):
        stage.run(deploy.apply_and_wait, **FILES)
