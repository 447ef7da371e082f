"""What all documents tell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import Location
from codexctl_tasks.rollout.wait import Outcome
from tests.support import stories

if TYPE_CHECKING:
    from codexctl_tasks.reports.story import Story

SECRET = 'hunter2"<&>'


def _texts(story: Story) -> str:
    return repr(story)


def test_the_broken_ones_come_first() -> None:
    """Nobody looks for the failure among a hundred healthy workloads."""
    told = stories.broken()

    assert [workload.outcome for workload in told.workloads] == [
        *(Outcome.FAILED, Outcome.FAILED, Outcome.TIMED_OUT),
        *(Outcome.NOT_READY, Outcome.READY),
    ]
    assert [workload.name for workload in told.broken] == [
        "Deployment shop/web",
        "StatefulSet shop/worker",
        "Deployment shop/search",
    ]


def test_secrets_are_hidden_in_every_text() -> None:
    """Whatever a document escapes later: the secret is gone before."""
    result = stories.hostile()

    open_story = stories.story(result, title=stories.HOSTILE, exit_code=1)
    hidden = stories.story(
        *(result,),
        title=stories.HOSTILE,
        exit_code=1,
        mask=lambda text: text.replace("onerror=alert(1)", "***"),
    )

    assert "onerror" not in _texts(hidden)
    assert _texts(hidden).count("***") == _texts(open_story).count("onerror") == 10


def test_a_secret_in_pieces_is_hidden_as_well() -> None:
    """A control character inside of a secret, or of our text, does not let it through."""
    told = stories.story(
        stories.READY, title="hun\x1b[1mter\x002", mask=lambda text: text.replace("hunter2", "***")
    )

    assert told.title == "***"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\x1b[31;1mb\x1b[0m", "ab"),
        ("\x1b]0;title\x07a", "a"),
        ("a\x00\x08\x0b\x1f\x7f\x9fb\ufffe\ud800", "ab"),
        ("tab\tline\nünï 🚀", "tab\tline\nünï 🚀"),
    ],
    ids=["colours", "window title", "not XML", "ordinary"],
)
def test_what_no_document_can_hold_is_left_out(text: str, clean: str) -> None:
    """A log in colours, or with bytes of a crash, breaks neither XML nor a page."""
    assert stories.story(title=text).title == clean


@pytest.mark.parametrize(
    ("exit_code", "judged", "word"),
    [
        (0, True, "healthy"),
        (0, False, "applied"),
        (1, True, "failed"),
        (70, True, "timed out"),
        (2, False, "stopped"),
        (3, False, "stopped"),
        (4, True, "stopped"),
        (99, False, "stopped"),
        (130, True, "interrupted"),
        (143, False, "interrupted"),
    ],
)
def test_one_word_says_how_it_ended(exit_code: int, judged: bool, word: str) -> None:
    """The word agrees with the exit code."""
    assert stories.story(exit_code=exit_code, judged=judged).word == word


def test_the_facts_are_those_of_the_report() -> None:
    """Seconds, places and counts are not told twice in different ways."""
    told = stories.broken()
    crashed = told.workloads[1]

    assert told.counts == "1 ready, 2 failed, 1 timed out, 1 not ready, 2 skipped"
    assert (crashed.begun_s, crashed.after_s, round(crashed.took_s, 1)) == (1.4, 92.7, 91.3)
    assert crashed.place == Location("web.yaml", 1)
    assert [skipped.text for skipped in told.skipped] == ["Job shop/reindex", "Ingress shop/public"]
    assert told.end_s == 120.1
    assert stories.refused().problems[0].place == Location("deploy/web.yaml", 12)


def test_what_was_in_trouble_at_the_end_is_worth_a_look() -> None:
    """A symptom without a verdict is told like a failure; one that was cured is not."""
    cured = replace(
        stories.UNDECIDED,
        history=stories.history((1, "applied", ""), (2, "symptom", "a"), (9, "cured", "a")),
    )
    told = stories.story(stories.READY, stories.CRASHING, cured, stories.FAILED, exit_code=1)

    assert [each.name for each in told.suspects] == [
        "Deployment shop/web",
        "StatefulSet shop/worker",
    ]
