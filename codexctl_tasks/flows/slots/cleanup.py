"""Take down the environments of slots that somebody names, and free the slots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.errors import CodexctlError, CombinedError, UsageError
from codexctl_tasks.flows.slots.branches import Branches
from codexctl_tasks.flows.slots.removals import Removals
from codexctl_tasks.flows.slots.site import Site, open_site
from codexctl_tasks.flows.slots.threads import is_closed
from codexctl_tasks.slots.record import Owner
from codexctl_tasks.world.github_access import open_github

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.requests.slots import CleanupRequest
    from codexctl_tasks.slots.record import DamagedRecord, Record
    from codexctl_tasks.slots.store import Listing
    from codexctl_tasks.world.github import GitHub
    from codexctl_tasks.world.outside import Outside


def cleanup(request: CleanupRequest, outside: Outside, github: GitHub | None = None) -> int:
    """
    Remove the slots that are meant; a slot that is free already is fine.

    *github*: None: that of the world, if branches are to be deleted.
    """
    site = open_site(request, outside)
    clean = _Cleanup(request, site, github)
    records = clean.choose()
    for record in records:
        if why := clean.why_kept(record):
            clean.removals.keep(record.slot, str(record.owner), why, record.namespace)
        else:
            clean.remove(record)
    if not records:
        clean.finish_without_record()
    return clean.removals.report("leave --dry-run out to do it")


class _Cleanup:
    """One run."""

    def __init__(self, request: CleanupRequest, site: Site, github: GitHub | None) -> None:
        self._request, self._site, self._github = request, site, github
        self._console = site.outside.console
        self.removals = Removals(request, site, deletes=not request.dry_run)

    def choose(self) -> list[Record]:
        """
        Return the records that are meant.

        Raises:
            UsageError: There is no slot of that number, or it is another repository's.
            DamagedRecord: What is meant cannot be read; with ``--force`` it goes all the same.
        """
        listing, request = self._site.slots.list(), self._request
        if request.slot:
            return self._by_number(listing, request.slot)
        if request.all:
            return self._every(listing)
        owner = Owner(repo=request.deploy.repository, issue=request.issue, pr=request.pr)
        if request.only_closed and not self._is_closed(owner):
            self._console.step("cleanup", f"{owner} is open: nothing is removed")
            return []
        records = listing.of(owner)
        unread = [damaged for damaged in listing.damaged if damaged.is_for(owner) is not False]
        if not records and unread:
            raise CombinedError(unread)  # one of them may be the one
        if not records:
            self._console.step("cleanup", f"{owner} has no slot: nothing to do")
        return records

    def why_kept(self, record: Record) -> str:
        """Return who may still need a slot if only what is closed may go; empty: nobody does."""
        if not self._request.only_closed:
            return ""
        repository = record.repo or self._request.deploy.repository
        owners = [Owner(repo=repository, issue=record.issue)] if record.issue else []
        owners += [Owner(repo=repository, pr=record.pr)] if record.pr else []
        for owner in owners:
            if not (closed := is_closed(self._forge(), owner)):
                return f"{owner} is {'open' if closed is False else 'not known to GitHub'}"
        return "" if owners else "nobody knows for whom it is, and only what is closed may go"

    def _is_closed(self, owner: Owner) -> bool:
        closed = is_closed(self._forge(), owner)
        if closed is None:
            flag = "--pr" if owner.pr else "--issue"
            what = f"there is no {owner}, or the token may not see it"
            raise UsageError(flag, what, "correct the number, --repo, or the rights of the token")
        return closed

    def _forge(self) -> GitHub:
        environ, clock = self._request.deploy.source.environ, self._site.outside.clock
        self._github = self._github or open_github(environ, self._console, clock, where="cleanup")
        return self._github

    def _by_number(self, listing: Listing, slot: int) -> list[Record]:
        if slot not in listing.busy:
            self._site.place.check(slot)
            self._console.step("cleanup", f"slot {slot} is free: nothing to do")
        for damaged in listing.damaged:
            if damaged.slot == slot:
                return [self._despite(damaged)]
        records = [record for record in listing.records if record.slot == slot]
        for record in records:
            if not self._site.concerns(record):
                what = (
                    f"slot {slot} is that of {record.owner}, project {record.project or 'unknown'}"
                )
                raise UsageError("--slot", what, "clean it up with the services.yaml of that one")
        return records

    def _every(self, listing: Listing) -> list[Record]:
        records = [record for record in listing.records if self._site.is_among_all(record)]
        for damaged in listing.damaged:
            try:
                records.append(self._despite(damaged))
            except CodexctlError as error:
                self.removals.problems.append(error)
        if not records:
            self._console.step("cleanup", "there is no slot to clean up")
        return records

    def _despite(self, damaged: DamagedRecord) -> Record:
        """Return what goes although its record is damaged, if that is wanted."""
        if not self._request.force:
            raise damaged
        self._console.warn(f"{damaged.where}: {damaged.what}: it goes all the same")
        return self._site.bare_record(damaged.slot)

    def remove(self, record: Record) -> None:
        """Remove one slot, and its branch before its record."""
        delete_branch = self._branch_step(record.pr or self._request.pr, record.repo)
        if delete_branch and self._request.dry_run:
            delete_branch()
        self.removals.remove(record, force=self._request.force, before_record=delete_branch)

    def finish_without_record(self) -> None:
        """Delete the branch of a PR whose slot is free already."""
        if self._request.pr and (delete_branch := self._branch_step(self._request.pr, "")):
            delete_branch()

    def _branch_step(self, pr: int, repository: str) -> Callable[[], None] | None:
        request = self._request
        if not request.deletes_branch:
            return None

        def delete_branch() -> None:
            repo = repository or request.deploy.repository
            branches = Branches(self._forge(), repo, request.branch_prefix, self._console)
            branches.delete_of(pr, dry_run=request.dry_run)

        return delete_branch
