"""
What of an agent's work may be published (pure).

Some files decide what runs later, with more rights than the agent has: workflows, hooks, manifests
of dependencies, what other agents are told. Each pattern has a rule; what the stack says of a file
counts more than what is said here. Links, submodules and names that mean something else elsewhere
are refused whatever it says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from codexctl_tasks.agent.work.known import DEFAULTS, TOPICS, Rule
from codexctl_tasks.agent.work.names import folded, shown, why_refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_FILE, _PROGRAM, _LINK, _MODULE = 0o100644, 0o100755, 0o120000, 0o160000
_MEGABYTE = 10**6
MOST_TOLD = 20
"""Reasons; more help nobody."""
MOST_REVIEW = 200
"""Files that somebody has to look at: of more nobody would look at each."""


_STRICTNESS = (Rule.ALLOW, Rule.REVIEW, Rule.BLOCK)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One file in one commit, or in all of them together."""

    path: bytes
    old_mode: int
    """0: the file was not there."""
    new_mode: int
    """0: it is gone."""
    blob: str = ""
    """What it is now, as git names it; empty: it is gone."""
    size: int = 0
    """Bytes of what it is now."""
    is_binary: bool = False
    is_final: bool = True
    """What all commits together do; False: what one of them does on the way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What a stack allows."""

    rules: Mapping[str, str] = field(default_factory=dict)
    """Words by pattern, beside `DEFAULTS`; of several that match the last one counts."""
    most_files: int = 300
    most_file_bytes: int = 5 * _MEGABYTE
    most_bytes: int = 20 * _MEGABYTE
    """Of all changed files."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be said of the changes."""

    blocked: Sequence[str] = ()
    """Why they may not be published, a line each; empty: they may."""
    review: Sequence[str] = ()
    """Files that somebody has to look at, and why; what weighs most comes first."""
    notes: Sequence[str] = ()
    """What else a reader wants to know: binary files, programs."""


def judge(changes: Sequence[Change], policy: Policy) -> Judgement:
    """Return what may become of changes."""
    found = _judged(changes, policy)
    return replace(found, blocked=(*_over_limits(changes, found, policy), *found.blocked))


def judge_branch(changes: Sequence[Change], policy: Policy, *, is_agents: bool) -> Judgement:
    """
    Return what is to be said of all that a pull request shows, when the last commits may be pushed.

    What was on the branch before is not blocked any more, but named first of all.

    Args:
        changes: Of the whole branch.
        policy: Its limits hold for branches of agents, or many runs would do what one may not.
        is_agents: The branch is one; else people may have changed as much as they like.
    """
    found = _judged(changes, policy)
    over = tuple(_over_limits(changes, found, policy)) if is_agents else ()
    before = [f"{line} (on the branch before)" for line in found.blocked]
    return Judgement(over, (*before, *found.review), found.notes)


def _judged(changes: Sequence[Change], policy: Policy) -> Judgement:
    """Judge each file; what weighs most comes first."""
    blocked: dict[str, None] = {}
    review: dict[str, int] = {}
    notes: dict[str, None] = {}
    weights = {pattern: weight for weight, pattern in enumerate(TOPICS)}
    for change in changes:
        name = shown(change.path)
        if why := _why_impossible(change):
            blocked[f"{name}: {why}"] = None
            continue
        rule, pattern = rule_of(change.path.decode(), policy.rules)
        if rule is Rule.BLOCK:
            blocked[f"{name}: the policy blocks {pattern}"] = None
        elif rule is Rule.REVIEW:
            review[f"{name}: {TOPICS.get(pattern, pattern)}"] = weights.get(pattern, -1)
        notes.update(dict.fromkeys(f"{name}: {note}" for note in _notes(change)))
    return Judgement(tuple(blocked), tuple(sorted(review, key=review.__getitem__)), tuple(notes))


def rule_of(path: str, rules: Mapping[str, str]) -> tuple[Rule, str]:
    """Return the rule for a file, and the pattern that it comes from; empty: none matches."""
    plain = folded(path)
    chosen = [pattern for pattern in rules if _expression(pattern).fullmatch(plain)]
    if chosen:
        word = rules[chosen[-1]].strip().lower()
        return (Rule(word) if word in tuple(Rule) else Rule.BLOCK), chosen[-1]
    found = [pattern for pattern in DEFAULTS if _expression(pattern).fullmatch(plain)]
    strictest = max(found, key=lambda each: _STRICTNESS.index(DEFAULTS[each]), default="")
    return (DEFAULTS[strictest] if strictest else Rule.ALLOW), strictest


def unknown_words(rules: Mapping[str, str]) -> Iterator[str]:
    """Yield the patterns whose rule is no word that is known: they block."""
    for pattern, word in rules.items():
        if word.strip().lower() not in tuple(Rule):
            yield pattern


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """
    Return a pattern as a regular expression for whole paths in lower case.

    As in ``.gitignore``: without a slash before its end it matches at any depth, a folder also all
    that is in it; ``*`` and ``?`` do not match a slash, ``**`` does.
    """
    plain = folded(pattern.strip().strip("/"))
    is_anchored = "/" in pattern.strip().rstrip("/")
    parts = re.split(r"(\*\*/?|\*|\?)", plain)
    written = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    inner = "".join(written.get(part, re.escape(part)) for part in parts)
    return re.compile(f"{'' if is_anchored else '(?:.*/)?'}{inner}(?:/.*)?", re.DOTALL)


def _over_limits(changes: Sequence[Change], judged: Judgement, policy: Policy) -> Iterator[str]:
    final = [change for change in changes if change.is_final]
    if len(final) > policy.most_files:
        yield f"{len(final):,} files were changed, more than {policy.most_files:,}"
    if len(judged.review) > MOST_REVIEW:
        count = f"{len(judged.review):,} files would have to be looked at"
        yield f"{count}, more than {MOST_REVIEW}"
    total = sum(change.size for change in final)
    if total > policy.most_bytes:
        yield f"the changed files have {total:,} bytes, more than {policy.most_bytes:,}"
    for change in changes:
        if change.size > policy.most_file_bytes:
            size = f"{change.size:,} bytes, more than {policy.most_file_bytes:,}"
            yield f"{shown(change.path)}: {size}"


def _why_impossible(change: Change) -> str:
    """Return why a change is refused whatever the policy says; empty: it is not."""
    if _MODULE in (change.old_mode, change.new_mode):
        return "submodules are not changed by agents"
    if change.new_mode == _LINK:
        return "it is a symbolic link"
    if change.new_mode not in (0, _FILE, _PROGRAM):
        return f"its mode is {change.new_mode:o}"
    return why_refused(change.path) if change.new_mode else _why_unreadable(change.path)


def _why_unreadable(path: bytes) -> str:
    """Return why a file that goes cannot be compared with patterns; others may go."""
    try:
        path.decode()
    except UnicodeDecodeError:
        return "its name is not UTF-8"
    return ""


def _notes(change: Change) -> Iterator[str]:
    if not change.is_final or not change.new_mode:
        return
    if change.is_binary:
        yield f"binary, {change.size:,} bytes"
    if change.new_mode == _PROGRAM != change.old_mode:
        yield "can be run as a program"
