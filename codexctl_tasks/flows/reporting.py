"""
How a run tells of its end: report, annotations, JSON, and the files that were asked for.

The only place that writes those files. They are written however the run ends.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from codexctl_tasks.errors import DONE, INTERNAL_ERROR, CodexctlError, Interrupted, UsageError
from codexctl_tasks.reports import report
from codexctl_tasks.reports.report import Ending
from codexctl_tasks.rollout.findings import summary
from codexctl_tasks.rollout.wait import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from codexctl_tasks.console import Console
    from codexctl_tasks.reports.story import Story
    from codexctl_tasks.requests.runs import DeployRequest
    from codexctl_tasks.world.outside import Outside


class Reporter:
    """Tells the end of one run, once."""

    def __init__(self, request: DeployRequest, outside: Outside) -> None:
        """Begin a run; the files are looked at when the reporter is entered."""
        self._request, self._files = request, request.files
        self._console, self._clock = outside.console, outside.clock
        self._begun_s = outside.clock.now()
        self._title = request.stack or request.source.env or request.source.namespace
        self._ending: Ending | None = None
        self._written = False
        self._place: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Make sure that the files can be written, before anything is changed in the cluster."""
        if self._files.junit and self._files.junit.resolve() == _resolved(self._files.html):
            raise UsageError("--html", "is the same file as --junit", "give each one of its own")
        for flag, path in (("--junit", self._files.junit), ("--html", self._files.html)):
            if path:
                _empty(flag, path)
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        """Write the files of a run that ended before it could do so."""
        if error is None or self._written:
            return
        nothing_known = Ending(
            exit_code=DONE,
            elapsed_s=self._clock.now() - self._begun_s,
            timeout_s=self._request.wait_timeout_s,
            judged=False,
        )
        self._write_files(_ended_by(error, self._ending or nothing_known))

    def name_stack(self, stack: str) -> None:
        """Set the title of what is told, now that it is known."""
        self._title = stack or self._title

    def name_place(self, namespace: str, url: str) -> None:
        """Set where the run works, for the outputs of a step: *url* is where people find it."""
        self._place = {"namespace": namespace, "url": url}

    def tell(self, ending: Ending, more: dict[str, Any] | None = None) -> int:
        """
        Print the report, write the files and return the exit code.

        Args:
            ending: How the run ended.
            more: Further facts for the report as JSON.
        """
        self._ending = ending
        if ending.judged:
            first_line = report.headline(
                ending.results,
                ending.skipped,
                exit_code=ending.exit_code,
                elapsed_s=ending.elapsed_s,
                timeout_s=ending.timeout_s,
            )
            self._console.lines([first_line, *report.text_lines(ending.results, ending.skipped)])
        for result in ending.results:
            if result.outcome in (Outcome.FAILED, Outcome.TIMED_OUT):
                self._console.annotate(result.target.location, summary(result))
        self._write_files(ending)
        if self._request.output == "json":
            self._print_json(ending, more or {})
        return ending.exit_code

    def tell_plan(self, totals: str, lines: Iterable[str]) -> None:
        """Write the files of a GitHub Actions step about a run that only looked ahead."""
        if summary := self._files.step_summary:
            shown = [self._console.masked(line) for line in lines]
            self._write(summary, lambda: _plan(self._title, totals, shown, summary), mode="a")
        if outputs := self._files.step_outputs:
            told = {"result": "planned", "failed": "", "exit-code": str(DONE), **self._place}
            self._write(outputs, lambda: outputs_text(told), mode="a")
        self._written = True

    def _print_json(self, ending: Ending, more: dict[str, Any]) -> None:
        data = report.as_json(
            ending.results,
            ending.skipped,
            elapsed_s=ending.elapsed_s,
            exit_code=ending.exit_code,
        )
        self._console.result_as_json({**data, **more})

    def _write_files(self, ending: Ending) -> None:
        if self._files.wanted:
            self._write_story(ending)
        self._written = True

    def _write_story(self, ending: Ending) -> None:
        from codexctl_tasks.reports.story import tell_story

        story = tell_story(
            ending,
            title=self._title,
            begun_at=self._request.source.now,
            run=self._request.holder,
            mask=self._console.masked,
        )
        if self._files.junit:
            self._write(self._files.junit, lambda: _junit(story))
        if self._files.html:
            self._write(self._files.html, lambda: _html(story))
        if summary := self._files.step_summary:
            self._write(summary, lambda: _job_summary(story, summary), mode="a")
        if outputs := self._files.step_outputs:
            self._write(outputs, lambda: _step_outputs(story, self._place), mode="a")

    def _write(self, path: Path, text: Callable[[], str], mode: str = "w") -> None:
        write_report(path, text(), self._console, mode)


def write_report(path: Path, content: str, console: Console, mode: str = "w") -> None:
    """Write a file; that it cannot be written is no reason to call a run failed."""
    try:
        if mode == "a" and _ends_amid_line(path):
            content = f"\n{content}"
        with path.open(mode, encoding="utf-8", errors="replace") as file:
            file.write(content)
    except OSError as error:
        console.warn(f"{path}: not written: {error.strerror}")


def _ends_amid_line(path: Path) -> bool:
    """Tell whether a file lacks its last line feed: a script may have written to it, too."""
    return path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")


def _empty(flag: str, path: Path) -> None:
    """Make an empty file, so that an old report is not taken for the one of this run."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    except OSError as error:
        where = f"{flag} {path}"
        raise UsageError(where, f"cannot be written: {error.strerror}", "name another") from error


def _resolved(path: Path | None) -> Path | None:
    return path.resolve() if path else None


def _ended_by(error: BaseException, ending: Ending) -> Ending:
    if isinstance(error, CodexctlError):
        return replace(ending, exit_code=error.exit_code, problems=error.problems)
    if isinstance(error, Interrupted):
        return replace(ending, exit_code=error.exit_code)
    defect = CodexctlError("codexctl", f"internal error: {type(error).__name__}: {error}")
    return replace(ending, exit_code=INTERNAL_ERROR, problems=(defect,))


# What makes a document is imported when it is wanted: a run without them starts faster.


def _junit(story: Story) -> str:
    from codexctl_tasks.reports.junit import junit_xml

    return junit_xml(story)


def _html(story: Story) -> str:
    from codexctl_tasks.reports.page import html_page

    return html_page(story)


def _job_summary(story: Story, path: Path) -> str:
    from codexctl_tasks.reports.markdown import job_summary

    return job_summary(story, _room_bytes(path))


def _plan(title: str, totals: str, lines: Sequence[str], path: Path) -> str:
    from codexctl_tasks.reports.markdown import plan_summary

    return plan_summary(title, totals, lines, _room_bytes(path))


def _room_bytes(path: Path) -> int:
    """Return what still fits: other commands of the same step may have written already."""
    from codexctl_tasks.reports.markdown import LIMIT_BYTES

    return LIMIT_BYTES - (path.stat().st_size if path.exists() else 0)


def _step_outputs(story: Story, place: dict[str, str]) -> str:
    from codexctl_tasks.reports.outputs import step_outputs

    return outputs_text({**step_outputs(story), **place})


def outputs_text(outputs: dict[str, str]) -> str:
    """Return outputs of a step of GitHub Actions as the runner reads them."""
    from codexctl_tasks.reports.outputs import in_github_syntax

    return in_github_syntax(outputs, f"end-{secrets.token_hex(16)}")
