"""The end of a run: its work leaves the pod, and what came of it is told."""

from __future__ import annotations

import functools
import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.pod import LostRunError
from codexctl_tasks.agent.result import Result, Status
from codexctl_tasks.agent.sanitizing import visible
from codexctl_tasks.agent.work.bundle import FILE, WorkError, fetch
from codexctl_tasks.errors import BrokenStreamError, CodexctlError
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.world.retrying import TRANSFER, retrying

if TYPE_CHECKING:
    from pathlib import Path

    from codexctl_tasks.agent.pod import Shell
    from codexctl_tasks.console import Console
    from codexctl_tasks.requests.prompt_runs import PromptRunRequest
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside

MESSAGE = "last-message.md"
STDERR = "stderr.log"
"""What the agent's program said there, the end of it."""
BRANCH = "codexctl/work"
"""In the bundle; who publishes it decides where it goes."""
RESCUE_S = 3.0
"""For the work of a cancelled run: a runner kills 10 s after it asked."""
SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""
_OTHER_KEYS = {
    "thread_id": "threadId",
    "final_message": "finalMessage",
    "cached_input": "cachedInput",
    "duration_s": "durationSeconds",
}
_LONGEST_OUTPUT = 60_000
"""Characters of the last message in an output of a step."""
_SHOWN_LINES = 40


def work_of(
    result: Result,
    shell: Shell,
    cluster: Cluster,
    request: PromptRunRequest,
    outside: Outside,
) -> Result:
    """
    Write what the agent has changed to a bundle; return what became of the result by that.

    Work of a run that failed is taken, too: somebody may want to look at it.
    """
    if not _has_work(result):
        return result
    try:
        attempt = functools.partial(_fetch, result, shell, cluster, request)
        found = retrying(attempt, outside.clock, TRANSFER)
    except WorkError as error:
        if result.status is not Status.SUCCESS:
            return result
        return result.ended(Status.AGENT_FAILED, str(error))
    except BrokenStreamError as error:
        if why := shell.why_lost():
            raise LostRunError(str(shell.site), why, "run again") from error
        raise
    if found:
        _tell_work(found, outside)
    elif result.status is Status.SUCCESS:
        return result.ended(Status.NO_CHANGES, "")
    return result


def rescue_work(
    result: Result,
    shell: Shell,
    cluster: Cluster,
    request: PromptRunRequest,
    outside: Outside,
) -> None:
    """Write what a cancelled agent has changed to a bundle, if that is a matter of seconds."""
    if not _has_work(result):
        return
    try:
        if found := _fetch(result, shell, cluster, request, RESCUE_S):
            _tell_work(found, outside)
    except (CodexctlError, OSError) as error:
        outside.console.warn(f"the work of the cancelled agent is not kept: {error}")


def _has_work(result: Result) -> bool:
    """Tell whether a run may leave commits, and it is known since when they count."""
    return bool(result.kind.makes_commits and result.base)


def _fetch(
    result: Result,
    shell: Shell,
    cluster: Cluster,
    request: PromptRunRequest,
    limit_s: float = math.inf,
) -> Path | None:
    place = replace(shell.site, state=f"{shell.site.state}/work")
    number = result.issue or result.pr
    message = f"Work of the agent on #{number}" if number else "Work of the agent"
    where = (place, cluster, result.base, BRANCH, message)
    return fetch(*where, file=request.result / FILE, limit_s=limit_s)


def _tell_work(file: Path, outside: Outside) -> None:
    outside.console.step("agent", f"its work: {file}, {file.stat().st_size} bytes")


def forget_earlier(folder: Path) -> None:
    """Remove what another run has left in the folder, and this one may not replace."""
    for name in (FILE, STDERR):
        (folder / name).unlink(missing_ok=True)


def keep_stderr(folder: Path, text: str, console: Console) -> None:
    """Keep what a program said on stderr, masked, if it said anything."""
    if text.strip():
        folder.joinpath(STDERR).write_text(console.masked(visible(text)), "utf-8")


def tell_end(
    result: Result, request: PromptRunRequest, outside: Outside, error: CodexctlError | None = None
) -> None:
    """
    Tell people and programs how a run ended.

    *error*: Is raised next, and people read it there; None: the result says all.
    """
    console = outside.console
    message = request.result / MESSAGE
    if result.final_message:
        message.write_text(result.final_message + "\n", "utf-8")
    else:
        message.unlink(missing_ok=True)
    for line in result.final_message.splitlines()[:_SHOWN_LINES]:
        console.output(line)
    used = result.usage
    reason = f": {result.reason}" if result.reason and not error else ""
    console.step(
        "agent",
        f"{result.status}{reason}; {result.duration_s:.0f} s; attempts: {result.attempts}; "
        f"{used.input} tokens in ({used.cached_input} cached), {used.output} out",
    )
    if outputs := request.files.step_outputs:
        write_report(outputs, outputs_text(step_outputs(result)), console, "a")
    if request.output == "json":
        code = error.exit_code if error else result.status.exit_code
        console.result_as_json(as_json(result, code))


def step_outputs(result: Result) -> dict[str, str]:
    """Return outputs of a step of GitHub Actions."""
    return {
        "status": result.status,
        "reason": result.reason,
        "slot": str(result.slot or ""),
        "namespace": result.namespace,
        "thread-id": result.thread_id,
        "final-message": result.final_message[:_LONGEST_OUTPUT],
        "base": result.base,
        "input-tokens": str(result.usage.input),
        "cached-input-tokens": str(result.usage.cached_input),
        "output-tokens": str(result.usage.output),
        "duration": f"{result.duration_s:.0f}",
    }


def as_json(result: Result, exit_code: int) -> dict[str, Any]:
    """Return the result as data, with the exit code of the task; docs/output.md describes it."""
    data = asdict(result)
    usage = {_OTHER_KEYS.get(name, name): value for name, value in data.pop("usage").items()}
    named = {_OTHER_KEYS.get(name, name): value for name, value in data.items()}
    return {
        "version": SCHEMA_VERSION,
        "exitCode": exit_code,
        **named,
        "usage": usage,
    }
