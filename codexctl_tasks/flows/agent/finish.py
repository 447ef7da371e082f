"""
Tell how a run of an agent ended: one comment, the job summary, outputs, and the right exit code.

In a workflow it runs whatever happened before, also when the agent's job died or never began; so it
needs neither ``services.yaml`` nor the cluster. At a terminal nobody is told of a run that is not
there: there the folder may have another name.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from codexctl_tasks.agent.ending import PUBLISH, Ending, ending_of, read_needs
from codexctl_tasks.agent.publication import load_publication
from codexctl_tasks.agent.result import FILE, Result, Status, read_result
from codexctl_tasks.agent.telling import MARKER, text_of
from codexctl_tasks.agent.wording import Language
from codexctl_tasks.errors import CodexctlError, ConfigurationError
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.hooks.builtin.comment_body import compose
from codexctl_tasks.requests.agents import Kind
from codexctl_tasks.requests.basis import looks_secret
from codexctl_tasks.world.github_access import Thread, open_github
from codexctl_tasks.world.github_comments import OwnComment

if TYPE_CHECKING:
    from codexctl_tasks.requests.publishing import FinishRequest
    from codexctl_tasks.world.outside import Outside

SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""
LONGEST_MESSAGE = 50_000
"""Characters of what the agent said, among outputs: GitHub allows 1 MiB for all of a job."""


def finish(request: FinishRequest, outside: Outside) -> int:
    """
    Tell how it ended; that nobody can be told on GitHub does not change the exit code.

    Raises:
        ConfigurationError: There is no result, and no workflow in which that says something.
    """
    console = outside.console
    console.hide(value for name, value in request.environ.items() if looks_secret(name))
    ending = _ending(request, outside)
    done = ending.publication
    console.step("finish", f"status: {ending.status}{f': {done.reason}' if done.reason else ''}")
    text = console.masked(text_of(ending, Language(request.language), request.run))
    if summary := request.files.step_summary:
        write_report(summary, f"{compose(text, '', mentions=False)}\n", console, "a")
    url = _comment(request, ending, text, outside) if request.comments else ""
    _tell(request, ending, url, outside)
    return ending.status.exit_code


def _ending(request: FinishRequest, outside: Outside) -> Ending:
    """Return how it ended, from whatever there is."""
    jobs, folder = read_needs(request.needs), request.result_dir
    if request.needs and not jobs:
        outside.console.warn("CODEXCTL_NEEDS tells of no job: it is to be needs as JSON")
    subject = Result(
        status=Status.INFRA_FAILED,
        kind=Kind(request.kind),
        repo=request.repo,
        issue=request.issue,
        pr=request.pr,
    )
    published = load_publication(folder) if PUBLISH not in jobs else None
    return ending_of(_result(request, outside), published, jobs, subject)


def _result(request: FinishRequest, outside: Outside) -> Result | None:
    """Return what the run has left; None: nothing, or nothing of use."""
    is_told = request.in_workflow or request.needs
    if is_told and not (request.result_dir / FILE).exists():
        return None
    try:
        return read_result(request.result_dir)
    except ConfigurationError as error:
        if not is_told:
            raise
        outside.console.warn(str(error))
        return None


def _comment(request: FinishRequest, ending: Ending, text: str, outside: Outside) -> str:
    """
    Write the comment, or bring it up to date; return its address, empty if there is none.

    Who may start nothing gets no comment out of us, and what the agent has answered is one already.
    """
    thread = Thread(request.repo, request.issue or request.pr)
    is_said = not ending.result.kind.makes_commits and ending.status is Status.SUCCESS
    try:
        github = open_github(request.environ, outside.console, outside.clock, where="finish")
        with closing(github):
            comment = OwnComment(github, thread, MARKER, outside.clock)
            if (is_said or ending.status is Status.DENIED) and comment.find() is None:
                return ending.publication.url
            told, url = comment.write(compose(text, MARKER, mentions=False))
    except CodexctlError as error:
        outside.console.warn(f"no comment was written: {error}")
        return ""
    outside.console.step("finish", f"comment on {thread}: {told}: {url}")
    return url


def _tell(request: FinishRequest, ending: Ending, url: str, outside: Outside) -> None:
    """Tell later jobs and programs."""
    console, outputs = outside.console, {**ending.outputs, "comment-url": url}
    outputs["final-message"] = outputs["final-message"][:LONGEST_MESSAGE]
    outputs = {name: console.masked(value) for name, value in outputs.items()}
    if request.files.step_outputs:
        write_report(request.files.step_outputs, outputs_text(outputs), console, "a")
    if request.output == "json":
        result, done = ending.result, ending.publication
        console.result_as_json(
            {
                "version": SCHEMA_VERSION,
                "exitCode": ending.status.exit_code,
                "status": ending.status.value,
                "reason": done.reason,
                "repo": request.repo,
                "issue": request.issue,
                "pr": done.pr or request.pr,
                "url": done.url,
                "commentUrl": url,
                "branch": done.branch,
                "commit": done.commit,
                "slot": result.slot,
                "namespace": result.namespace,
                "threadId": result.thread_id,
                "finalMessage": result.final_message,
                "tokens": {
                    "input": result.usage.input,
                    "cachedInput": result.usage.cached_input,
                    "output": result.usage.output,
                    "reasoning": result.usage.reasoning,
                },
                "elapsedSeconds": result.duration_s,
            }
        )
