"""
What an agent is asked to do, in one text (pure but for the templates of the package).

Texts of strangers are never run as templates, and stand between lines that they cannot write.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import PackageLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from codexctl_tasks.agent.budget import Budget
from codexctl_tasks.agent.sanitizing import fence_of, fenced
from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.requests.agents import LANGUAGES

if TYPE_CHECKING:
    from codexctl_tasks.agent.context import Context, Place, Remark
    from codexctl_tasks.requests.agents import Kind

MOST_CHARACTERS = 200_000
"""Of everything that comes from GitHub; about 50,000 tokens."""
LONGEST_TEMPLATE = 2**20
_REASONS = ("foreign", "minimised", "resolved", "later")
"""Why something is left out that a reader could miss."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known of the environment; from services.yaml and the cluster."""

    namespace: str = ""
    slot: int = 0
    """0: none."""
    folder: str = ""
    """Of the sources in the pod; empty: the one in which the agent is started."""
    links: tuple[tuple[str, str], ...] = ()
    """Title and address of each page of the environment."""
    services_overview: str = ""
    """``codex.servicesOverview``."""
    project_context: str = ""
    """``codex.projectContext``."""
    instructions: str = ""
    """Of the project for agents; from the base branch, for they say what the agent does."""
    unhealthy: tuple[str, ...] = ()
    """What is wrong with the environment; may hold lines of logs, which nobody vouches for."""
    mcp_tools: tuple[str, ...] = ()
    """Names of MCP servers."""
    tools: tuple[str, ...] = ()
    """Programs that the image has besides the usual ones."""


def prompt(
    context: Context,
    facts: Facts,
    kind: Kind,
    lang: str,
    template: str = "",
    *,
    where: str = "template",
    most: int = MOST_CHARACTERS,
) -> str:
    """
    Return the text that an agent gets.

    Args:
        context: What it is about.
        facts: Of the environment.
        kind: Chooses the template.
        lang: ``en`` or ``ru``.
        template: Text of a template of the project's own, in Jinja2; empty: ours. It must come from
            the base branch: whoever writes it says what the agent does.
        where: Name of that template, for errors.
        most: Characters of what comes from GitHub; what does not fit is cut, and a note says so.

    Raises:
        ConfigurationError: The template is not one, or names what there is not.
    """
    values = _values(context, facts, kind, most)
    try:
        if len(template) > LONGEST_TEMPLATE:
            raise ConfigurationError(where, "is too long", "shorten it")
        environment = _environment(lang if lang in LANGUAGES else LANGUAGES[0])
        found = (
            environment.from_string(template)
            if template
            else environment.get_template(f"{kind.value}.md.j2")
        )
        return f"{found.render(values).strip()}\n"
    except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        place = f"{where}:{line}" if line else where
        what = f"cannot be rendered: {' '.join(str(error).split())[:200]}"
        raise ConfigurationError(place, what, "docs/ai-run.md says what a template has") from error


def _values(context: Context, facts: Facts, kind: Kind, most: int) -> dict[str, Any]:
    """Return the names of templates; whatever a stranger wrote is fenced already."""
    budget = Budget(most)
    texts: dict[str, str] = {}
    # What matters most takes its share first.
    if context.request:
        texts["request"] = budget.cut(_remark(context.request), 0.5)
    texts["issue"] = budget.cut(f"{context.title}\n\n{context.body}".strip(), 0.6)
    texts["unhealthy"] = budget.cut("\n".join(facts.unhealthy), 0.5)
    texts["checks"] = budget.newest("\n\n".join, context.checks, 0.5)
    texts["places"] = budget.newest("\n\n".join, tuple(map(_place, context.places)), 0.7)
    texts["reviews"] = budget.newest("\n\n".join, tuple(map(_remark, context.reviews)), 0.7)
    texts["comments"] = budget.newest("\n\n".join, tuple(map(_remark, context.remarks)), 0.9)
    texts["files"] = budget.newest("\n".join, context.files, 1.0)
    word = fence_of((*texts.values(), context.head))
    return {
        **dict.fromkeys(("request", "unhealthy"), ""),
        **{name: fenced(text, word, name) if text else "" for name, text in texts.items()},
        "fence": f"untrusted-{word}",
        "kind": kind.value,
        "commits": kind.makes_commits,
        "repository": context.repository,
        "number": context.number,
        "is_pull_request": context.is_pull_request,
        "head": fenced(context.head, word, "branch") if context.head else "",
        "facts": facts,
        "omitted": {why: n for why in _REASONS if (n := context.omitted.get(why, 0))},
        "cut": budget.cut_characters,
        "dropped": budget.dropped,
    }


def _remark(remark: Remark) -> str:
    head = ", ".join(filter(None, (remark.author, remark.when, remark.state)))
    return f"[{head}]\n{remark.text}"


def _place(place: Place) -> str:
    line = f":{place.line}" if place.line else ""
    outdated = " (outdated)" if place.is_outdated else ""
    hunk = "\n".join(place.hunk.splitlines()[-20:])
    said = "\n\n".join(map(_remark, place.remarks))
    return f"{place.path}{line}{outdated}\n{hunk}\n{said}"


@cache
def _environment(lang: str) -> ImmutableSandboxedEnvironment:
    """Return the sandbox of templates; a project's own may extend those of its language."""
    return ImmutableSandboxedEnvironment(
        loader=PackageLoader("codexctl_tasks.agent", f"templates/{lang}"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
