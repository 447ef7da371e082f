"""The loop over the watches: when it ends, and what it tells on the way."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.console import Console
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.rollout.symptoms import GRACE_CONFIG_S
from codexctl_tasks.rollout.telling import LOG_PATIENCE_S
from codexctl_tasks.rollout.view import View
from codexctl_tasks.rollout.wait import COLLECT_S, STALE_S, Outcome, Result, Wait
from codexctl_tasks.world.watching import Changed, Listed, Refused
from tests.support.fakes import FakeCluster, ScriptedFeed
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
    target,
    waiting,
)

if TYPE_CHECKING:
    from codexctl_tasks.rollout.target import Target
    from tests.support.fakes import FakeClock

SCOPES = scopes()
BAD_PULL = waiting("ErrImagePull", "manifest unknown")
BAD_NAME = waiting("InvalidImageName", "couldn't parse")
NO_SECRET = waiting("CreateContainerConfigError", 'secret "db" not found')
BROKEN_JOB = found("Job", "job", status={"conditions": [condition("Failed", reason="Backoff")]})
DONE_JOB = found("Job", "job", status={"conditions": [condition("Complete")]})
TROUBLE = ((1, deployment()), (1, replica_set()), (2, pod("a", NO_SECRET)))


class _Run:
    """A wait whose watches follow a script: second and object, in order."""

    def __init__(
        self,
        clock: FakeClock,
        *script: tuple[float, Any],
        timeout_s: float = 600,
        cluster: FakeCluster | None = None,
        listed: bool = True,
        answers_after_s: float = 0,
    ) -> None:
        self.cluster, self.stream = cluster or FakeCluster(), io.StringIO()
        lists = [(0.1, Listed(scope, [])) for scope in SCOPES.values() if listed]
        changes = [
            (at_s, _changed(entry) if isinstance(entry, dict) else entry) for at_s, entry in script
        ]
        self.feed = ScriptedFeed(clock, [*lists, *changes])
        self.wait = Wait(
            cluster=self.cluster,
            feed=self.feed,
            scopes=list(SCOPES.values()),
            view=View(list(SCOPES.values())),
            clock=clock,
            console=Console(self.stream, now=clock.now),
            timeout_s=timeout_s,
            aside=lambda function: (
                clock.at(clock.time + answers_after_s, function) if answers_after_s else function()
            ),
        )

    def until_healthy(self, *targets: Target) -> bool:
        for each in targets or [target()]:
            name = each.name
            known = self.cluster.objects.setdefault((name.kind, name.namespace, name.name), {})
            known["metadata"] = {"uid": each.uid}
        self.wait.expect(targets or [target()])
        return self.wait.until_healthy()

    @property
    def results(self) -> dict[str, Result]:
        return {result.target.name.name: result for result in self.wait.results()}

    def shown(self, text: str) -> int:
        return sum(text in line for line in self.stream.getvalue().splitlines())


def _changed(shown: dict[str, Any]) -> Changed:
    return Changed(SCOPES[shown["kind"]], deleted=False, object=shown)


def test_it_ends_when_everything_is_ready(clock: FakeClock) -> None:
    """Success is reported the moment it is seen, with the second it happened."""
    run = _Run(clock, (2, deployment()), (7.5, deployment(1)))

    assert run.until_healthy()
    assert (run.results["web"].outcome, run.results["web"].after_s) == (Outcome.READY, 7.5)
    assert clock.time == 7.5
    assert run.results["web"].diagnosis is None


def test_nothing_to_wait_for_is_healthy(clock: FakeClock) -> None:
    """A stack without workloads is done at once."""
    run = _Run(clock)
    run.wait.expect([])

    assert run.wait.until_healthy()
    assert run.wait.results() == []


def test_a_cause_is_told_once_and_early(clock: FakeClock) -> None:
    """The user reads the cause within a second, once, however many pods show it how long."""
    bad = [(2.0 + n, pod(f"p{n}", NO_SECRET)) for n in range(3)]
    run = _Run(clock, (1, deployment()), (1, replica_set()), *bad, timeout_s=20)

    assert not run.until_healthy()
    assert run.shown('secret "db" not found') == 1
    [line] = [text for text in run.stream.getvalue().splitlines() if "not found" in text]
    assert line.startswith("wait       2.0 s")


def test_the_first_failure_collects_others(clock: FakeClock) -> None:
    """One run of a bad deploy reports all of its failures, not only the quickest."""
    late = [(2.0 + COLLECT_S - 1, BROKEN_JOB)]
    bad = [(1, deployment()), (1, replica_set()), (2, pod("a", BAD_NAME))]
    run = _Run(clock, *bad, *late)

    assert not run.until_healthy(target(), target("Job", "job"), target(name="silent"))
    assert {n: r.outcome for n, r in run.results.items()} == {
        "web": Outcome.FAILED,
        "job": Outcome.FAILED,
        "silent": Outcome.NOT_READY,
    }
    assert clock.time == 2 + COLLECT_S
    assert not run.wait.timed_out


def test_an_outage_is_no_basis_for_a_verdict(clock: FakeClock) -> None:
    """What lasts beyond its grace while nothing is heard may have been cured: that comes first."""
    run = _Run(clock, *TROUBLE, (5, STALE_S), (300, deployment(1)), (300, 0.0))

    assert run.until_healthy()
    assert clock.time == 300.0


def test_the_deadline_holds_in_an_outage(clock: FakeClock) -> None:
    """What was known before is reported."""
    run = _Run(clock, *TROUBLE, (5, STALE_S), timeout_s=50)

    assert not run.until_healthy()
    assert (clock.time, run.wait.timed_out) == (50.0, True)
    assert run.results["web"].outcome is Outcome.TIMED_OUT
    assert run.shown('secret "db" not found') == 1


def test_a_verdict_that_is_about_to_come_is_collected_too(clock: FakeClock) -> None:
    """Of three mistakes in one deploy the slowest is not left half-told."""
    late = [(1, deployment()), (1, replica_set()), (2, pod("a", NO_SECRET))]
    run = _Run(clock, *late, (19, BROKEN_JOB))

    assert not run.until_healthy(target(), target("Job", "job"))
    assert {r.outcome for r in run.results.values()} == {Outcome.FAILED}
    assert clock.time == 2 + GRACE_CONFIG_S


def test_when_nobody_is_left_to_wait_for_it_ends_at_once(clock: FakeClock) -> None:
    """All have failed or are ready: collecting longer would bring nothing."""
    run = _Run(clock, (1, deployment(1)), (3, BROKEN_JOB))

    assert not run.until_healthy(target(), target("Job", "job"))
    assert clock.time == 3


def test_what_heals_while_failures_are_collected_is_waited_for(clock: FakeClock) -> None:
    """A workload that failed for a moment and recovers does not end the wait half-way."""
    run = _Run(
        clock,
        (1, deployment()),
        (1, replica_set()),
        (2, pod("a", BAD_NAME)),
        (4, pod("a", running())),
        (60, deployment(1)),
        (60, DONE_JOB),
    )

    assert run.until_healthy(target(), target("Job", "job"))
    assert clock.time == 60


def test_a_missing_object_that_appears_is_no_failure(clock: FakeClock) -> None:
    """The Secret is made while we wait; the pod starts later than its grace: healthy."""
    run = _Run(
        clock,
        (1, deployment()),
        (1, replica_set()),
        (2, pod("a", NO_SECRET)),
        (100, deployment(1)),
    )
    run.cluster.objects["Secret", "shop", "db"] = {"metadata": {"uid": "db"}}

    assert run.until_healthy()


def test_without_permission_to_read_secrets_the_kubelet_is_believed(clock: FakeClock) -> None:
    """An account that may not read Secrets still gets its report."""
    run = _Run(clock, (1, deployment()), (1, replica_set()), (2, pod("a", NO_SECRET)))
    run.cluster.forbidden_kinds.add("Secret")

    assert not run.until_healthy()
    assert run.results["web"].detail == "Secret db is missing"


def test_a_time_out_names_whom_it_waited_for(clock: FakeClock) -> None:
    """What was still healthy so far is not called failed."""
    run = _Run(clock, (1, deployment()), (1, DONE_JOB), timeout_s=30)

    assert not run.until_healthy(target(), target("Job", "job"))
    assert run.wait.timed_out
    assert clock.time == 30
    assert {n: r.outcome for n, r in run.results.items()} == {
        "web": Outcome.TIMED_OUT,
        "job": Outcome.READY,
    }
    diagnosis = run.results["web"].diagnosis
    assert diagnosis is not None
    assert diagnosis.cause == "no pods yet"


def test_a_time_out_before_anything_was_seen_names_everybody(clock: FakeClock) -> None:
    """Even if the lists never arrive, the wait ends and says for whom."""
    run = _Run(clock, timeout_s=10, listed=False)

    assert not run.until_healthy()
    assert run.wait.timed_out
    assert run.results["web"].outcome is Outcome.TIMED_OUT


def test_a_refused_watch_ends_the_wait(clock: FakeClock) -> None:
    """Without permission to watch pods nothing can be said; events are not needed."""
    optional = Refused(SCOPES["Event"], ClusterError("c", "no events"))
    assert _Run(clock, (0.2, optional), (1, deployment(1))).until_healthy()

    with pytest.raises(ClusterError, match="no pods"):
        _Run(clock, (0, Refused(SCOPES["Pod"], ClusterError("c", "no pods")))).until_healthy()


def test_the_log_of_a_crash_is_read_at_once_and_kept(clock: FakeClock) -> None:
    """The last lines are fetched when the crash is seen: the pod may be gone later."""
    run = _Run(
        clock,
        (1, deployment()),
        (1, replica_set()),
        (2, pod("a", crashed(1))),
        (3, Changed(SCOPES["Pod"], deleted=True, object=pod("a", crashed(1)))),
        timeout_s=20,
    )
    run.cluster.log_lines = ["starting", "panic: no database"]

    assert not run.until_healthy()
    assert run.cluster.calls == ["logs a app"]
    assert run.shown("| panic: no database") == 1
    diagnosis = run.results["web"].diagnosis
    assert diagnosis is not None
    assert diagnosis.log == ("starting", "panic: no database")


@pytest.mark.parametrize(("after_s", "shown"), [(1, 1), (LOG_PATIENCE_S + 5, 0)])
def test_the_end_waits_a_moment_for_the_log(clock: FakeClock, after_s: float, shown: int) -> None:
    """A Job that has failed for good is reported with its last words, if they come soon."""
    bad = pod("a", crashed(1), owner="Job-job")
    run = _Run(clock, (2, bad), (2, BROKEN_JOB), answers_after_s=after_s)
    run.cluster.log_lines = ["panic: no database"]

    assert not run.until_healthy(target("Job", "job"))
    assert run.shown("| panic: no database") == shown
    assert run.shown("container app: exit code 1") == 1
    assert clock.time <= 2 + LOG_PATIENCE_S + 0.1


def test_a_log_that_may_not_be_read_is_a_warning(clock: FakeClock) -> None:
    """The cause is known without the log; the report is worth more."""

    class _Secretive(FakeCluster):
        def logs(self, *_: Any, **__: Any) -> list[str]:
            raise ClusterError("c", "forbidden", status=403)

    bad = [(1, deployment()), (1, replica_set()), (2, pod("a", crashed(1)))]
    run = _Run(clock, *bad, cluster=_Secretive(), timeout_s=20)

    assert not run.until_healthy()
    assert run.shown("warning: log of a: forbidden") == 1
    assert run.results["web"].detail == "0 of 1 pod ready: crashed with exit code 1"


def test_a_second_wave_shares_the_time_and_the_results(clock: FakeClock) -> None:
    """The time-out counts for the whole run; the report names the workloads of all waves."""
    run = _Run(clock, (8, DONE_JOB), timeout_s=20)
    assert run.until_healthy(target("Job", "job"))

    assert not run.until_healthy(target())
    assert clock.time == 20
    assert [result.outcome for result in run.wait.results()] == [Outcome.READY, Outcome.TIMED_OUT]


def test_each_result_brings_its_history(clock: FakeClock) -> None:
    """When it was applied, when the cause was first seen, when it was decided: for every report."""
    bad = [(2, deployment()), (2, replica_set()), (3, pod("a", BAD_NAME))]
    run = _Run(clock, (1, DONE_JOB), *bad, (15, deployment()))
    assert run.until_healthy(target("Job", "job"))

    assert not run.until_healthy(target(), target(name="silent"))
    told = {
        name: [(moment.at_s, moment.kind.value) for moment in result.history]
        for name, result in run.results.items()
    }
    assert told["job"] == [(0, "applied"), (1, "ready")]
    assert told["web"] == [(1, "applied"), (2, "progress"), (3, "symptom"), (3, "failed")]
    assert told["silent"] == [(1, "applied"), (13, "stopped")]
    assert run.results["web"].begun_s == 1
    assert "couldn't parse" in run.results["web"].history[2].text


def test_a_time_out_stands_in_the_history(clock: FakeClock) -> None:
    """The last moment of what was waited for in vain is the end of the time."""
    run = _Run(clock, (1, deployment()), timeout_s=30)

    assert not run.until_healthy()
    assert (run.results["web"].history[-1].at_s, run.results["web"].history[-1].kind.value) == (
        *(30, "timed out"),
    )


def test_another_answer_of_a_probe_is_told_again(clock: FakeClock) -> None:
    """First nothing listens, then it answers 500: a few answers, not one line for each try."""
    silent = pod("a", running())
    answers = ["connection refused", "HTTP 500", "connection refused", "HTTP 501", "HTTP 502"]
    told = [event(silent, "Unhealthy", f"Readiness probe failed: {answer}") for answer in answers]
    for number, each in enumerate(told):
        each["metadata"]["uid"] = "one"
        each["lastTimestamp"] = f"2026-01-02T03:04:{number:02}Z"
    shown = [(5.0 + 5 * number, each) for number, each in enumerate(told)]
    run = _Run(clock, (1, deployment()), (1, replica_set()), (1, silent), *shown, timeout_s=60)

    assert not run.until_healthy()
    assert [run.shown(f"failed: {answer} (Unhealthy)") for answer in answers[1:]] == [1, 1, 1, 0]


# ---- while the cluster is away -------------------------------------------------------------------


def test_nothing_is_concluded_from_what_is_old(clock: FakeClock) -> None:
    """The API server is away while a grace ends; meanwhile the Secret was made: no failure."""
    bad = [(1, deployment()), (1, replica_set()), (2, pod("a", BAD_PULL))]
    run = _Run(clock, *bad, (70, deployment(1)))
    clock.at(10, lambda: setattr(run.feed, "lost_s", STALE_S + 1))
    clock.at(60, lambda: setattr(run.feed, "lost_s", 0.0))

    assert run.until_healthy()
    assert clock.time == 70


def test_what_is_still_broken_after_an_outage_fails(clock: FakeClock) -> None:
    """As soon as the nodes have had the time to report."""
    bad = [(1, deployment()), (1, replica_set()), (2, pod("a", BAD_PULL))]
    run = _Run(clock, *bad)
    clock.at(10, lambda: setattr(run.feed, "lost_s", STALE_S + 1))
    clock.at(60, lambda: setattr(run.feed, "lost_s", 0.0))

    assert not run.until_healthy()
    assert run.results["web"].outcome is Outcome.FAILED
    assert run.results["web"].after_s >= 60


# ---- a time of its own, and pods that are in the way ---------------------------------------------


def test_an_object_may_have_less_time_than_the_run(clock: FakeClock) -> None:
    """Nobody waits ten minutes for what is known to need one."""
    run = _Run(clock, (1, deployment()), timeout_s=600)

    assert not run.until_healthy(target(timeout_s=30))
    assert run.results["web"].outcome is Outcome.TIMED_OUT
    assert run.results["web"].after_s == 30
    assert (clock.time, run.wait.timed_out) == (30, False)


def test_the_others_are_given_time_to_fail_too(clock: FakeClock) -> None:
    """As after a failure; one that becomes ready meanwhile is ready."""
    run = _Run(clock, (1, deployment()), (34, deployment(1)), (500, DONE_JOB))

    assert not run.until_healthy(target(timeout_s=30), target("Job", "job"), target(name="slow"))
    assert clock.time >= 500


BLOCKER = pod("db-0", BAD_NAME, owner="StatefulSet-db", labels={"controller-revision-hash": "1"})
BLOCKED = found(
    "StatefulSet", "db", spec={}, status={"updateRevision": "2", "observedGeneration": 1}
)


def test_a_pod_in_the_way_is_deleted_if_that_is_allowed(clock: FakeClock) -> None:
    """The annotation says so; exactly that pod, once, and the wait goes on."""
    gone = Changed(SCOPES["Pod"], deleted=True, object=BLOCKER)
    done = found("StatefulSet", "db", status={**BLOCKED["status"], "replicas": 1, **_COMPLETE})
    run = _Run(clock, (1, BLOCKED), (1, BLOCKER), (30, gone), (40, done))
    run.cluster.objects["Pod", "shop", "db-0"] = BLOCKER

    assert run.until_healthy(target("StatefulSet", "db", replaces_pods=True))
    assert [c for c in run.cluster.calls if c.startswith("delete")] == [
        "delete Pod db-0 Background"
    ]
    assert run.shown("deleting Pod shop/db-0") == 1


def test_otherwise_it_fails_and_says_how_to_mend_it(clock: FakeClock) -> None:
    """Deleting somebody's pod is not ours to decide."""
    run = _Run(clock, (1, BLOCKED), (1, BLOCKER))

    assert not run.until_healthy(target("StatefulSet", "db"))
    diagnosis = run.results["db"].diagnosis
    assert diagnosis is not None
    assert "kubectl delete pod db-0" in diagnosis.hint
    assert not [c for c in run.cluster.calls if c.startswith("delete")]


def test_a_pod_that_may_not_be_deleted_fails_as_well(clock: FakeClock) -> None:
    """The permission is missing: said once."""

    class _Strict(FakeCluster):
        def delete(self, *_: Any, **__: Any) -> bool:
            raise ClusterError("DELETE", "forbidden", status=403)

    run = _Run(clock, (1, BLOCKED), (1, BLOCKER), cluster=_Strict())

    assert not run.until_healthy(target("StatefulSet", "db", replaces_pods=True))
    assert run.shown("pod db-0 was not deleted") == 1


def test_what_is_odd_about_something_ready_is_a_warning(clock: FakeClock) -> None:
    """A paused Deployment is no failure, and no full success either."""
    paused = deployment(0)
    paused["spec"]["paused"] = True
    run = _Run(clock, (1, paused))

    assert run.until_healthy()
    assert run.shown("warning: Deployment shop/web: paused: its rollout does not go on") == 1


_COMPLETE = {"updatedReplicas": 1, "readyReplicas": 1, "currentRevision": "2"}


def test_an_object_that_is_forgotten_is_waited_for_no_longer(clock: FakeClock) -> None:
    """Who waits for whatever matches drops what is gone, and decides by the rest."""
    run = _Run(clock, (1, deployment()), (2, DONE_JOB))
    run.wait.expect([target(), target("Job", "job")])
    while clock.time < 3:
        assert run.wait.advance() is None

    run.wait.forget(target())

    assert run.wait.advance() is True
    assert list(run.results) == ["job"]
