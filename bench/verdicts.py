"""What programs said about scenarios, as tables, and how soon codexctl must decide."""

from __future__ import annotations

import re
import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compare import ROOT
from signs import Told, first_match

sys.path.insert(0, str(ROOT))
from codexctl_tasks.errors import TIMED_OUT
from codexctl_tasks.rollout import symptoms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.scenarios.model import Scenario

_TIMED_OUT = re.compile(r"timed out|context deadline exceeded|client rate limiter", re.IGNORECASE)
_DECIDED = re.compile(r"^wait +[\d.]+ s  .*  failed\b|^FAILED\b")
_LATEST_S = 3.0


@dataclass(frozen=True)
class Verdict:
    """What one program said about one scenario."""

    scenario: Scenario
    tool: str
    exit_code: int
    seconds: float
    told: list[Told]
    """What the program wrote."""
    signs: list[Told]
    """What the API server showed meanwhile."""
    restarts: dict[int, float]
    """When a container had been restarted so often; see `Signs.restarts`."""

    @property
    def green(self) -> bool:
        """Tell whether the program says that all is well."""
        return self.exit_code == 0

    @property
    def timed_out(self) -> bool:
        """Tell whether the program found nothing but that the time was over."""
        if self.tool == "codexctl":
            return self.exit_code == TIMED_OUT
        return not self.green and bool(_TIMED_OUT.search(self._text))

    @property
    def right(self) -> bool:
        """Tell whether the verdict is true."""
        return self.green == (self.scenario.fault is None)

    @property
    def word(self) -> str:
        """Return the verdict."""
        return "green" if self.green else "time-out" if self.timed_out else "red"

    @property
    def named(self) -> bool:
        """Tell whether the cause is in what the program wrote."""
        fault = self.scenario.fault
        return fault is not None and bool(re.search(fault.cause, self._text))

    @property
    def logged(self) -> bool:
        """Tell whether the last words of the crashing container are in what the program wrote."""
        fault = self.scenario.fault
        return fault is not None and fault.log in self._text

    @property
    def announced_s(self) -> float | None:
        """
        Return how long after its first sign the cause was told.

        None where there is none, or the API server's words for it are others.
        """
        fault = self.scenario.fault
        told = first_match(fault.cause, self.told) if fault else None
        shown = self._shown(fault.cause) if fault else None
        return None if shown is None or told is None else told - shown

    @property
    def after_grace_s(self) -> float | None:
        """
        Return how long after the end of the grace the verdict came.

        None where nothing is to be decided, or the cause or the verdict never came.
        """
        fault = self.scenario.fault
        if fault is None or not fault.grace:
            return None
        decided = next((each.at for each in self.told if _DECIDED.match(each.text)), None)
        grace = getattr(symptoms, fault.grace)
        if isinstance(grace, int):  # a number of restarts
            due = self.restarts.get(grace)
        else:
            seen = (self._shown(fault.cause), first_match(fault.cause, self.told))
            due = min((at + grace for at in seen if at is not None), default=None)
        return None if decided is None or due is None else decided - due

    def _shown(self, cause: str) -> float | None:
        """Return when the API server showed a cause, from the program's first line on."""
        shown = first_match(cause, self.signs)
        return None if shown is None or not self.told else max(shown, self.told[0].at)

    @property
    def _text(self) -> str:
        return "\n".join(each.text for each in self.told)


def print_scenarios(verdicts: list[Verdict], tools: list[str]) -> None:
    """Print what each program said about each scenario."""
    print(f"| scenario | truth | {' | '.join(tools)} |")
    print(f"|---|---|{'---|' * len(tools)}")
    by_turn = {(each.scenario.name, each.tool): each for each in verdicts}
    scenarios = {each.scenario.name: each.scenario for each in verdicts}
    for scenario in sorted(scenarios.values(), key=lambda s: (not s.fault, s.name)):
        truth = f"broken: {scenario.fault.rule or 'time'}" if scenario.fault else "healthy"
        cells = [_cell(by_turn.get((scenario.name, tool))) for tool in tools]
        print(f"| {scenario.name} | {truth} | {' | '.join(cells)} |")


def _cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return "-"
    word = verdict.word if verdict.right else f"**{verdict.word}**"
    fault = verdict.scenario.fault
    more = ""
    if fault and not verdict.green:
        more = ", cause" if verdict.named else ""
        more += ", log" if fault.log and verdict.logged else ""
    return f"{word} {verdict.seconds:.0f} s{more}"


def print_totals(verdicts: list[Verdict], tools: list[str]) -> None:
    """Print how often each program was right, and how it was wrong."""
    print(
        "\n| | right | green though broken | red though fine | red before the time ran out "
        "| cause named | log line shown | seconds over the broken ones |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for tool in tools:
        ours = [each for each in verdicts if each.tool == tool and not each.scenario.is_ours]
        broken = [each for each in ours if each.scenario.fault]
        # Where only the time-out can tell, nobody can be red before.
        told = [each for each in broken if each.scenario.fault and each.scenario.fault.grace]
        crashing = [each for each in broken if each.scenario.fault and each.scenario.fault.log]
        cells = (
            _share(each.right for each in ours),
            sum(each.green for each in broken),
            sum(not each.green for each in ours if not each.scenario.fault),
            _share(each.word == "red" for each in told),
            _share(each.named and not each.green for each in broken),
            _share(each.logged for each in crashing),
            f"{sum(each.seconds for each in broken):,.0f}",
        )
        print(f"| {tool} | {' | '.join(map(str, cells))} |")


def _share(values: Iterable[bool]) -> str:
    every = list(values)
    return f"{sum(every)}/{len(every)}"


def print_goals(verdicts: list[Verdict]) -> None:
    """Print how soon codexctl told a cause, and how long after the grace it decided."""
    ours = [each for each in verdicts if each.tool == "codexctl"]
    goals = {
        "cause told after its first sign": {e.scenario.name: e.announced_s for e in ours},
        "verdict after the grace": {e.scenario.name: e.after_grace_s for e in ours},
    }
    for title, found in goals.items():
        measured = {name: seconds for name, seconds in found.items() if seconds is not None}
        if measured:
            _print_goal(title, measured)


def _print_goal(title: str, measured: dict[str, float]) -> None:
    print(f"\n| codexctl: {title} | goal {_LATEST_S:.0f} s | |\n|---|---|---|")
    for name, seconds in sorted(measured.items(), key=lambda pair: -pair[1]):
        mark = "reached" if seconds <= _LATEST_S else "**missed**"
        print(f"| {name} | {seconds:.1f} s | {mark} |")
    median, largest = statistics.median(measured.values()), max(measured.values())
    print(f"| all {len(measured)} | median {median:.1f} s, largest {largest:.1f} s | |")
