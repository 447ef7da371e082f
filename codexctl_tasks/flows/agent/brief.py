"""What the agent of a run is told, and which model hears it."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from codexctl_tasks.agent.choice import Choice, choose
from codexctl_tasks.agent.context import read_context, read_seen
from codexctl_tasks.agent.prompting import Facts, prompt
from codexctl_tasks.errors import ConfigurationError, UsageError
from codexctl_tasks.requests.agents import EFFORTS, LANGUAGES, Kind
from codexctl_tasks.stack.files import display, inside, read_text
from codexctl_tasks.stack.links import pages_of
from codexctl_tasks.world.github_access import Thread, open_github

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.agent.result import Result
    from codexctl_tasks.flows.agent.assignment import Assignment
    from codexctl_tasks.requests.prompt_runs import PromptRunRequest
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.world.outside import Outside

INSTRUCTIONS = "AGENTS.md"
MOST_INSTRUCTIONS = 32_768
"""Characters."""
_LARGEST_EVENT_BYTES = 2**25


class Brief(NamedTuple):
    """What an agent starts with."""

    prompt: str
    choice: Choice
    """Model and effort; what is empty is left to the agent's own configuration."""


def brief(assignment: Assignment, subject: Result, outside: Outside) -> Brief:
    """
    Return what the agent is told: a text that was given, or what GitHub knows of the subject.

    Args:
        assignment: What was asked for, and what is known of the slot.
        subject: Whose repository, Issue and pull request are known by now.
        outside: For GitHub.

    Raises:
        UsageError: A file that was named cannot be used, or nobody says what it is about.
        ConfigurationError: The template is none, or labels contradict each other.
        GitHubError: Something cannot be read.
    """
    request, loaded = assignment.request, assignment.loaded
    base = _choice_of(loaded)
    given = Choice(request.model, request.effort)
    if request.prompt is not None:
        return Brief(_given_text(request.prompt), choose(base, (), given, request.models))
    number = subject.pr or subject.issue
    if not (number and subject.repo):
        fix = "name an Issue or a pull request, or a file with the whole prompt: --prompt-file"
        raise UsageError("--issue", "nobody says what is to be done", fix)
    where, template = _template(request, loaded)
    variables = request.source.environ
    with closing(
        open_github(variables, outside.console, outside.clock, where="prompt-run")
    ) as github:
        seen = read_seen(request.seen)
        context = read_context(github, Thread(subject.repo, number), _event(variables), seen)
    language = request.language or _language_of(loaded, outside)
    facts = replace(_facts(assignment, subject), instructions=_instructions(loaded, outside))
    text = prompt(context, facts, Kind(request.kind), language, template, where=where)
    return Brief(text, choose(base, context.labels, given, request.models))


def _choice_of(loaded: LoadedStack) -> Choice:
    """Return model and effort as services.yaml has them."""
    codex = loaded.stack.codex
    effort = codex.model_reasoning_effort.strip().lower()
    if effort and effort not in EFFORTS:
        where, name = loaded.find(("codex", "modelReasoningEffort"))
        what, fix = f"{name}: nothing is called {effort[:80]!r}", f"use {', '.join(EFFORTS)}"
        raise ConfigurationError(where, what, fix)
    return Choice(codex.model, effort)


def _language_of(loaded: LoadedStack, outside: Outside) -> str:
    """Return the language of services.yaml; empty: it says none, or one that nobody speaks here."""
    given = loaded.stack.codex.prompt_lang.strip()
    language = given.lower().partition("-")[0]
    if language in ("", *LANGUAGES):
        return language
    where, name = loaded.find(("codex", "promptLang"))
    what, fix = f"prompts are not written in {given[:80]!r}", f"use {' or '.join(LANGUAGES)}"
    outside.console.warn(f"{where}: {name}: {what}, this one is English: {fix}")
    return ""


def _given_text(file: Path) -> str:
    text = read_text(file, display(file), "name another with --prompt-file")
    if not text.strip():
        raise UsageError("--prompt-file", f"{file} is empty", "say what is to be done")
    return text


def _template(request: PromptRunRequest, loaded: LoadedStack) -> tuple[str, str]:
    """Return name and text of the project's own template; empty: ours is used."""
    if not request.template:
        return "template", ""
    found = inside(loaded.source.config.resolve().parent, request.template)
    if found is None:
        what = f"{request.template} is outside of the project"
        raise ConfigurationError("--template", what, "keep it inside")
    return display(found), read_text(found, display(found), "name another with --template")


def _facts(assignment: Assignment, subject: Result) -> Facts:
    loaded = assignment.loaded
    codex = loaded.stack.codex
    reviews = Kind(subject.kind) in (Kind.REVIEW, Kind.PLAN_REVIEW)
    servers = codex.mcp.servers if codex.review_mcp_enabled or not reviews else ()
    return Facts(
        namespace=loaded.context.namespace,
        slot=subject.slot,
        folder=assignment.site.folder,
        links=tuple((page.title, page.url) for page in pages_of(loaded)),
        services_overview=codex.services_overview.strip(),
        project_context=codex.project_context.strip(),
        unhealthy=assignment.unhealthy,
        mcp_tools=tuple(server.name for server in servers),
        tools=tuple(codex.extra_tools),
    )


def _instructions(loaded: LoadedStack, outside: Outside) -> str:
    """
    Return what the project tells agents, from beside ``services.yaml``; empty: nothing.

    That is the branch whose word counts. What lies in the workspace may be a stranger's: the
    agent's configuration leaves it out.
    """
    found = inside(loaded.source.config.resolve().parent, INSTRUCTIONS)
    if found is None or not found.is_file():
        return ""
    text = read_text(found, display(found)).strip()
    if len(text) > MOST_INSTRUCTIONS:
        what = f"has {len(text)} characters, of which agents are told {MOST_INSTRUCTIONS}"
        outside.console.warn(f"{display(found)}: {what}: shorten it")
    return text[:MOST_INSTRUCTIONS]


def _event(variables: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what started this run of a workflow; empty: it is no such run, or nobody can tell."""
    name = variables.get("GITHUB_EVENT_PATH", "")
    if not name:
        return {}
    try:
        with Path(name).open("rb") as file:
            found = json.loads(file.read(_LARGEST_EVENT_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        # Without it, what was said after the start would count.
        fix = "it is GitHub's own file: see whether a step has changed it"
        raise ConfigurationError("GITHUB_EVENT_PATH", "cannot be read", fix) from error
    return found if isinstance(found, dict) else {}
