"""All checks of one subject, side by side: none of them hides or delays the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from codexctl_tasks.checks.builders import check_builders
from codexctl_tasks.checks.disk import check_disk
from codexctl_tasks.checks.finding import Finding, State, failures, skipped
from codexctl_tasks.checks.permissions import check_permissions
from codexctl_tasks.checks.programs import check_programs
from codexctl_tasks.checks.registries import check_registries
from codexctl_tasks.checks.server import check_cluster
from codexctl_tasks.errors import INTERNAL_ERROR, CodexctlError, DeadlineError
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from codexctl_tasks.checks.subject import Subject

    Check = Callable[[Subject], Iterator[Finding]]

CHECKS: Mapping[str, Check] = {
    "programs": check_programs,
    "cluster": check_cluster,
    "permissions": check_permissions,
    "registries": check_registries,
    "builders": check_builders,
    "disk": check_disk,
}
"""In the order in which they are told."""
_AFTER = {"permissions": "cluster"}
"""What a check builds upon: when that has failed, it would only say the same once more."""


class Checked(NamedTuple):
    """A finding, and of which check it is."""

    check: str
    finding: Finding


def examine(
    subject: Subject,
    chosen: Collection[str] = tuple(CHECKS),
    checks: Mapping[str, Check] = CHECKS,
) -> list[Checked]:
    """
    Run checks until the deadline of the subject; return all that was found until then.

    Args:
        subject: What is looked at.
        chosen: Names of the checks that are wanted.
        checks: All there are.
    """
    wanted = [name for name in checks if name in chosen]
    rows = [
        [name, *(later for later in wanted if _AFTER.get(later) == name)]
        for name in wanted
        if _AFTER.get(name) not in wanted
    ]
    found: dict[str, list[Finding]] = {name: [] for name in wanted}
    ended: set[str] = set()

    def run(row: Sequence[str]) -> None:
        for name in row:
            if any(f.state is State.FAILED for f in found.get(_AFTER.get(name, ""), ())):
                found[name].append(skipped("cluster", "it cannot be asked"))
            else:
                _run(checks[name], subject, found[name])
            ended.add(name)

    for _ in in_parallel(run, rows, limit=len(rows), left_s=lambda: subject.left_s):
        pass
    late = [name for name in wanted if name not in ended]
    for name in late:
        error = DeadlineError(name, "the check was not done in time", "run it once more, alone")
        found[name] = [*found[name], *failures(error)]
    return [Checked(name, finding) for name in wanted for finding in found[name]]


def _run(check: Check, subject: Subject, found: list[Finding]) -> None:
    """Add what a check finds, one by one; what it raises is a finding as well."""
    try:
        for finding in check(subject):
            found.append(finding)  # noqa: PERF402 - what comes before an error counts, too
    except CodexctlError as error:
        found += failures(error)
    except Exception as error:  # noqa: BLE001 - a defect of one check must not hide the others
        what = f"internal error: {type(error).__name__}: {error}"
        fix = "this is a defect of codexctl, please report it"
        exit_code, name = INTERNAL_ERROR, check.__name__
        found.append(
            Finding(state=State.FAILED, where=name, what=what, fix=fix, exit_code=exit_code)
        )
