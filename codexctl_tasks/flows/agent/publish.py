"""
Publish what an agent has made: verified, judged, pushed, and shown as a draft pull request.

Runs where neither the cluster nor the model's key is. What the run has left is believed in nothing
that decides where something goes: Issue, pull request and kind come from whoever started the run.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.agent import publication as publications
from codexctl_tasks.agent.message import files_to_review, harmless, pull_request_body, title_of
from codexctl_tasks.agent.publication import Publication
from codexctl_tasks.agent.result import Result, Status, read_result
from codexctl_tasks.agent.work import bundle, messages, policy
from codexctl_tasks.agent.work.verification import sha_format
from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.flows.agent.carrying import BlockedError, Carrier
from codexctl_tasks.flows.agent.showing import Showing
from codexctl_tasks.flows.agent.target import target_of
from codexctl_tasks.flows.environment import load_settings
from codexctl_tasks.flows.registries import variables_of
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.hooks.builtin.comment_body import compose
from codexctl_tasks.requests.agents import Kind
from codexctl_tasks.world.github_access import Thread, open_github, token_of
from codexctl_tasks.world.github_comments import OwnComment
from codexctl_tasks.world.repository import Remote, Repository

if TYPE_CHECKING:
    from codexctl_tasks.agent.work.policy import Judgement, Policy
    from codexctl_tasks.agent.work.verification import Work
    from codexctl_tasks.flows.agent.target import Target
    from codexctl_tasks.requests.publishing import PublishRequest
    from codexctl_tasks.stack.model import Publish
    from codexctl_tasks.world.github import GitHub
    from codexctl_tasks.world.outside import Outside

SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""
_MEGABYTE = 10**6


def publish(request: PublishRequest, outside: Outside) -> int:
    """Publish what may be published; tell what came of it, whatever that is."""
    result = read_result(request.result_dir)
    try:
        done = _Publishing(request, result, outside).run()
    except CodexctlError as error:
        failed = Publication(status=Status.INFRA_FAILED, reason=str(error))
        _tell(request, failed, outside, error)
        raise
    _tell(request, done, outside)
    return done.status.exit_code


class _Publishing:
    """The end of one run."""

    def __init__(self, request: PublishRequest, result: Result, outside: Outside) -> None:
        """Load the stack; nothing is asked yet."""
        self._request, self._result = request, result
        self._outside, self._console = outside, outside.console
        self._kind = Kind(request.kind)
        loaded = load_settings(request.source, outside.console)
        self._settings = loaded.stack.codex.publish
        self._policy = _policy_of(self._settings)
        for pattern in policy.unknown_words(self._policy.rules):
            what = f"codex.publish.paths: {pattern} has no rule that is known: it blocks"
            self._console.warn(what)
        self._variables = variables_of(loaded)
        self._remote = Remote(f"{request.server}/{request.repo}.git", token_of(self._variables))

    def run(self) -> Publication:
        """Do what the result calls for; a run that failed stays failed."""
        result = self._result
        try:
            self._check_subject()
            if result.status is not Status.SUCCESS:
                self._console.step("publish", f"nothing: the run ended with {result.status}")
                return Publication(status=result.status, reason=result.reason)
            with closing(self._github()) as github:
                if not self._kind.makes_commits:
                    return self._answer(github)
                return self._publish_work(github)
        except BlockedError as error:
            lines = tuple(self._console.masked(each) for each in error.reasons)
            for line in lines[: policy.MOST_TOLD]:
                self._console.step("publish", f"blocked: {line}")
            more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
            reason = f"{lines[0]}{more}"
            return Publication(status=Status.PUBLISH_BLOCKED, reason=reason, blocked=lines)

    def _check_subject(self) -> None:
        """Refuse a result that is about something else than this run."""
        asked = (self._kind, self._request.repo, self._request.issue, self._request.pr)
        found = self._result
        if asked != (found.kind, found.repo, found.issue, found.pr):
            of_result = f"{found.kind} of {found.repo}#{found.issue or found.pr}"
            wanted = f"{self._kind} of {self._request.repo}#{self._number}"
            raise BlockedError(f"the result is of another run: {of_result} instead of {wanted}")

    @property
    def _number(self) -> int:
        return self._request.issue or self._request.pr

    def _github(self) -> GitHub:
        return open_github(self._variables, self._console, self._outside.clock, where="publish")

    def _answer(self, github: GitHub) -> Publication:
        """Write what the agent said as a comment, once for each run."""
        done = Publication(status=Status.SUCCESS)
        if not self._result.final_message.strip():
            return replace(done, status=Status.AGENT_FAILED, reason="the agent has said nothing")
        if self._request.dry_run:
            self._console.step("publish", f"would comment on {self._request.repo}#{self._number}")
            return done
        run = self._request.run if "://" in self._request.run else self._result.run
        marker = f"<!-- codexctl-answer: {self._kind} {''.join(run.split()).replace('--', '')} -->"
        thread = Thread(self._request.repo, self._number)
        text = compose(harmless(self._message), marker, mentions=False)
        told, url = OwnComment(github, thread, marker, self._outside.clock).write(text)
        self._console.step("publish", f"comment on {thread}: {told}: {url}")
        return replace(done, url=url)

    @property
    def _message(self) -> str:
        return self._console.masked(self._result.final_message)

    def _publish_work(self, github: GitHub) -> Publication:
        base, file = self._result.base, self._request.result_dir / bundle.FILE
        if not base:
            raise BlockedError("nobody has recorded with which commit the agent began")
        if not file.is_file() or file.is_symlink():
            # The run itself says so if there is no work.
            reason = f"{bundle.FILE} is missing: what the agent has made is lost, or cannot be told"
            return Publication(status=Status.INFRA_FAILED, reason=reason)
        with tempfile.TemporaryDirectory(prefix="codexctl-publish-") as folder:
            environ = self._request.source.environ
            repository = Repository(Path(folder), environ, object_format=sha_format(base))
            carrier = Carrier(repository, self._remote, self._outside.clock, self._console)
            work = carrier.verify(file, base, self._policy.most_file_bytes)
            if not work.files:
                return self._no_changes()
            judgement = policy.judge(work.changes, self._policy)
            if judgement.blocked:
                raise BlockedError(*judgement.blocked)
            return self._push(github, carrier, work, judgement)

    def _no_changes(self) -> Publication:
        self._console.step("publish", "nothing: the agent has changed no file")
        return Publication(status=Status.NO_CHANGES)

    def _push(
        self, github: GitHub, carrier: Carrier, work: Work, judgement: Judgement
    ) -> Publication:
        """Bring the work to its branch, and the branch to its pull request."""
        target = target_of(self._request, github, carrier, work)
        if refused := messages.why_refused(work.written, {self._request.issue, target.issue}):
            raise BlockedError(*refused)
        whole = self._judge_branch(carrier, work, target, judgement)
        branch, commit = target.branch, work.commit
        done = Publication(
            status=Status.SUCCESS, branch=branch, commit=commit, review=tuple(whole.review)
        )
        size = f"files: {work.files}, commits: {work.commits}"
        if self._request.dry_run:
            would = "would be pushed to" if target.pushes else "already on"
            self._console.step("publish", f"{would} {branch}, for {target.base_branch}; {size}")
            return replace(done, pr=target.pull.number if target.pull else 0)
        if target.pushes:
            carrier.push(commit, branch)
        told = "pushed to" if target.pushes else "already on"
        self._console.step("publish", f"{told} {branch}; {size}; commit {commit[:12]}")
        return self._show(github, target, done, judgement, whole)

    def _judge_branch(
        self, carrier: Carrier, work: Work, target: Target, judgement: Judgement
    ) -> Judgement:
        """Return what is to be said of all that the pull request shows, also of earlier runs."""
        if target.start == work.base:
            return judgement
        most = self._policy.most_file_bytes
        changes = carrier.branch_changes(target.start, work.commit, most)
        whole = policy.judge_branch(changes, self._policy, is_agents=target.is_agents)
        if whole.blocked:
            raise BlockedError(*(f"with what is on the branch: {line}" for line in whole.blocked))
        review = tuple(dict.fromkeys((*whole.review, *judgement.review)))
        return replace(whole, review=review)

    def _show(
        self,
        github: GitHub,
        target: Target,
        done: Publication,
        judgement: Judgement,
        whole: Judgement,
    ) -> Publication:
        """Open the pull request, or bring it up to date; what is pushed is told in any case."""
        where = (self._request.repo, done.branch, target.base_branch)
        showing = Showing(github, *where, self._outside.clock, self._console)
        title = self._console.masked(title_of(self._message, f"Issue {self._number}"))
        failed = "its pull request could not be opened or brought up to date"
        try:
            found = showing.show(target.pull, title, self._text(whole))
            done = replace(done, pr=found.number, url=found.url)
            failed = "who has to look at its files could not be told"
            if judgement.review:
                if not showing.is_ours(found):
                    text = self._console.masked(files_to_review(judgement.review))
                    showing.tell_files(found, done.commit, text)
                showing.ask_reviewers(found, self._settings.reviewers)
        except CodexctlError as error:
            reason = f"{done.branch} has the work, but {failed}: {error}"
            return replace(done, status=Status.INFRA_FAILED, reason=reason)
        number = f"{found.repository}#{found.number}"
        self._console.step("publish", f"pull request {number}: {found.url}")
        return done

    def _text(self, judgement: Judgement) -> str:
        text = pull_request_body(
            self._message,
            issue=self._request.issue,
            run=self._request.run,
            review=judgement.review,
            notes=judgement.notes,
        )
        return self._console.masked(text)


def _policy_of(settings: Publish) -> Policy:
    usual = policy.Policy()
    return policy.Policy(
        rules=settings.paths,
        most_files=settings.max_files or usual.most_files,
        most_file_bytes=settings.max_file_megabytes * _MEGABYTE or usual.most_file_bytes,
        most_bytes=settings.max_megabytes * _MEGABYTE or usual.most_bytes,
    )


def _tell(
    request: PublishRequest,
    done: Publication,
    outside: Outside,
    error: CodexctlError | None = None,
) -> None:
    """Tell later jobs, steps on this machine, and programs; *error* is raised, and read there."""
    console = outside.console
    done = replace(  # before anything is cut, or half of a secret would be left
        done,
        reason=console.masked(done.reason),
        blocked=tuple(map(console.masked, done.blocked)),
        review=tuple(map(console.masked, done.review)),
    )
    reason = f": {done.reason}" if done.reason and not error else ""
    console.step("publish", f"status: {done.status}{reason}")
    outputs = {name: console.masked(value) for name, value in done.outputs.items()}
    if not request.dry_run:
        text = json.dumps(outputs, indent=1, ensure_ascii=False) + "\n"
        write_report(request.result_dir / publications.FILE, text, console)
    if request.files.step_outputs:
        write_report(request.files.step_outputs, outputs_text(outputs), console, "a")
    if request.output == "json":
        about = {"repo": request.repo, "issue": request.issue}
        code = error.exit_code if error else done.status.exit_code
        data = {**about, **done.data, "exitCode": code}
        console.result_as_json({"version": SCHEMA_VERSION, **data})
