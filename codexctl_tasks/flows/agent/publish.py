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
from codexctl_tasks.agent.message import harmless, pull_request_body, title_of
from codexctl_tasks.agent.publication import Publication
from codexctl_tasks.agent.result import Result, Status, read_result
from codexctl_tasks.agent.work import branches, bundle, policy
from codexctl_tasks.agent.work.branches import RefusedBranchError
from codexctl_tasks.agent.work.verification import sha_format
from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.flows.agent.carrying import BlockedError, Carrier
from codexctl_tasks.flows.agent.showing import Showing
from codexctl_tasks.flows.registries import variables_of
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.hooks.builtin.comment_body import compose
from codexctl_tasks.requests.agents import Kind
from codexctl_tasks.stack.loading import load_stack
from codexctl_tasks.world.github_access import Thread, open_github, token_of
from codexctl_tasks.world.github_comments import OwnComment
from codexctl_tasks.world.repository import Remote, Repository

if TYPE_CHECKING:
    from codexctl_tasks.agent.work.policy import Judgement, Policy
    from codexctl_tasks.agent.work.verification import Work
    from codexctl_tasks.requests.publishing import PublishRequest
    from codexctl_tasks.stack.model import Publish
    from codexctl_tasks.world.github import GitHub
    from codexctl_tasks.world.github_objects import PullRequest
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
        _tell(request, Publication(status=Status.INFRA_FAILED, reason=str(error)), outside)
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
        outside.console.hide(request.source.secrets)
        loaded = load_stack(request.source)
        outside.console.hide(loaded.secrets)
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
        file = self._request.result_dir / bundle.FILE
        if not file.is_file() or file.is_symlink():
            return self._no_changes()
        if not self._result.base:
            raise BlockedError("nobody has recorded with which commit the agent began")
        with tempfile.TemporaryDirectory(prefix="codexctl-publish-") as folder:
            repository = Repository(
                Path(folder),
                self._request.source.environ,
                object_format=sha_format(self._result.base),
            )
            carrier = Carrier(repository, self._remote, self._outside.clock, self._console)
            work = carrier.verify(file, self._result.base, self._policy.most_file_bytes)
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
        number = self._request.pr
        pull = github.pull_request(self._request.repo, number) if number else None
        try:
            branch, base_branch = self._branches(github, pull)
            tip = carrier.tip(branch)
            pushes = branches.needs_push(
                tip=tip, base=work.base, history=work.history, may_be_new=pull is None
            )
        except RefusedBranchError as error:
            raise BlockedError(str(error)) from error
        if not tip and not github.contains(self._request.repo, base_branch, work.base):
            raise BlockedError(f"{work.base[:12]}, where the agent began, is not in {base_branch}")
        done = Publication(
            status=Status.SUCCESS, branch=branch, commit=work.commit, review=tuple(judgement.review)
        )
        size = f"files: {work.files}, commits: {work.commits}"
        if self._request.dry_run:
            would = "would be pushed to" if pushes else "already on"
            self._console.step("publish", f"{would} {branch}, for {base_branch}; {size}")
            return replace(done, pr=pull.number if pull else 0)
        if pushes:
            carrier.push(work.commit, branch)
        told = "pushed to" if pushes else "already on"
        self._console.step("publish", f"{told} {branch}; {size}; commit {work.commit[:12]}")
        shown = self._show(github, pull, branch, base_branch, judgement)
        return replace(done, pr=shown.number, url=shown.url)

    def _show(
        self,
        github: GitHub,
        pull: PullRequest | None,
        branch: str,
        base_branch: str,
        judgement: Judgement,
    ) -> PullRequest:
        """Open the pull request, or bring it up to date."""
        text = pull_request_body(
            self._message,
            issue=self._request.issue,
            run=self._request.run,
            review=judgement.review,
            notes=judgement.notes,
        )
        showing = Showing(github, self._request.repo, branch, base_branch, self._console)
        title = self._console.masked(title_of(self._message, f"Issue {self._number}"))
        found = showing.show(pull, title, self._console.masked(text))
        if judgement.review:
            showing.ask_reviewers(found, self._settings.reviewers)
        self._console.step(
            "publish", f"pull request {found.repository}#{found.number}: {found.url}"
        )
        return found

    def _branches(self, github: GitHub, pull: PullRequest | None) -> tuple[str, str]:
        """Return the branch that is pushed to, and the one that it is to be merged into."""
        default = github.default_branch(self._request.repo)
        if pull:
            branch, base = branches.branch_of_pull_request(pull), pull.base_ref
        else:
            prefix = self._settings.branch_prefix or branches.USUAL_PREFIX
            branch = branches.branch_of_issue(prefix, self._request.issue)
            base = self._request.base_branch or default
        known = github.branch(self._request.repo, branch)
        is_protected = known is not None and known.is_protected
        branches.check_branch(branch, others=(default, base), is_protected=is_protected)
        return branch, base


def _policy_of(settings: Publish) -> Policy:
    usual = policy.Policy()
    return policy.Policy(
        rules=settings.paths,
        most_files=settings.max_files or usual.most_files,
        most_file_bytes=settings.max_file_megabytes * _MEGABYTE or usual.most_file_bytes,
        most_bytes=settings.max_megabytes * _MEGABYTE or usual.most_bytes,
    )


def _tell(request: PublishRequest, done: Publication, outside: Outside) -> None:
    """Tell later jobs, steps on this machine, and programs."""
    console = outside.console
    console.step("publish", f"status: {done.status}{f': {done.reason}' if done.reason else ''}")
    outputs = {name: console.masked(value) for name, value in done.outputs.items()}
    if not request.dry_run:
        text = json.dumps(outputs, indent=1, ensure_ascii=False) + "\n"
        write_report(request.result_dir / publications.FILE, text, console)
    if request.files.step_outputs:
        write_report(request.files.step_outputs, outputs_text(outputs), console, "a")
    if request.output == "json":
        about = {"repo": request.repo, "issue": request.issue}
        console.result_as_json({"version": SCHEMA_VERSION, **about, **done.data})
