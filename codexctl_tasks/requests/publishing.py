"""What is asked for of the end of an agent's run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from codexctl_tasks.requests.basis import ReportFiles, Source


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectRequest:
    """What a run of an agent is about, as whoever started it says: the agent has no say in it."""

    kind: str
    """One of `requests.agents.Kind`."""
    repo: str
    """``owner/name``."""
    issue: int
    """0: it is about a pull request."""
    pr: int
    """0: it is about an Issue."""
    run: str
    """This run, by which people find it: its page on GitHub, or user@host."""
    in_workflow: bool
    """It is a job of GitHub Actions, not somebody at a terminal."""
    result_dir: Path
    """What the agent's run has left."""
    output: str
    """``text`` or ``json``."""
    files: ReportFiles


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishRequest(SubjectRequest):
    """Everything `flows.agent.publish` needs to know."""

    source: Source
    """The stack, as the branch has it that the work is to be merged into."""
    base_branch: str
    """That the work of an Issue is to be merged into; empty: the default branch."""
    branch_prefix: str
    """What branches of agents begin with; the number of the Issue follows."""
    server: str
    """Address of the git server, to which ``/owner/name.git`` is added."""
    dry_run: bool
    """Say what would be done; nothing is changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishRequest(SubjectRequest):
    """Everything `flows.agent.finish` needs to know."""

    needs: str
    """GitHub's ``needs`` as JSON: results and outputs of the jobs before; empty: not known."""
    language: str
    """``en`` or ``ru``."""
    comments: bool
    """Tell the Issue or pull request."""
    environ: Mapping[str, str] = field(repr=False)
    """The process environment, for GitHub's token. Never printed."""
