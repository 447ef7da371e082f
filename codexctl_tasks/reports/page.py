"""A run as one HTML page that needs nothing else: no script, no request, no other file."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from codexctl_tasks import __version__
from codexctl_tasks.errors import INTERNAL_ERROR
from codexctl_tasks.reports.story import SKIPPED_BECAUSE
from codexctl_tasks.reports.timeline import Phase, spans_of, ticks_of
from codexctl_tasks.rollout.wait import Outcome

if TYPE_CHECKING:
    from codexctl_tasks.reports.story import Story, Workload
    from codexctl_tasks.reports.timeline import Span

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<circle cx="8" cy="8" r="7" fill="{}"/></svg>'
)
_COLOURS = {"healthy": "#12955b", "applied": "#12955b", "timed out": "#d97706"}
_FAILED_COLOUR = "#d92d20"
_STATES = {
    Outcome.READY: "ready",
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "late",
    Outcome.NOT_READY: "unknown",
}
"""Names of icons and colours, for workloads and, below, for the whole run."""
_STATE_OF_RUN = {"healthy": "ready", "applied": "ready", "timed out": "late"}
_NEAR_THE_END = 92.0
_MINUTE_S = 60.0
_LONG_S = 120.0
"""Shorter axes are in seconds, longer ones in minutes and seconds."""


@dataclass(frozen=True, slots=True)
class _Bar:
    """A piece of a timeline; places are per cent of its width."""

    x: float
    width: float
    phase: Phase
    text: str


@dataclass(frozen=True, slots=True)
class _Tick:
    x: float
    anchor: str
    text: str


def html_page(story: Story) -> str:
    """Return the page; whatever the cluster said is text in it, never markup."""
    environment = Environment(
        loader=PackageLoader("codexctl_tasks", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    axis = _Axis(story.end_s)
    environment.globals.update(
        bars=axis.bars,
        place=axis.place,
        seconds=seconds_text,
        state_of=lambda workload: _STATES[workload.outcome],
    )
    style = files("codexctl_tasks.reports").joinpath("page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("page.html.j2").render(
        story=story,
        state=_STATE_OF_RUN.get(story.word, "failed"),
        lead=_lead(story),
        others=[workload for workload in story.workloads if not workload.is_suspect],
        ticks=axis.ticks(),
        skipped_because=SKIPPED_BECAUSE,
        style=Markup(style),  # noqa: S704 - our own file
        style_digest=digest,
        tab_icon="data:image/svg+xml,"
        + quote(_ICON.format(_COLOURS.get(story.word, _FAILED_COLOUR))),
        version=__version__,
    )


def seconds_text(seconds: float) -> str:
    """Return a duration as people say it: ``24.3 s``, ``2 min 5 s``."""
    if round(seconds, 1) < _MINUTE_S:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


class _Axis:
    """The seconds of the run, from left to right."""

    def __init__(self, end_s: float) -> None:
        self._end_s = end_s

    def place(self, at_s: float) -> float:
        """Return per cent of the width."""
        return round(min(max(at_s / self._end_s, 0.0), 1.0) * 100, 3)

    def bars(self, workload: Workload) -> list[_Bar]:
        spans = spans_of(workload.history, self._end_s) if workload.history else ()
        return [
            _Bar(
                self.place(span.from_s),
                round(self.place(span.to_s) - self.place(span.from_s), 3),
                span.phase,
                _span_text(span),
            )
            for span in spans
        ]

    def ticks(self) -> list[_Tick]:
        ticks = []
        for at_s in ticks_of(self._end_s):
            x = self.place(at_s)
            anchor = "start" if x == 0 else "end" if x > _NEAR_THE_END else "middle"
            ticks.append(_Tick(x, anchor, self._tick_text(at_s)))
        return ticks

    def _tick_text(self, at_s: float) -> str:
        if self._end_s <= _LONG_S:
            return f"{at_s:g} s"
        minutes, rest = divmod(round(at_s), 60)
        return f"{minutes}:{rest:02}"


def _span_text(span: Span) -> str:
    text = f"{span.phase.value} from {seconds_text(span.from_s)} to {seconds_text(span.to_s)}"
    return f"{text}: {span.cause}" if span.cause else text


def _lead(story: Story) -> str:
    """Return the sentence below the headline; empty when what broke says it all."""
    if story.broken:
        return ""
    total = len(story.workloads)
    if story.word == "applied":
        return "The objects are applied. Nobody waited for the workloads."
    if story.word == "healthy":
        ready = "The workload is ready." if total == 1 else f"All {total} workloads are ready."
        return ready if total else "There is no workload to wait for."
    if story.word == "interrupted":
        return "The run was interrupted. This is what was known by then."
    changed = story.applied or story.exit_code == INTERNAL_ERROR
    return "" if changed else "The run was stopped before it changed anything."
