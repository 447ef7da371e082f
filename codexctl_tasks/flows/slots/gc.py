"""
Remove slots that are over; told only, unless deletion is wanted.

Nothing is deleted unless the cluster and GitHub can be read: what cannot be seen is not over.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.inventory import stack_label
from codexctl_tasks.apply.remains import NAMESPACE
from codexctl_tasks.errors import ClusterError, CodexctlError
from codexctl_tasks.flows.slots.removals import OvertakenError, Removals
from codexctl_tasks.flows.slots.site import Site, open_site
from codexctl_tasks.flows.slots.threads import is_closed
from codexctl_tasks.references import check_repository
from codexctl_tasks.slots.expiry import Place, Rules, Slot, Thread, Verdict, decide
from codexctl_tasks.slots.ownership import RECORDS_LABEL, Ownership, ownership_of, records_label
from codexctl_tasks.slots.record import Owner, Record, State
from codexctl_tasks.stack.loading import load_stack
from codexctl_tasks.world.github_access import open_github
from codexctl_tasks.world.github_answers import GitHubError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.requests.slots import GcRequest
    from codexctl_tasks.slots.store import Listing
    from codexctl_tasks.world.github import GitHub
    from codexctl_tasks.world.outside import Outside

_RUN = re.compile(r"https?://[^/]+/([^/]+/[^/]+)/actions/runs/([0-9]{1,18})")
"""In the name of a holder that is a run of GitHub Actions."""


def gc(request: GcRequest, outside: Outside, github: GitHub | None = None) -> int:
    """
    Tell which slots are over, and remove them if that is wanted.

    *github*: None: that of the world, if a slot is for an Issue or a PR.
    """
    collection = _Collection(request, open_site(request, outside), github)
    verdicts = collection.survey()
    return collection.finish(verdicts)


class _Collection:
    """One run over all slots of a stack."""

    def __init__(self, request: GcRequest, site: Site, github: GitHub | None) -> None:
        self._request, self._site, self._github = request, site, github
        self._removals = Removals(request, site, deletes=request.deletes)

    def survey(self) -> list[Verdict]:
        """
        Read everything, and decide.

        Raises:
            CodexctlError: Something cannot be read: then nothing is deleted.
        """
        try:
            # Namespaces first: a slot that is taken meanwhile has a record, and a lease.
            namespaces, _ = self._site.cluster.list_objects(NAMESPACE, "")
            listing = self._site.slots.list()
            slots = [*self._recorded(listing, namespaces), *self._orphans(listing, namespaces)]
        except (ClusterError, GitHubError) as error:
            raise _without_consequence(error) from error
        rules = Rules(ttl_s=self._request.ttl_s, grace_s=self._request.grace_s)
        slots.sort(key=lambda slot: slot.number)
        return decide(slots, rules, self._site.slots.now())

    def finish(self, verdicts: list[Verdict]) -> int:
        """Tell each verdict, do it if that is wanted, and return the exit code."""
        for verdict in verdicts:
            slot, record = verdict.slot, verdict.slot.record
            if verdict.goes:
                self._removals.remove(
                    record or self._orphaned(slot), verdict.why, claim=self._claimed
                )
            else:
                owner = str(record.owner) if record and (record.issue or record.pr) else ""
                self._removals.keep(slot.number, owner, verdict.why, slot.place.name)
        return self._removals.report("--delete does it")

    # ---- what there is --------------------------------------------------------------------------

    def _recorded(self, listing: Listing, namespaces: list[Mapping[str, Any]]) -> Iterator[Slot]:
        by_name = {str(each["metadata"]["name"]): each for each in namespaces}
        for record in listing.records:
            if not self._site.is_among_all(record):
                continue
            try:
                name = record.namespace or self._usual_namespace(record)
            except CodexctlError as error:  # nobody can tell where that environment is
                yield self._unreadable(record.slot, error)
                continue
            found = by_name.get(name)
            yield Slot(
                number=record.slot,
                record=record,
                place=Place(name=name, exists=found is not None, is_ours=self._is_ours(found)),
                threads=tuple(self._threads(record)),
                is_run_over=self._is_run_over(record),
            )
        for damaged in listing.damaged:
            yield self._unreadable(damaged.slot, damaged)

    def _unreadable(self, number: int, problem: CodexctlError) -> Slot:
        """Return a slot of which nobody knows where it is: it stays, and the others do not."""
        self._removals.problems.append(problem)
        nowhere = Place(name="", exists=False, is_ours=False)
        return Slot(number=number, record=None, place=nowhere, damage=problem.problems[0].what)

    def _orphans(self, listing: Listing, namespaces: list[Mapping[str, Any]]) -> Iterator[Slot]:
        """Yield slots that only their namespace remembers."""
        for each in namespaces:
            owner, name = ownership_of(each), str(each["metadata"]["name"])
            if owner and owner.slot not in listing.busy and self._is_ours(each):
                place = Place(name=name, exists=True, is_ours=True)
                yield Slot(number=owner.slot, record=None, place=place, had_record=self._knew(each))

    def _knew(self, namespace: Mapping[str, Any]) -> bool:
        """Tell whether there was a record of it among those that we read."""
        slots, labels = self._site.slots, namespace["metadata"]["labels"]
        return bool(labels.get(RECORDS_LABEL) == records_label(slots.namespace, slots.prefix))

    def _is_ours(self, namespace: Mapping[str, Any] | None) -> bool:
        owner = ownership_of(namespace) if namespace else None
        if namespace is None or owner is None:
            return False
        request, name = self._site.request, str(namespace["metadata"]["name"])
        stack = f"{self._site.project}.{request.source.env}.{owner.slot}"
        return owner == Ownership.of(
            slot=owner.slot, repository=request.repository, stack=stack_label(stack, name)
        )

    def _usual_namespace(self, record: Record) -> str:
        source = self._site.request.source
        env = record.env or source.env
        return load_stack(replace(source, env=env, slot=record.slot)).context.namespace

    # ---- what GitHub says -----------------------------------------------------------------------

    def _threads(self, record: Record) -> Iterator[Thread]:
        repository = record.repo or self._site.request.repository
        if not repository:
            return
        for owner in (
            Owner(repo=repository, issue=record.issue),
            Owner(repo=repository, pr=record.pr),
        ):
            if owner.issue or owner.pr:
                name = f"Issue {owner.issue}" if owner.issue else f"PR {owner.pr}"
                yield Thread(name=name, is_closed=is_closed(self._forge(), owner))

    def _is_run_over(self, record: Record) -> bool | None:
        """Tell whether the holder of a lease that ran out has ended; None: nobody knows."""
        run = _RUN.fullmatch(record.holder)
        if run is None or record.lease_left_s(self._site.slots.now()) > 0:
            return None
        try:
            return self._forge().run(check_repository(run[1]), int(run[2])).is_over()
        except ValueError:
            return None  # somebody has written that by hand
        except GitHubError as error:
            if error.reason in (Reason.NOT_FOUND, Reason.FORBIDDEN):
                return None  # a token of another repository: the grace decides
            raise

    def _forge(self) -> GitHub:
        if self._github is None:
            environ, outside = self._site.request.source.environ, self._site.outside
            self._github = open_github(environ, outside.console, outside.clock, where="gc")
        return self._github

    # ---- namespaces without a record ------------------------------------------------------------

    def _orphaned(self, slot: Slot) -> Record:
        """Return the record that a namespace would have."""
        request = self._site.request
        return Record(
            slot=slot.number,
            env=request.source.env,
            namespace=slot.place.name,
            project=self._site.project,
            repo=request.repository,
            state=State.RELEASING,
        )

    def _claimed(self, record: Record) -> Record:
        """
        Take a record that has not changed since it was judged, or make the one that is missing.

        Raises:
            OvertakenError: Somebody uses the slot by now.
        """
        slots = self._site.slots
        held = record.held(self._site.holder, slots.now(), self._site.lease_s)
        made = slots.replace(held) if record.uid else slots.create(held)
        if made is None:
            raise OvertakenError(f"slot {record.slot}", "somebody began to use it in this moment")
        return made


def _without_consequence(error: ClusterError | GitHubError) -> CodexctlError:
    """Say of a failure to read that nothing is deleted."""
    what = f"{error.what}, therefore nothing is deleted"
    return type(error)(error.where, what, error.fix, status=error.status)
