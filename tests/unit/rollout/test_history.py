"""What is remembered of a rollout while it is watched."""

from __future__ import annotations

from codexctl_tasks.rollout.history import CURED_AFTER_S, MOST_MOMENTS, History
from codexctl_tasks.rollout.judge import State, Verdict
from codexctl_tasks.rollout.symptoms import Site, Symptom, Trouble
from tests.support.objects import target

PULL = Symptom(trouble=Trouble.PULL, headline="image not found", cause="app: not found", grace_s=20)
CRASH = Symptom(
    trouble=Trouble.CRASH,
    headline="crashed",
    cause="app: exit code 1",
    grace_s=90,
    site=Site("a", "app"),
)


def _history(*verdicts: tuple[float, State, str, tuple[Symptom, ...]]) -> History:
    history = History(1.0, "just applied")
    for at_s, state, detail, symptoms in verdicts:
        told = frozenset(symptoms)
        history.note(Verdict(target(), state, detail, symptoms, told), at_s)
    return history


def _told(history: History, end_s: float = 99.0, *, timed_out: bool = False) -> list[str]:
    moments = history.until(end_s, timed_out=timed_out)
    return [f"{moment.at_s:g} {moment.kind.value}: {moment.text}" for moment in moments]


def test_what_does_not_change_is_told_once() -> None:
    """A history is as long as what happened, not as the time that it took."""
    looks = [(float(n), State.WAITING, "0 of 1 ready", ()) for n in range(2, 60)]

    history = _history(*looks, (60.0, State.READY, "1 of 1 ready", ()))

    assert _told(history) == [
        "1 applied: just applied",
        "2 progress: 0 of 1 ready",
        "60 ready: 1 of 1 ready",
    ]


def test_a_symptom_is_there_from_its_first_sight_until_the_failure() -> None:
    """One sees when the cause was known, and that the verdict waited for its grace."""
    history = _history(
        (2.0, State.WAITING, "0 of 1 ready: image not found", (PULL,)),
        (3.0, State.WAITING, "0 of 1 ready: image not found", (PULL, PULL)),
        (22.0, State.FAILED, "image not found", (PULL,)),
    )

    assert _told(history) == [
        "1 applied: just applied",
        "2 symptom: app: not found",
        "22 failed: image not found",
    ]


def test_a_symptom_is_cured_only_when_it_stays_away() -> None:
    """Between two tries symptoms vanish: that is no cure; the second that counts is the first."""
    back = 2.0 + CURED_AFTER_S
    history = _history(
        (2.0, State.WAITING, "0 of 1", (CRASH,)),
        (3.0, State.WAITING, "0 of 1", ()),
        (back, State.WAITING, "0 of 1", (CRASH,)),
        (20.0, State.WAITING, "0 of 1", ()),
        (21.0 + CURED_AFTER_S, State.WAITING, "0 of 1", ()),
        (40.0, State.WAITING, "0 of 1", (CRASH,)),
        (50.0, State.READY, "1 of 1", ()),
        (99.0, State.READY, "1 of 1", ()),
    )

    assert [line for line in _told(history) if "progress" not in line] == [
        "1 applied: just applied",
        "2 symptom: app: exit code 1",
        "20 cured: app: exit code 1",
        "40 symptom: app: exit code 1",
        "50 ready: 1 of 1",
    ]


def test_what_goes_to_and_fro_is_told_once() -> None:
    """Pods that come and go do not fill pages with the same two lines."""
    looks = [(float(n), State.WAITING, f"{n % 2} of 2 ready", ()) for n in range(2, 80)]

    assert _told(_history(*looks))[1:-1] == ["2 progress: 0 of 2 ready", "3 progress: 1 of 2 ready"]


def test_a_long_history_keeps_its_beginning_and_its_end() -> None:
    """A report stays readable, and small, however long the rollout takes."""
    looks = [(float(n), State.WAITING, f"{n} of 999 ready", ()) for n in range(2, 999)]

    told = _told(_history(*looks))

    assert len(told) == MOST_MOMENTS + 1
    assert told[:2] == ["1 applied: just applied", "2 progress: 2 of 999 ready"]
    assert told[-2:] == ["998 progress: 998 of 999 ready", "99 stopped: 998 of 999 ready"]


def test_the_end_of_the_wait_is_told_of_what_was_undecided() -> None:
    """Time-out, or another workload's failure: the history says which ended the wait."""
    undecided = _history((2.0, State.WAITING, "0 of 1", ()))

    assert _told(undecided, 30.0, timed_out=True)[-1] == "30 timed out: 0 of 1"
    assert _told(undecided, 30.0)[-1] == "30 stopped: 0 of 1"
    assert _told(_history((2.0, State.READY, "1 of 1", ())), 30.0)[-1] == "2 ready: 1 of 1"
