"""What the agent of a run gets beside its prompt: a command, a configuration, limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.command import Invocation, is_codex
from codexctl_tasks.agent.configuration import Configuration, configuration
from codexctl_tasks.durations import duration_s
from codexctl_tasks.errors import ConfigurationError, UsageError
from codexctl_tasks.flows.agent.attempts import Task
from codexctl_tasks.requests.agents import Kind
from codexctl_tasks.stack.files import display, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from codexctl_tasks.agent.choice import Choice
    from codexctl_tasks.agent.pod import Site
    from codexctl_tasks.agent.running import Survey
    from codexctl_tasks.flows.agent.brief import Brief
    from codexctl_tasks.flows.agent.way import ModelAccess
    from codexctl_tasks.requests.prompt_runs import PromptRunRequest
    from codexctl_tasks.stack.loading import LoadedStack

DEFAULT_LIMIT_S = 3600.0
MOST_CHARACTERS = 2**20
"""Of a prompt, to Codex."""


@dataclass(frozen=True)
class Assignment:
    """What was asked for, what the project says, where the agent works, and what is wrong there."""

    request: PromptRunRequest
    loaded: LoadedStack
    site: Site
    unhealthy: tuple[str, ...] = ()
    """Lines; may hold those of logs, which nobody vouches for."""

    def task(self, told: Brief, access: ModelAccess, found: Survey) -> Task:
        """
        Return all that the agent is to do; *found*: in its container.

        Raises:
            ConfigurationError: The agent would refuse it.
            UsageError: The schema is none.
        """
        agent = self.loaded.stack.codex.agent
        if is_codex(agent) and len(told.prompt) > MOST_CHARACTERS:
            what = f"has {len(told.prompt)} characters, and Codex takes {MOST_CHARACTERS}"
            raise ConfigurationError("prompt", what, "shorten it")
        schema_text, schema = self._schema
        return Task(
            agent=agent,
            prompt=told.prompt.encode(),
            invocation=self.invocation(told.choice, found.thread),
            configuration=self.configuration(access.base_url),
            schema=schema,
            schema_text=schema_text,
            access=access,
            retries=self.request.retries,
            limit_s=self.limit_s,
            used=found.used,
        )

    def invocation(self, choice: Choice, thread: str) -> Invocation:
        """Return how it is started; *thread*: to go on with, or empty."""
        return Invocation(
            folder=self.site.folder,
            has_schema=self._schema[1] is not None,
            model=choice.model,
            effort=choice.effort,
            thread=thread if is_codex(self.loaded.stack.codex.agent) else "",
        )

    def configuration(self, model_url: str) -> Configuration:
        """Return its configuration, with the model at this address."""
        reviews = Kind(self.request.kind) in (Kind.REVIEW, Kind.PLAN_REVIEW)
        return configuration(
            self.loaded,
            model_url=model_url,
            folder=self.site.folder,
            has_servers=self.loaded.stack.codex.review_mcp_enabled or not reviews,
        )

    @property
    def limit_s(self) -> float:
        """For all attempts together."""
        said = self.loaded.stack.codex.timeouts.exec
        return self.request.timeout_s or (duration_s(said) if said else 0) or DEFAULT_LIMIT_S

    @cached_property
    def _schema(self) -> tuple[str, Mapping[str, Any] | None]:
        return _schema(self.request.schema)


def _schema(path: Path | None) -> tuple[str, Mapping[str, Any] | None]:
    """Return a JSON Schema as text and data; raise `UsageError` if it is none."""
    if path is None:
        return "", None
    text = read_text(path, display(path), "name another with --output-schema")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError("--output-schema", f"{path} is no JSON: {error}", "mend it") from error
    if not isinstance(found, dict):
        raise UsageError("--output-schema", f"{path} is no JSON Schema", "write an object")
    return text, found
