"""What a comment and a job summary say at the end of an agent's run (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.agent.message import code, harmless, listed
from codexctl_tasks.agent.result import Status
from codexctl_tasks.agent.wording import Words, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codexctl_tasks.agent.ending import Ending
    from codexctl_tasks.agent.wording import Language

MARKER = "<!-- codexctl-run -->"
"""First line of the comment, which nobody sees: there is one for each Issue or pull request."""
_LONGEST_REASON = 1000


def text_of(ending: Ending, language: Language, run: str) -> str:
    """Return the comment, without its marker; *run*: the page of the run, or who ran it."""
    words, status = words_of(language), ending.status
    done, message = ending.publication, harmless(ending.result.final_message)
    is_answer = status is Status.SUCCESS and not ending.result.kind.makes_commits
    parts = [
        f"### {words.heads[status]}",
        "\n".join(_facts(ending, words, run)),
        _section(words.blocked, done.blocked),
        _section(words.review, done.review),
        words.answered if is_answer else words.advice[status],
        f"<details><summary>{words.said}</summary>\n\n{message}\n\n</details>" if message else "",
    ]
    return "\n\n".join(filter(None, parts))


def _facts(ending: Ending, words: Words, run: str) -> Iterator[str]:
    result, done, usage = ending.result, ending.publication, ending.result.usage
    if done.reason:
        yield f"- {words.reason}: {code(done.reason[:_LONGEST_REASON])}"
    if done.pr:
        yield f"- {words.pull_request}: #{done.pr}"
    elif done.url:
        yield f"- {done.url}"
    if run:
        yield f"- {words.run}: {run if '://' in run else code(run)}"
    if done.branch:
        at = f" ({code(done.commit[:12])})" if done.commit else ""
        yield f"- {words.branch}: {code(done.branch)}{at}"
    if result.namespace:
        slot = f" ({result.slot})" if result.slot else ""
        yield f"- {words.environment}: {code(result.namespace)}{slot}"
    if result.duration_s:
        yield f"- {words.duration}: {_brief(result.duration_s)}"
    if usage.input or usage.output:
        cached = f" ({usage.cached_input:,} cached)" if usage.cached_input else ""
        yield f"- {words.tokens}: {usage.input:,}{cached} + {usage.output:,}"


def _section(head: str, lines: tuple[str, ...]) -> str:
    return "\n".join([f"**{head}:**", "", *listed(lines)]) if lines else ""


def _brief(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
    return shown if minutes or hours else f"{rest} s"
