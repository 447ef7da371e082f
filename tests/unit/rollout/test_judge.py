"""The verdict over time: told at once, failed late, never by what is older than our apply."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.rollout.courses import RUNS_WELL_S, SYMPTOM_MEMORY_S
from codexctl_tasks.rollout.custom import read_rules
from codexctl_tasks.rollout.judge import ADDRESS_S, GRACE_AFTER_CURE_S, Judge, State, Verdict
from codexctl_tasks.rollout.pods import TELL_PROBE_AFTER_S
from codexctl_tasks.rollout.settling import CLOCK_LAG_S, SETTLE_DOUBTED_S, SETTLE_S
from codexctl_tasks.rollout.symptoms import (
    CRASH_LIMIT,
    GRACE_CONFIG_S,
    GRACE_GONE_S,
    GRACE_IMAGE_MISSING_S,
    GRACE_IMAGE_TROUBLE_S,
)
from codexctl_tasks.world.watching import Refused
from tests.support.objects import (
    condition,
    crashed,
    deployment,
    event,
    found,
    pod,
    replica_set,
    running,
    scopes,
    show,
    target,
    view_of,
    waiting,
)

if TYPE_CHECKING:
    from codexctl_tasks.rollout.target import Target

STARTED = "2026-01-02T03:04:00+00:00"
NOT_FOUND = waiting("ErrImagePull", "manifest unknown")
NO_SECRET = waiting("CreateContainerConfigError", 'secret "db" not found')
BAD_NAME = waiting("InvalidImageName", "x")


class _Story:
    """One workload, shown in different states at different seconds."""

    def __init__(self, of: Target | None = None) -> None:
        self.existing: set[tuple[str, str, str]] = set()
        self.existing_uid: str | None = ""
        self.asked = 0
        self._target = of or target()
        self._view = view_of()
        self._judge = Judge(self._ask)

    def at(self, second: float, *objects: dict[str, Any]) -> Verdict:
        show(self._view, *objects)
        [verdict] = self._judge.judge([self._target], self._view, second)
        return verdict

    def web_at(self, second: float, *containers: dict[str, Any]) -> Verdict:
        return self.at(second, deployment(), replica_set(), pod("a", *containers))

    def _ask(self, *name: str) -> str | None:
        self.asked += 1
        return "some-uid" if name in self.existing else self.existing_uid


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
    story.web_at(1 + RUNS_WELL_S, running())
    assert story.web_at(2 + RUNS_WELL_S, NOT_FOUND).state is State.WAITING
    last = 2 + RUNS_WELL_S + GRACE_IMAGE_MISSING_S
    assert story.web_at(last, NOT_FOUND).state is State.FAILED


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
        story = _Story()
        for second in range(int(GRACE_GONE_S)):
            verdict = story.at(second, web, replica_set(owner="other"), pod("a", BAD_NAME))
            assert verdict.state is State.WAITING
        verdict = story.at(GRACE_GONE_S, web)
        assert (verdict.state, verdict.detail) == (
            State.FAILED,
            "was replaced by another object of this name",
        )


def test_an_object_that_was_deleted_fails_if_it_is_really_gone() -> None:
    """A watch that lags behind is no proof: the server is asked."""
    story = _Story()
    story.existing_uid = "Deployment-web"
    for second in range(int(GRACE_GONE_S) + 5):
        assert story.at(second).state is State.WAITING
    story.existing_uid = ""

    assert story.at(GRACE_GONE_S + 5).state is State.FAILED


def test_an_answer_that_is_not_there_yet_is_waited_for() -> None:
    """A slow server makes no verdict."""
    story = _Story()
    story.existing_uid = None

    assert story.web_at(0, NO_SECRET).state is State.WAITING
    assert story.web_at(GRACE_CONFIG_S + 20, NO_SECRET).state is State.WAITING


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
    assert story.web_at(seconds[-1] + 1, NO_SECRET).state is State.FAILED, "and not for ever"


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


def test_what_may_not_be_watched_is_believed() -> None:
    """An account that may apply custom resources, and no more, is not kept waiting."""
    scope = scopes()["Shop"]
    view = view_of()
    view.take(Refused(scope, ClusterError("shops", "forbidden", status=403)))

    [verdict] = Judge(lambda *_: "").judge([target("Shop", "s")], view, 0.0)

    assert (verdict.state, verdict.warning) == (
        *(State.READY, "exists: this account may not watch its kind"),
    )


def test_grace_of_the_worst_text() -> None:
    """A registry that fails now and then says "not found" gets the time of its kinder answers."""
    story = _Story()
    refused = waiting("ErrImagePull", "dial tcp: connection refused")

    story.web_at(0, refused)
    story.web_at(100, refused)
    assert story.web_at(150, NOT_FOUND).state is State.WAITING
    assert story.web_at(150 + GRACE_IMAGE_MISSING_S, NOT_FOUND).state is State.FAILED


def test_a_back_off_without_a_reason_keeps_the_last_one() -> None:
    """Older kubelets say between two pulls only that they wait."""
    story = _Story()
    echo = waiting("ImagePullBackOff", 'Back-off pulling image "reg.example/web:1"')

    story.web_at(0, NOT_FOUND)
    verdict = story.web_at(GRACE_IMAGE_MISSING_S, echo)
    assert (verdict.state, verdict.detail) == (State.FAILED, "image not found")


def test_signs_that_pass_by_themselves_are_told_late() -> None:
    """Every program that takes a moment to start fails its first probes: no news yet."""
    story = _Story()
    silent = pod("a", running(), status={"conditions": [condition("Ready", "False")]})
    unready = event(silent, "Unhealthy", "Readiness probe failed: HTTP 500")

    first = story.at(0, deployment(), replica_set(), silent, unready)
    later = story.at(TELL_PROBE_AFTER_S, deployment(), replica_set(), silent, unready)

    assert (first.detail, first.told) == ("0 of 1 pod ready", frozenset())
    assert first.due_s == TELL_PROBE_AFTER_S
    assert later.detail == "0 of 1 pod ready: readiness probe fails"
    assert [symptom.headline for symptom in later.told] == ["readiness probe fails"]


def test_a_container_without_probe_must_stay_up() -> None:
    """It is ready whenever it runs: green only after it has run for a while, longer if it fell."""
    story = _Story()
    spec = {"containers": [{"name": "app"}]}
    fresh = pod("a", _up(), spec=spec)
    again = pod("a", _up(restarts=1, second=4), spec=spec)

    verdict = story.at(0, deployment(1), replica_set(), fresh)
    assert (verdict.state, verdict.due_s) == (State.WAITING, SETTLE_S)
    assert story.at(SETTLE_S - 1, deployment(1), replica_set(), again).state is State.WAITING
    assert story.at(SETTLE_S + 1, deployment(1), replica_set(), again).state is State.WAITING
    settled_s = SETTLE_S - 1 + SETTLE_DOUBTED_S
    assert story.at(settled_s, deployment(1), replica_set(), again).state is State.READY


def test_a_container_that_has_run_for_long_is_believed_at_once() -> None:
    """An unchanged deploy does not wait; the server's clock tells, not ours."""
    view = view_of(
        deployment(1),
        replica_set(),
        pod("a", _up(restarts=3), spec={"containers": [{"name": "app"}]}),
    )
    server = datetime.fromisoformat(STARTED) + timedelta(seconds=SETTLE_DOUBTED_S + CLOCK_LAG_S)

    [verdict] = Judge(lambda *_: "").judge([target()], view, 0.0, server)

    assert verdict.state is State.READY


def test_probed_and_patient_containers_need_not_prove_themselves() -> None:
    """A readiness probe, or minReadySeconds, says more than our clock."""
    probed = {"containers": [{"name": "app", "readinessProbe": {"exec": {}}}]}
    patient = deployment(1)
    patient["spec"]["minReadySeconds"] = 3

    for web, spec in ((deployment(1), probed), (patient, {"containers": [{"name": "app"}]})):
        assert _Story().at(0, web, replica_set(), pod("a", _up(), spec=spec)).state is State.READY


def _up(restarts: int = 0, second: int = 0) -> dict[str, Any]:
    started = STARTED.replace(":00+", f":{second:02}+")
    return {**running(restarts), "state": {"running": {"startedAt": started}}}


def test_a_service_without_an_address() -> None:
    """It is given up after a while, unless the address is what is asked for."""
    service = found("Service", "web", spec={"type": "LoadBalancer"})
    address = read_rules("jsonpath={.status.loadBalancer.ingress}")
    for rules, state in (((), State.READY), (address, State.WAITING)):
        story = _Story(target("Service", ready_when=rules))
        assert story.at(0, service).state is State.WAITING
        assert story.at(ADDRESS_S + 1, service).state is state
