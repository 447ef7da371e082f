"""The removals of one run, one after the other; one that fails does not stop the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.errors import DONE, CodexctlError, CombinedError
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.flows.slots.removal import Removal
from codexctl_tasks.reports import removals as report
from codexctl_tasks.reports.removals import Account, Fate

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.flows.slots.site import Site
    from codexctl_tasks.requests.slots import RemovalRequest
    from codexctl_tasks.slots.record import Record


class OvertakenError(CodexctlError):
    """A slot is not over any more: somebody was faster."""


class Removals:
    """What a run has looked at, and what became of it."""

    def __init__(self, request: RemovalRequest, site: Site, *, deletes: bool) -> None:
        """*deletes*: False for a dry run."""
        self._request, self._site, self._deletes = request, site, deletes
        self._console = site.outside.console
        self._accounts: list[Account] = []
        self.problems: list[CodexctlError] = []
        """What went wrong so far."""

    def keep(self, slot: int, owner: str, why: str, namespace: str = "") -> None:
        """Remember a slot that stays."""
        account = Account(slot=slot, owner=owner, why=why, namespace=namespace)
        self._accounts.append(account)
        self._console.lines([("", report.line(account))])

    def remove(
        self,
        record: Record,
        why: str = "",
        *,
        claim: Callable[[Record], Record] = lambda record: record,
        force: bool = False,
        before_record: Callable[[], None] | None = None,
    ) -> None:
        """
        Remove a slot, or tell what that would do.

        Args:
            record: Of the slot.
            why: Why it goes; empty: somebody named it.
            claim: Takes the record, or makes it; not called by a dry run.
            force: Although another run holds it.
            before_record: What else is to be done before the record goes; see `Removal.run`.
        """
        owner = str(record.owner) if record.issue or record.pr else ""
        account = Account(slot=record.slot, owner=owner, fate=Fate.LEFT, why=why)
        self._accounts.append(account)
        self._console.lines([("-", report.line(account))])
        try:
            removal = Removal(self._site, record)
            account.namespace, account.steps = removal.place.namespace, removal.plan()
            if self._deletes:
                removal.run(claim(record), force=force, before_record=before_record)
                account.fate = Fate.REMOVED
            else:
                if not force:
                    removal.check_holder()
                account.fate = Fate.WOULD_GO
                self._console.lines([("", f"        {step}") for step in account.steps])
        except OvertakenError as error:
            account.fate, account.why = Fate.STAYS, error.what
            self._console.lines([("", report.line(account))])
        except CodexctlError as error:
            account.problems = error.problems
            self.problems.extend(error.problems)

    def report(self, hint: str = "") -> int:
        """
        Print the sums, JSON and outputs if they are wanted; return the exit code.

        *hint*: How a dry run becomes a real one.
        """
        exit_code = CombinedError(self.problems).exit_code if self.problems else DONE
        if self._accounts:
            line = report.closing_line(self._accounts, deletes=self._deletes, hint=hint)
            self._console.lines([line])
        if self.problems:
            self._console.error(CombinedError(self.problems))
        if self._request.output == "json":
            data = report.as_json(
                self._accounts, self.problems, exit_code=exit_code, deletes=self._deletes
            )
            self._console.result_as_json(data)
        if path := self._request.step_outputs:
            outputs = report.step_outputs(self._accounts, exit_code)
            write_report(path, outputs_text(outputs), self._console, "a")
        return exit_code
