"""What an event asks for (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.requests.agents import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN = "<!-- codexctl-"
"""How everything begins that codexctl writes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What starts a run."""

    labels: Mapping[str, str]
    """Kind of run by label; labels in lower case."""
    command: str
    """First word of a comment; empty: comments start nothing."""
    branch_prefix: str
    """Of branches of agents: a review of their pull requests starts a run."""
    app_id: int = 0
    """Of the GitHub App that codexctl itself writes as; 0: none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """What is to be run."""

    kind: Kind
    number: int
    """Of an issue or a pull request."""
    sender: str
    """Who caused the event; empty: GitHub does not say."""


class NoTriggerError(Exception):
    """An event starts nothing; the text says why."""


def trigger_of(name: str, event: Mapping[str, Any], rules: Rules) -> Trigger:
    """
    Return what an event asks for.

    Args:
        name: Of the event, such as ``issues``.
        event: Its payload.
        rules: What starts a run.

    Raises:
        NoTriggerError: Nothing.
    """
    if name in ("issues", "pull_request", "pull_request_target"):
        kind, about = _of_label(event, rules), event.get("issue") or event.get("pull_request")
    elif name == "issue_comment":
        kind, about = _of_comment(event, rules), event.get("issue")
    elif name == "pull_request_review":
        kind, about = _of_review(event, rules), event.get("pull_request")
    else:
        raise NoTriggerError(f"event {_shown(name)} starts no run")
    number = about.get("number") if isinstance(about, dict) else None
    if type(number) is not int or number < 1:
        raise NoTriggerError("the event is about no issue and no pull request")
    return Trigger(kind=kind, number=number, sender=_login(event, "sender"))


def _of_label(event: Mapping[str, Any], rules: Rules) -> Kind:
    """Return what the label asks for that was added; others on the issue ask for nothing."""
    if event.get("action") != "labeled":
        raise NoTriggerError(f"action {_shown(event.get('action'))} starts no run")
    label = _text(event, "label", "name").strip()
    kind = rules.labels.get(label.casefold())
    if kind is None:
        raise NoTriggerError(f"label {_shown(label)} starts no run")
    return Kind(kind)


def _of_comment(event: Mapping[str, Any], rules: Rules) -> Kind:
    """Return what the first line of a new comment asks for."""
    _refuse_others(event, "comment", "created", rules)
    first = next(filter(None, map(str.strip, _text(event, "comment", "body").splitlines())), "")
    words = first.split()
    if not rules.command or not words or words[0].casefold() != rules.command.casefold():
        raise NoTriggerError(f"the comment does not begin with {rules.command or 'a command'}")
    asked = words[1].casefold() if len(words) > 1 else ""
    return next((kind for kind in Kind if kind.value == asked), Kind.DEV)


def _of_review(event: Mapping[str, Any], rules: Rules) -> Kind:
    """Return what a review asks for: that an agent changes what it has made."""
    _refuse_others(event, "review", "submitted", rules)
    state = _text(event, "review", "state").lower()
    if state != "changes_requested":
        raise NoTriggerError("the review requests no changes")
    head = _text(event, "pull_request", "head", "ref")
    if not rules.branch_prefix or not head.startswith(rules.branch_prefix):
        raise NoTriggerError("the pull request is not an agent's")
    return Kind.DEV


def _refuse_others(event: Mapping[str, Any], what: str, action: str, rules: Rules) -> None:
    """Refuse what is not new, what is our own, and what the sender has not written himself."""
    if event.get("action") != action:
        raise NoTriggerError(f"action {_shown(event.get('action'))} starts no run")
    said = event.get(what)
    app = said.get("performed_via_github_app") if isinstance(said, dict) else None
    is_ours = isinstance(app, dict) and rules.app_id and app.get("id") == rules.app_id
    if is_ours or _text(event, what, "body").lstrip().startswith(OWN):
        raise NoTriggerError(f"the {what} is codexctl's own")
    author, sender = _text(event, what, "user", "login"), _login(event, "sender")
    if author.casefold() != sender.casefold():
        raise NoTriggerError(f"the {what} is of {_shown(author)}, the event of {_shown(sender)}")


def _login(event: Mapping[str, Any], name: str) -> str:
    return _text(event, name, "login")


def _text(data: Any, *path: str) -> str:
    """Return a text in an event; empty: there is none."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data if isinstance(data, str) else ""


def _shown(text: Any) -> str:
    """Return what strangers wrote as part of a line."""
    return repr(" ".join(str(text or "").split())[:60])
