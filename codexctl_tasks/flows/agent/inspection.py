"""What a run finds in the container of its slot, before anything is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.agent.command import expected_version
from codexctl_tasks.agent.running import Run, cancel, close, living
from codexctl_tasks.agent.scripts import LAST
from codexctl_tasks.errors import ClusterError, ConfigurationError, DeadlineError
from codexctl_tasks.requests.agents import Kind
from codexctl_tasks.world.git import head_of

if TYPE_CHECKING:
    from codexctl_tasks.agent.pod import Shell
    from codexctl_tasks.agent.running import Survey
    from codexctl_tasks.console import Console
    from codexctl_tasks.requests.prompt_runs import PromptRunRequest
    from codexctl_tasks.stack.model import Agent
    from codexctl_tasks.world.outside import Outside

CANCEL_OTHER_S = 45
"""How long to wait for the end of a run that was in the way."""


class Inspection:
    """A look at the container; what is in the way of the run is cleared, or told of."""

    def __init__(self, request: PromptRunRequest, shell: Shell, outside: Outside) -> None:
        self._request, self._shell, self._outside = request, shell, outside
        self._console = outside.console

    def inspect(self, agent: Agent) -> tuple[Survey, str]:
        """
        Do as `survey`, and end another run that goes on in the workspace, if that is wanted.

        Raises:
            ConfigurationError: As `survey`.
            DeadlineError: Another run goes on there.
            ClusterError: It cannot be ended.
        """
        found, base = self.survey(agent)
        for going_on in found.going_on:
            self._clear(*going_on.split())
        return found, base

    def survey(self, agent: Agent) -> tuple[Survey, str]:
        """
        Return what there is, and the commit with which the work begins; empty: nobody knows.

        Raises:
            ConfigurationError: It is not the container, or not the state, that the run needs.
        """
        wanted = head_of(self._request.folder, self._request.source.environ)
        found = Run(self._shell, self._outside.clock).survey(self._request.thread, wanted)
        self._check_version(found, expected_version(agent))
        if not found.has_folder:
            fix = "run codexctl ensure-ready, or see --path"
            raise ConfigurationError(self._where, "does not exist in the pod", fix)
        self._tell_of_secrets(found)
        if self._request.thread == LAST and not found.thread:
            self._console.step("agent", "no earlier thread here: a new one begins")
        return found, self._base(found, wanted)

    @property
    def _where(self) -> str:
        return str(self._shell.site)

    def _tell_of_secrets(self, found: Survey) -> None:
        kept = [
            (found.has_key, "the key of a model", "the proxy has its own"),
            (found.has_token, "a token of GitHub", "publish has its own"),
        ]
        for is_there, secret, why in kept:
            if is_there:
                what = f"has {secret} in its environment, where the agent can read it"
                self._console.warn(f"{self._where}: {what}: take it out, {why}")

    def _check_version(self, found: Survey, wanted: str) -> None:
        if wanted and found.version != wanted:
            held = f"holds Codex {found.version}" if found.version else "has no program codex"
            fix = "build its image with that version, or set codex.agent.version"
            raise ConfigurationError(self._where, f"{held}, not Codex {wanted}", fix)

    def _base(self, found: Survey, wanted: str) -> str:
        """
        Return the commit that the work is compared with: that of our checkout.

        The workspace may be further: what an earlier run has left there was perhaps never looked
        at, and must not count as given.
        """
        makes_commits = Kind(self._request.kind).makes_commits
        if not (wanted and found.head):
            if makes_commits:
                raise self._lack(wanted)
            return ""
        if not found.holds_base:
            what = f"is at {found.head[:12]}, which did not grow out of our {wanted[:12]}"
            fix = "sync them: sync-sources, with --overwrite if nobody needs what is there"
            if makes_commits:
                raise ConfigurationError(self._where, what, fix)
            self._console.warn(f"{self._where}: {what}: {fix}")
        elif found.head != wanted:
            what = f"is at {found.head[:12]}: commits since {wanted[:12]} count as of this run"
            self._console.step("agent", f"{self._where} {what}")
        return wanted

    def _lack(self, wanted: str) -> ConfigurationError:
        """Say on which side there is no commit; *wanted*: that of our checkout."""
        what = "has no commit that git can tell: no work could be published"
        if not wanted:
            fix = "check it out with git, or name another one with --folder"
            return ConfigurationError(str(self._request.folder), what, fix)
        fix = "sync the sources with their .git, and see that the image has git"
        return ConfigurationError(self._where, what, fix)

    def _clear(self, number: str, pod: str) -> None:
        """Cancel a run that goes on in the workspace, if that is wanted."""
        if _has_ended(self._shell, number, pod):
            return
        if not self._request.force:
            what = f"run {number} of an agent goes on in pod {pod}"
            fix = "wait for it, or give --force to cancel it"
            raise DeadlineError(self._where, what, fix)
        _end_run(self._shell, number, pod, self._console)


def end_runs(shell: Shell, outside: Outside) -> None:
    """
    End all that agents still do in a workspace, whoever started them.

    Raises:
        ClusterError: One of them cannot be ended.
    """
    for going_on in living(shell):
        number, pod = going_on.split()
        if not _has_ended(shell, number, pod):
            _end_run(shell, number, pod, outside.console)


def _has_ended(shell: Shell, number: str, pod: str) -> bool:
    """Tell whether a run has ended with its pod, and note that."""
    if pod == shell.site.pod[: len(pod)] or shell.is_elsewhere(pod):
        return False
    close(shell, number)
    return True


def _end_run(shell: Shell, number: str, pod: str, console: Console) -> None:
    console.step("agent", f"run {number} goes on in pod {pod}: cancelling it")
    if not cancel(shell, number, CANCEL_OTHER_S):
        what = f"run {number} of an agent cannot be ended"
        raise ClusterError(str(shell.site), what, f"delete pod {pod}")
