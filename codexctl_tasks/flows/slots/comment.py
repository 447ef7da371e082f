"""
Tell an Issue or a pull request about its slot: one comment, changed in place.

A comment of somebody else is never touched, whatever stands in it.
"""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import DONE, UsageError
from codexctl_tasks.flows.registries import variables_of
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.flows.slots.place import SlotPlace
from codexctl_tasks.hooks.builtin.comment_body import compose
from codexctl_tasks.slots.choosing import own_record
from codexctl_tasks.slots.comment import (
    RELEASED,
    Account,
    Language,
    language_of,
    marker_of,
    text_of,
)
from codexctl_tasks.slots.record import Owner, Record, State
from codexctl_tasks.world.github_access import (
    Thread,
    check_repository,
    number_of_event,
    open_github,
)
from codexctl_tasks.world.github_comments import OwnComment

if TYPE_CHECKING:
    from datetime import datetime

    from codexctl_tasks.requests.slots import CommentRequest
    from codexctl_tasks.world.github import GitHub
    from codexctl_tasks.world.outside import Outside

SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""
NOTHING = "nothing"
"""There was no comment that could say that the slot is gone."""


def comment_pr(request: CommentRequest, outside: Outside) -> int:
    """Write the comment about a slot, or bring it up to date; tell where it is."""
    return _Telling(request, outside).run()


class _Telling:
    """One comment about one slot."""

    def __init__(self, request: CommentRequest, outside: Outside) -> None:
        """Load the stack; nothing is asked yet."""
        self._request, self._outside, self._console = request, outside, outside.console
        self._place = SlotPlace(request, outside)
        self._variables = variables_of(self._place.loaded)
        self._number = request.issue or request.pr or self._number_of_event()

    def run(self) -> int:
        """Find slot and thread, write, and tell what was done."""
        record = self._record()
        thread = self._thread(record)
        github = open_github(
            self._variables, self._console, self._outside.clock, where="comment-pr"
        )
        with closing(github):
            about = github.issue(*thread)
            thread = Thread(about.repository, about.number)  # where it is by now
            account = self._account(record, is_pull_request=about.is_pull_request)
            done, url = self._write(github, thread, account)
        self._console.step("comment", f"{thread}: {done}{f': {url}' if url else ''}")
        self._tell(account, thread, done, url)
        return DONE

    def _number_of_event(self) -> int:
        """Return what the run is about; 0: nothing, or a slot was named."""
        return 0 if self._request.source.slot else number_of_event(self._variables)

    def _record(self) -> Record:
        """
        Return the record of the slot; of one that is gone, as much as the user says.

        Raises:
            UsageError: There is none, and the comment is to say more than that.
            DamagedRecord: It makes no sense.
        """
        request, slot = self._request, self._request.source.slot
        record = self._find()
        if record and record.env and record.env != request.source.env:
            what = f"slot {record.slot} belongs to environment {record.env}"
            raise UsageError("--env", what, f"give --env {record.env}")
        if record is None and request.state != RELEASED:
            what = (
                f"slot {slot} is not taken"
                if slot
                else f"{request.repo}#{self._number} has no slot"
            )
            raise UsageError("comment-pr", what, "ensure-slot takes one; slots lists them")
        return record or Record(slot=slot, repo=request.repo)

    def _find(self) -> Record | None:
        """Return the record that is there; what another Issue has taken since is gone."""
        slot = self._request.source.slot
        if not slot and not self._number:
            what = "nobody said which slot, and this run is about none"
            raise UsageError("comment-pr", what, "give --slot N, --issue N or --pr N")
        if not slot:
            return own_record(self._place.slots.list(), self._owner)
        self._place.check(slot)
        record = self._place.slots.get(slot)
        is_anothers = record and self._number and not record.is_for(self._owner)
        return None if is_anothers and self._request.state == RELEASED else record

    @property
    def _owner(self) -> Owner:
        """Whom the slot is for; Issues and pull requests are numbered together."""
        return Owner(repo=self._request.repo, issue=self._number, pr=self._number)

    def _thread(self, record: Record) -> Thread:
        """Return where the comment belongs; a number without a repository is the slot's."""
        number, repository = self._number, self._request.repo
        if not number:
            number, repository = record.pr or record.issue, record.repo or repository
        if not number:
            what = f"slot {record.slot} is for no Issue or PR"
            raise UsageError("comment-pr", what, "give --issue N or --pr N")
        try:
            repository = check_repository(repository)
        except ValueError as error:
            raise UsageError("--repo", str(error)) from error
        if not repository:
            raise UsageError("--repo", "is required", "say whose Issue or PR it is: owner/name")
        return Thread(repository, number)

    def _account(self, record: Record, *, is_pull_request: bool) -> Account:
        state = self._request.state or record.state.value
        if state == RELEASED and record.uid and record.state is not State.RELEASING:
            self._console.warn(f"slot {record.slot} is still there: {record.state}")
            state = record.state.value
        return Account(
            slot=record.slot,
            env=self._request.source.env,
            state=state,
            is_pull_request=is_pull_request,
            namespace=record.namespace,
            branch=record.branch,
            links=self._place.links(record.slot) if state != RELEASED else (),
            expires=_expiry(record, self._request.ttl_s),
        )

    def _write(self, github: GitHub, thread: Thread, account: Account) -> tuple[str, str]:
        """Write the comment; return what was done, and its address."""
        marker = marker_of(self._place.project, account.env)
        comment = OwnComment(github, thread, marker, self._outside.clock)
        if account.state == RELEASED and comment.find() is None:
            return NOTHING, ""
        text = self._console.masked(text_of(account, self._language()))
        return comment.write(compose(text, marker, mentions=False))

    def _language(self) -> Language:
        """Return the language that was asked for, else that of prompts."""
        if self._request.language:
            return Language(self._request.language)
        name = self._place.loaded.stack.codex.prompt_lang
        language = language_of(name)
        if name.strip() and language is None:
            self._console.warn(f"codex.promptLang: comments are not written in {name!r}: English")
        return language or Language.ENGLISH

    def _tell(self, account: Account, thread: Thread, done: str, url: str) -> None:
        """Tell programs: as JSON if wanted, and as outputs of a step."""
        request = self._request
        slot = str(account.slot or "")
        if outputs := request.files.step_outputs:
            told = {"slot": slot, "namespace": account.namespace, "comment": done}
            text = outputs_text({**told, "comment-url": url})
            write_report(outputs, text, self._console, "a")
        if request.output == "json":
            data: dict[str, Any] = {
                "version": SCHEMA_VERSION,
                "exitCode": DONE,
                "slot": account.slot,
                "state": account.state,
                "namespace": account.namespace,
                "repo": thread.repository,
                "number": thread.number,
                "comment": done,
                "url": url,
            }
            self._console.result_as_json(data)


def _expiry(record: Record, ttl_s: float) -> datetime | None:
    """Return from when on `gc` may take a slot down; None: no time is known."""
    times = (record.lease_until, record.heartbeat, record.used, record.created)
    known = [time for time in times if time is not None]
    return max(known) + timedelta(seconds=ttl_s) if known else None
