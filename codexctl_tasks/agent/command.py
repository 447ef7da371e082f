"""What is run in the pod, word by word; pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codexctl_tasks.stack.model import Agent

TESTED_VERSION = "0.169.0"
"""Of Codex: flags, configuration and events differ from version to version."""
ANY_VERSION = "any"
DEFAULT_SANDBOX = "danger-full-access"
FOLDER = "$CODEXCTL_RUN_FOLDER"
"""Stands for the run's folder, which is known only in the pod."""
LAST_MESSAGE, SCHEMA = f"{FOLDER}/last.md", f"{FOLDER}/schema.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """One start of the agent."""

    folder: str
    """Where it works."""
    has_schema: bool = False
    """Its last message has to meet the JSON Schema that lies in the run's folder."""
    model: str = ""
    """Empty: that of its configuration."""
    effort: str = ""
    """How much it thinks; empty: that of its configuration."""
    thread: str = ""
    """To go on with; empty: a new one."""


def is_codex(agent: Agent) -> bool:
    """Tell whether it is Codex, whose events and threads are known, or any other program."""
    return not agent.command


def expected_version(agent: Agent) -> str:
    """Return the version that has to be there; empty: any."""
    if not is_codex(agent) or agent.version == ANY_VERSION:
        return ""
    return agent.version or TESTED_VERSION


def arguments(agent: Agent, invocation: Invocation) -> list[str]:
    """Return program and arguments; the prompt comes on stdin."""
    if not is_codex(agent):
        return list(agent.command)
    words = ["codex", "exec", "--json", "--strict-config", "--skip-git-repo-check"]
    words += ["--color", "never", "-C", invocation.folder]
    words += ["-s", agent.sandbox or DEFAULT_SANDBOX, "-o", LAST_MESSAGE]
    if invocation.has_schema:
        words += ["--output-schema", SCHEMA]
    if invocation.model:
        words += ["-m", invocation.model]
    if invocation.effort:
        words += ["-c", f'model_reasoning_effort="{invocation.effort}"']
    if invocation.thread:  # after the flags: `resume` knows only some of them
        words += ["resume", invocation.thread]
    return [*words, "-"]


def variables(invocation: Invocation, *, model_url: str) -> dict[str, str]:
    """Return what a program that is not Codex has to know; none of it is secret."""
    return {
        "CODEXCTL_LAST_MESSAGE": LAST_MESSAGE,
        "CODEXCTL_MODEL": invocation.model,
        "CODEXCTL_EFFORT": invocation.effort,
        "CODEXCTL_THREAD_ID": invocation.thread,
        "CODEXCTL_OUTPUT_SCHEMA": SCHEMA if invocation.has_schema else "",
        "CODEXCTL_MODEL_URL": model_url,
    }


def as_shell(words: Iterable[str]) -> str:
    """Return the words as a line that a shell takes apart again."""
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """Return a word for a shell, which knows where the run's folder is."""
    if word.startswith(f"{FOLDER}/"):
        return f'"{FOLDER}"/{shlex.quote(word.removeprefix(f"{FOLDER}/"))}'
    return shlex.quote(word)
