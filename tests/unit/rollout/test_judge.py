"""The verdict over time: told at once, failed late, never by what is older than our apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.rollout.judge import GRACE_AFTER_CURE_S, SYMPTOM_MEMORY_S, Judge, State, Verdict
from codexctl_tasks.rollout.symptoms import (
    CRASH_LIMIT,
    GRACE_CONFIG_S,
    GRACE_IMAGE_MISSING_S,
    GRACE_IMAGE_TROUBLE_S,
)
from tests.support.objects import (
    condition,
    crashed,
    deployment,
    found,
    pod,
    replica_set,
    running,
    show,
    target,
    view_of,
    waiting,
)

if TYPE_CHECKING:
    from codexctl_tasks.rollout.target import Target

NOT_FOUND = waiting("ErrImagePull", "manifest unknown")
NO_SECRET = waiting("CreateContainerConfigError", 'secret "db" not found')
BAD_NAME = waiting("InvalidImageName", "x")


class _Story:
    """One workload, shown in different states at different seconds."""

    def __init__(self, of: Target | None = None) -> None:
        self.existing: set[tuple[str, str, str]] = set()
        self.asked = 0
        self._target = of or target()
        self._view = view_of()
        self._judge = Judge(self._exists)

    def at(self, second: float, *objects: dict[str, Any]) -> Verdict:
        show(self._view, *objects)
        [verdict] = self._judge.judge([self._target], self._view, second)
        return verdict

    def web_at(self, second: float, *containers: dict[str, Any]) -> Verdict:
        return self.at(second, deployment(), replica_set(), pod("a", *containers))

    def _exists(self, *name: str) -> bool:
        self.asked += 1
        return name in self.existing


def test_a_symptom_is_named_at_once_and_fails_after_its_grace() -> None:
    """The cause is known in the first second; the verdict waits for what may still come right."""
    story = _Story()

    first = story.web_at(0, NOT_FOUND)
    assert (first.state, first.detail) == (State.WAITING, "0 of 1 pod ready: image not found")
    assert first.symptoms[0].headline == "image not found"
    for second in range(1, int(GRACE_IMAGE_MISSING_S)):
        assert story.web_at(second, NOT_FOUND).state is State.WAITING
    assert story.web_at(GRACE_IMAGE_MISSING_S, NOT_FOUND).state is State.FAILED


def test_a_symptom_that_goes_away_starts_anew() -> None:
    """An image that was pushed late, and much later vanishes again, gets its whole grace twice."""
    story = _Story()

    story.web_at(0, NOT_FOUND)
    story.web_at(1, running())
    assert story.web_at(SYMPTOM_MEMORY_S + 15, NOT_FOUND).state is State.WAITING


def test_a_symptom_may_hide_between_two_tries() -> None:
    """Reasons alternate and vanish for a moment while Kubernetes tries again."""
    story = _Story()

    story.web_at(0, NOT_FOUND)
    story.web_at(SYMPTOM_MEMORY_S - 1, waiting("ContainerCreating"))
    story.web_at(SYMPTOM_MEMORY_S, waiting("ImagePullBackOff", "manifest unknown"))
    assert story.web_at(GRACE_IMAGE_MISSING_S, NOT_FOUND).state is State.FAILED


def test_every_pod_has_a_grace_of_its_own() -> None:
    """Pods that come one after the other do not add up to a failure."""
    story = _Story()

    for second in range(0, 60, 5):
        fresh = pod(f"p{second}", NOT_FOUND)
        verdict = story.at(second, deployment(), replica_set(), fresh)
        assert verdict.state is State.WAITING


def test_readiness_beats_every_symptom() -> None:
    """A Deployment that is complete is ready, whatever one of its pods shows."""
    story = _Story()

    verdict = story.at(0, deployment(1), replica_set(), pod("a", BAD_NAME))
    assert (verdict.state, verdict.symptoms) == (State.READY, ())


@pytest.mark.parametrize(
    "web",
    [
        deployment(1, generation=2, status={"observedGeneration": 1}),
        deployment(0, generation=2, status={"observedGeneration": 1}),
        deployment(0, generation=1),
    ],
    ids=["old and healthy", "old and broken", "the apply is not seen yet"],
)
def test_the_previous_generation_is_not_judged(web: dict[str, Any]) -> None:
    """Correcting a broken deploy is not failed by the pods it is about to replace."""
    story = _Story(target(generation=2))

    verdict = story.at(0, web, replica_set(), pod("a", BAD_NAME))
    assert (verdict.state, verdict.symptoms) == (State.WAITING, ())
    assert story.at(1, deployment(1, generation=2)).state is State.READY


def test_another_object_of_the_same_name_is_not_judged() -> None:
    """Somebody deleted and made it anew: neither its health nor its trouble is ours."""
    for web in (deployment(1, uid="other"), deployment(0, uid="other")):
        verdict = _Story().at(0, web, replica_set(owner="other"), pod("a", BAD_NAME))
        assert (verdict.state, verdict.symptoms) == (State.WAITING, ())


def test_a_confirmed_absence_fails() -> None:
    """The Secret is really not there: failed when the grace is over, asked only then."""
    story = _Story()

    for second in range(int(GRACE_CONFIG_S)):
        assert story.web_at(second, NO_SECRET).state is State.WAITING
    assert story.asked == 0
    verdict = story.web_at(GRACE_CONFIG_S, NO_SECRET)

    assert (verdict.state, verdict.detail) == (State.FAILED, "Secret db is missing")
    assert story.asked == 1


def test_a_missing_object_that_appears_is_waited_for() -> None:
    """Another tool made the Secret in between: the kubelet gets the time that it needs."""
    story = _Story()
    story.existing.add(("shop", "Secret", "db"))

    seconds = range(int(GRACE_CONFIG_S + GRACE_AFTER_CURE_S))
    assert {story.web_at(second, NO_SECRET).state for second in seconds} == {State.WAITING}
    assert story.asked == 1
    assert story.at(seconds[-1] + 1, deployment(1)).state is State.READY


def test_only_crashes_since_the_wait_began_count() -> None:
    """A pod that had crashed often before the apply gets its own chance."""
    story = _Story()

    assert story.web_at(0, crashed(30)).state is State.WAITING
    assert story.web_at(1, crashed(30 + CRASH_LIMIT - 1)).state is State.WAITING
    assert story.web_at(2, crashed(30 + CRASH_LIMIT)).state is State.FAILED


def test_the_decisive_symptom_comes_first() -> None:
    """Of several troubles the headline names the one that failed the workload."""
    story = _Story()
    slow = {**waiting("ErrImagePull", "i/o timeout"), "name": "side"}

    story.web_at(0, slow, NOT_FOUND)
    story.web_at(10, slow, NOT_FOUND)
    verdict = story.web_at(20, slow, NOT_FOUND)

    assert verdict.detail == "image not found"
    assert [s.grace_s for s in verdict.symptoms] == [GRACE_IMAGE_MISSING_S, GRACE_IMAGE_TROUBLE_S]


def test_a_verdict_can_be_taken_back() -> None:
    """What heals while other failures are collected is reported as healed."""
    story = _Story()

    assert story.web_at(0, BAD_NAME).state is State.FAILED
    assert story.web_at(1, running()).state is State.WAITING
    assert story.at(2, deployment(1)).state is State.READY


def test_a_job_may_be_gone_once_it_was_complete() -> None:
    """TtlSecondsAfterFinished removes it: still a success; one that never completed is not."""
    job, done = (
        target("Job", "job"),
        found("Job", "job", status={"conditions": [condition("Complete")]}),
    )
    story = _Story(job)

    assert story.at(0, done).state is State.READY
    assert story.at(1).state is State.READY
    assert _Story(job).at(0).state is State.WAITING
