"""What is asked for of the gate before a run of an agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from codexctl_tasks.requests.basis import ReportFiles


@dataclass(frozen=True, kw_only=True, slots=True)
class GateRequest:
    """Everything `flows.agent.gate` needs to know."""

    repo: str
    """``owner/name``."""
    event: str
    """Name of the event, such as ``issues``."""
    event_file: Path | None
    """What GitHub says of it, as JSON."""
    actor: str
    triggering_actor: str
    workflow: str
    """Name of the workflow's file; empty: unknown."""
    kind: str
    """A value of `requests.agents.Kind`; empty: what the event asks for."""
    issue: int
    """0: that of the event."""
    pr: int
    """0: that of the event."""
    model: str
    effort: str
    models: tuple[str, ...]
    """That may be chosen; empty: any."""
    labels: Mapping[str, str]
    """Kind of run by label, in lower case."""
    command: str
    """First word of a comment that starts a run; empty: none does."""
    branch_prefix: str
    app_id: int
    """0: codexctl is no GitHub App."""
    users: tuple[str, ...]
    bots: tuple[str, ...]
    allows_forks: bool
    most_runs: int
    """0: no limit."""
    variables: Mapping[str, str]
    """Token and addresses of GitHub."""
    output: str
    """``text`` or ``json``."""
    files: ReportFiles
