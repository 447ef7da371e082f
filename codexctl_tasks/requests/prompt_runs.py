"""What is asked for of a run of an agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codexctl_tasks.requests.slots import SlotRequest

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptRunRequest(SlotRequest):
    """Everything `flows.agent.prompt_run` needs to know."""

    kind: str
    """A value of `requests.agents.Kind`."""
    language: str
    """``en`` or ``ru``; empty: that of ``codex.promptLang``."""
    model: str
    """Empty: what labels or services.yaml say."""
    models: tuple[str, ...]
    """That labels and *model* may choose; empty: any."""
    effort: str
    """How much the model thinks; empty: what labels or services.yaml say."""
    seen: str
    """What `gate` saw of the Issue or pull request, as it wrote it; empty: what is there counts."""
    thread: str
    """Of the agent, to go on with; `agent.scripts.LAST`: that of the slot; empty: a new one."""
    template: str
    """Of the prompt, a file of the project; empty: the one that ships with codexctl."""
    prompt: Path | None
    """File whose text is the whole prompt; None: it is made of the Issue or pull request."""
    schema: Path | None
    """JSON Schema that the last message has to meet; None: any text will do."""
    timeout_s: float
    """For all attempts together; 0: what ``codex.timeouts.exec`` says."""
    retries: int
    """How often the same thread is tried again after a failure that may pass."""
    model_url: str
    """Of a server with ``/responses``, as pods reach it; empty: a proxy is started."""
    model_token: str = field(repr=False)
    """What that server wants to see; empty: anything will do."""
    model_key: str = field(repr=False)
    """Of the model, for the proxy alone; empty: not known."""
    claim: str
    """PersistentVolumeClaim of the workspace."""
    path: str
    """Of the folder on it; empty: the name of the project."""
    folder: Path
    """On this machine, which the workspace was synced with: its commit is the work's base."""
    lease_s: float
    """For how long the slot is this run's after each renewal."""
    result: Path
    """Folder for what the run leaves."""
    dry_run: bool
    """Print prompt and command; nothing is started."""
    force: bool
    """Cancel a run of an agent that goes on in the workspace."""
