"""One run at a time, whatever happens to the others, to the clocks and to the requests."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.apply.lease import LEASE, RunLease
from codexctl_tasks.errors import (
    Cause,
    ClusterError,
    DeadlineError,
    Interrupted,
    TransientClusterError,
)
from codexctl_tasks.world.clock import SystemClock
from tests.support.fakes import FakeClock, FakeCluster

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = ("Lease", "shop", "codexctl-shop")
NOON = datetime(2026, 1, 2, 12, 3, 10, tzinfo=UTC)
OURS, THEIRS = "me@laptop (process 1)", "https://github.com/o/r/actions/runs/12 (attempt 1)"
FORBIDDEN = ClusterError("POST", "leases is forbidden", status=403, reason="Forbidden")
AWAY = TransientClusterError("https://fake:6443", "cannot be reached")


class _Cluster(FakeCluster):
    """Refuses the next calls of a verb as it is told, before it does them or after."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[str, list[BaseException]] = {}
        self.unheard: dict[str, list[BaseException]] = {}
        self.before_replace: Callable[[], None] = lambda: None
        self.before_delete: Callable[[], None] = lambda: None

    def get(self, *request: Any) -> Any:
        return self._answer("get", lambda: FakeCluster.get(self, *request))

    def create(self, *request: Any) -> Any:
        return self._answer("create", lambda: FakeCluster.create(self, *request))

    def replace(self, *request: Any) -> Any:
        self.before_replace()
        return self._answer("replace", lambda: FakeCluster.replace(self, *request))

    def delete(self, *request: Any, **more: Any) -> Any:
        self.before_delete()
        return self._answer("delete", lambda: FakeCluster.delete(self, *request, **more))

    def _answer(self, verb: str, send: Callable[[], Any]) -> Any:
        if self.refused.get(verb):
            raise self.refused[verb].pop(0)
        answer = send()
        if self.unheard.get(verb):
            raise self.unheard[verb].pop(0)
        return answer

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.objects[KEY]["spec"]
        return found

    def held_by(self, holder: str, **more: Any) -> None:
        """Let another run hold the lease, or renew it."""
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": 20,
            "acquireTime": "2026-01-02T12:03:10.000000Z",
            **more,
        }
        self.put({"spec": spec})

    def put(self, content: dict[str, Any], **metadata: Any) -> None:
        """Store a Lease, whoever had it."""
        identity = {"apiVersion": LEASE.api_version, "kind": LEASE.kind}
        body = {
            **identity,
            "metadata": {"name": KEY[2], "namespace": KEY[1], **metadata},
            **content,
        }
        self.objects[KEY] = self._stored(body, self.objects.get(KEY))

    def drop(self) -> None:
        """Delete the Lease."""
        self.objects.pop(KEY, None)

    def count(self, verb: str) -> int:
        return sum(call.startswith(verb) for call in self.calls)


class _Desk:
    """One run at its place: what it was told, and the lease it is after."""

    def __init__(self, cluster: _Cluster, clock: FakeClock, holder: str = OURS) -> None:
        self.told: list[str] = []
        self.asleep = timedelta()
        self.lease = RunLease(
            cluster,
            clock,
            namespace=KEY[1],
            name=KEY[2],
            holder=holder,
            announce=self.told.append,
            wall=lambda: NOON + timedelta(seconds=clock.now()) + self.asleep,
        )

    def acquire(self, within_s: float = 300.0) -> bool:
        return self.lease.acquire(within_s)


@pytest.fixture
def cluster() -> _Cluster:
    return _Cluster()


@pytest.fixture
def desk(cluster: _Cluster, clock: FakeClock) -> Any:
    desk = _Desk(cluster, clock)
    with desk.lease:
        yield desk


def test_a_run_alone_does_not_notice(cluster: _Cluster, desk: _Desk, clock: FakeClock) -> None:
    """The usual case: no waiting, no line, and a Lease as Kubernetes defines it."""
    assert desk.acquire() is False

    assert cluster.spec == {
        "holderIdentity": OURS,
        "leaseDurationSeconds": 20,
        "acquireTime": "2026-01-02T12:03:10.000000Z",
        "renewTime": "2026-01-02T12:03:10.000000Z",
        "leaseTransitions": 0,
    }
    desk.lease.check()
    assert (desk.told, clock.sleeps) == ([], [])
    assert cluster.calls == ["create Lease codexctl-shop"]


def test_nothing_stays_behind(cluster: _Cluster, desk: _Desk) -> None:
    """The lease is gone after the run; releasing twice is harmless."""
    with desk.lease:
        desk.acquire()
    desk.lease.release()

    assert cluster.objects == {}
    assert cluster.count("delete") == 1


def test_a_second_run_waits_and_says_for_whom(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """It goes on when the first is done, and knows that what it read may be stale."""
    cluster.held_by(THEIRS)
    clock.at(5, cluster.drop)

    assert desk.acquire() is True

    assert desk.told == [
        f"waiting for {THEIRS}, which has held Lease shop/codexctl-shop since 12:03:10 UTC",
        f"{THEIRS} no longer holds Lease shop/codexctl-shop: going on",
    ]
    assert cluster.spec["holderIdentity"] == OURS
    assert cluster.count("get") == 6  # one look each second, and none more


def test_a_long_wait_is_told_again(cluster: _Cluster, desk: _Desk, clock: FakeClock) -> None:
    """Nobody believes that the run hangs."""
    cluster.held_by(THEIRS)
    for second in range(0, 95, 5):
        clock.at(second, lambda: cluster.held_by(THEIRS))
    clock.at(95, cluster.drop)

    desk.acquire()

    assert [line.partition(" for ")[0] for line in desk.told[:-1]] == [
        "waiting",
        *3 * ["still waiting"],
    ]


def test_the_next_one_in_the_queue_is_named(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """When another waiting run was faster, it is said whom one waits for now."""
    cluster.held_by(THEIRS)
    clock.at(3, lambda: cluster.held_by("third", acquireTime="2026-01-02T12:03:13.000000Z"))
    clock.at(6, cluster.drop)

    desk.acquire()

    assert [line.partition(",")[0] for line in desk.told[:2]] == [
        f"waiting for {THEIRS}",
        "waiting for third",
    ]


def test_waiting_ends_with_the_time_of_the_run(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """Exit code 70: who holds it, since when, and how to free a stack that is stuck."""
    cluster.held_by(THEIRS, leaseDurationSeconds=3600)

    with pytest.raises(DeadlineError) as caught:
        desk.acquire(within_s=12.5)

    assert caught.value.exit_code == 70
    assert str(caught.value) == (
        f"Lease shop/codexctl-shop: still held by {THEIRS} since 12:03:10 UTC: "
        "end that run or wait for it; if it hangs: "
        "kubectl --namespace shop delete lease codexctl-shop"
    )
    assert clock.time == 12.5
    assert cluster.spec["holderIdentity"] == THEIRS


@pytest.mark.parametrize("hours", [-5, 0, 5])
def test_the_lease_of_a_dead_run_is_taken_over(
    cluster: _Cluster, desk: _Desk, clock: FakeClock, hours: int
) -> None:
    """A killed run blocks nobody for long, even if its clock was hours away from ours."""
    then = (NOON + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    cluster.held_by(THEIRS, acquireTime=then, renewTime=then, leaseTransitions=4)

    assert desk.acquire() is True

    assert (cluster.spec["holderIdentity"], cluster.spec["leaseTransitions"]) == (OURS, 5)
    assert desk.told[-1] == (
        f"{THEIRS} has not been heard of for 20 s: took Lease shop/codexctl-shop over"
    )
    assert 20 <= clock.time < 22


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_run_that_lives_is_never_robbed(
    cluster: _Cluster, desk: _Desk, clock: FakeClock, hours: int
) -> None:
    """Each renewal counts, whatever time its clock writes."""
    then = (NOON + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for second in range(0, 290, 15):
        clock.at(second, lambda: cluster.held_by(THEIRS, renewTime=then))
    cluster.held_by(THEIRS, renewTime=then)

    with pytest.raises(DeadlineError):
        desk.acquire()

    assert cluster.count("replace") == 0


def test_the_holder_says_how_long_it_may_be_silent(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """Another version of this program may be slower to renew."""
    cluster.held_by(THEIRS, leaseDurationSeconds=60)

    assert desk.acquire() is True

    assert 60 <= clock.time < 62


def test_a_restart_of_the_api_server_makes_nobody_dead(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """While the waiting run could not look, the other could not renew: its time begins anew."""
    cluster.held_by(THEIRS)
    clock.at(3, lambda: clock.pass_time(60))  # the look that comes next took so long
    clock.at(64, lambda: clock.at(74, lambda: cluster.held_by(THEIRS)))
    clock.at(80, cluster.drop)

    assert desk.acquire() is True

    assert cluster.count("replace") == 0
    assert "no longer holds" in desk.told[-1]


@pytest.mark.parametrize("content", [{}, {"spec": {"holderIdentity": ""}}])
def test_a_lease_of_nobody_is_free(
    cluster: _Cluster, desk: _Desk, clock: FakeClock, content: dict[str, Any]
) -> None:
    """Other tools give a lease back by emptying it."""
    cluster.put(content)

    desk.acquire()

    assert cluster.spec["holderIdentity"] == OURS
    assert clock.sleeps == []


def test_one_of_two_takes_over(cluster: _Cluster, desk: _Desk, clock: FakeClock) -> None:
    """Both see that the holder is dead; who comes second goes on waiting."""
    cluster.held_by(THEIRS)

    def third_is_faster() -> None:
        cluster.before_replace = lambda: None
        cluster.held_by("third")
        clock.at(clock.time + 4, cluster.drop)

    cluster.before_replace = third_is_faster

    assert desk.acquire() is True

    assert "third no longer holds" in desk.told[-1]
    assert cluster.spec["leaseTransitions"] == 0


def test_a_lease_on_its_way_out_is_not_taken_over(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """What is deleted in the foreground would vanish under the run that took it over."""
    cluster.put({"spec": {"holderIdentity": THEIRS}}, deletionTimestamp="2026-01-02T12:03:10Z")
    clock.at(40, cluster.drop)

    assert desk.acquire() is True

    assert cluster.count("replace") == 0
    assert cluster.spec["holderIdentity"] == OURS


def test_the_lost_answer_to_a_creation(cluster: _Cluster, desk: _Desk, clock: FakeClock) -> None:
    """The repeated request finds the Lease of the first: no run waits for itself."""
    cluster.unheard["create"] = [ClusterError("POST", "exists", status=409, reason="AlreadyExists")]

    assert desk.acquire() is False

    desk.lease.check()
    assert (desk.told, clock.sleeps) == ([], [])


def test_a_lease_that_is_deleted_before_it_was_noticed(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """Made, unheard, on its way out again: the run makes one that lasts."""
    cluster.put({"spec": {"holderIdentity": OURS}}, deletionTimestamp="2026-01-02T12:03:10Z")
    cluster.spec["acquireTime"] = "2026-01-02T12:03:10.000000Z"
    clock.at(5, cluster.drop)

    assert desk.acquire() is True

    assert cluster.count("create") == 2


def test_the_lost_answer_to_a_take_over(cluster: _Cluster, desk: _Desk) -> None:
    """The repeated request is refused, and the lease is ours all the same."""
    cluster.held_by(THEIRS)
    cluster.unheard["replace"] = [ClusterError("PUT", "modified", status=409, reason="Conflict")]

    assert desk.acquire() is True

    desk.lease.check()
    assert cluster.spec["holderIdentity"] == OURS


def test_a_run_of_the_same_name_is_another_run(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """Two jobs of one matrix may call themselves the same: one waits."""
    cluster.held_by(OURS, acquireTime="2026-01-02T12:03:09.999999Z")
    clock.at(5, cluster.drop)

    assert desk.acquire() is True

    assert desk.told[0].startswith(f"waiting for {OURS}")


def test_a_holder_is_one_line(cluster: _Cluster, desk: _Desk, clock: FakeClock) -> None:
    """What somebody wrote into a Lease by hand does not break the log."""
    cluster.held_by("two\nlines", acquireTime=None)
    clock.at(5, cluster.drop)

    desk.acquire()

    assert desk.told[0] == "waiting for two lines, which has held Lease shop/codexctl-shop"


@pytest.mark.parametrize(
    "error",
    [
        ClusterError("POST", 'namespaces "shop" not found', status=404, reason="NotFound"),
        ClusterError(
            "POST",
            "terminating",
            status=403,
            causes=(Cause("metadata.namespace", "is terminating"),),
        ),
        AWAY,
    ],
)
def test_a_namespace_that_cannot_hold_a_lease_is_told(
    cluster: _Cluster, desk: _Desk, error: ClusterError
) -> None:
    """Missing, on its way out, out of reach: the caller gets the answer as it is."""
    cluster.refused["create"] = [error]

    with pytest.raises(ClusterError) as caught:
        desk.acquire()

    assert caught.value is error
    assert desk.told == []


@pytest.mark.parametrize("verb", ["create", "get"])
def test_an_account_without_rights_goes_on_with_a_warning(
    cluster: _Cluster, desk: _Desk, clock: FakeClock, verb: str
) -> None:
    """A deploy that worked before still works; one line says what to allow."""
    cluster.held_by(THEIRS)
    cluster.refused[verb] = [FORBIDDEN] * 3

    assert desk.acquire() is False

    clock.time += 1000
    desk.lease.check()
    desk.lease.release()
    [line] = desk.told
    assert line == (
        "nothing keeps another run from changing this stack at the same time: leases is "
        "forbidden: allow this account to create, get, update and delete "
        "leases.coordination.k8s.io in namespace shop"
    )
    assert cluster.spec["holderIdentity"] == THEIRS


def test_an_account_that_cannot_renew_goes_on_with_a_warning(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """Half of the rights is no reason to stop in the middle."""
    desk.acquire()
    cluster.refused["replace"] = [FORBIDDEN]

    clock.time += 11
    desk.lease.check()
    clock.time += 11
    desk.lease.check()

    assert [line.partition(":")[0] for line in desk.told] == [
        "nothing keeps another run from changing this stack at the same time"
    ]


def test_a_check_costs_nothing_while_the_lease_is_fresh(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """It may be asked before each object."""
    desk.acquire()

    for _ in range(100):
        clock.time += 0.1
        desk.lease.check()

    assert cluster.count("replace") == 0


def test_a_run_that_was_asleep_looks_before_it_goes_on(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """Whether the process was stopped or the laptop closed: nothing is applied on trust."""
    desk.acquire()

    clock.time += 60
    desk.lease.check()
    desk.asleep = timedelta(hours=1)  # the monotonic clock stood still
    desk.lease.check()
    desk.lease.check()

    assert cluster.count("replace") == 2
    assert cluster.spec["renewTime"] == "2026-01-02T13:04:10.000000Z"


def test_a_lost_lease_stops_the_run(cluster: _Cluster, desk: _Desk, clock: FakeClock) -> None:
    """Exit code 4: who has taken it; the other run is left in peace."""
    desk.acquire()
    cluster.held_by(THEIRS)

    clock.time += 30
    with pytest.raises(ClusterError, match="taken over"):
        desk.lease.check()
    with pytest.raises(ClusterError) as caught:
        desk.lease.check()
    desk.lease.release()

    assert caught.value.exit_code == 4
    assert str(caught.value) == (
        f"Lease shop/codexctl-shop: taken over by {THEIRS}, which has held it since "
        "12:03:10 UTC: nothing more is applied; run again when the other is done"
    )
    assert cluster.spec["holderIdentity"] == THEIRS
    assert desk.told == []


@pytest.mark.parametrize("at_once", [True, False])
def test_deleting_the_lease_by_hand_stops_the_holder(
    cluster: _Cluster, desk: _Desk, clock: FakeClock, *, at_once: bool
) -> None:
    """So a stuck stack is freed; the old holder does not make the lease anew."""
    desk.acquire()
    if at_once:
        cluster.drop()
    else:
        cluster.put({"spec": cluster.spec}, deletionTimestamp="2026-01-02T12:03:10Z")

    clock.time += 30
    with pytest.raises(ClusterError, match="somebody deleted it while this run held it"):
        desk.lease.check()
    desk.lease.release()

    assert cluster.count("create") == 1


def test_a_lease_that_goes_with_its_namespace_is_no_news(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """Whoever destroys an environment reads nothing about a loss."""
    desk.acquire()
    desk.lease.expect_end()
    cluster.drop()

    clock.time += 30
    desk.lease.check()
    desk.lease.release()

    assert desk.told == []
    assert cluster.count("create") == 1


def test_a_lease_that_was_lost_before_stops_the_run_in_time(
    cluster: _Cluster, desk: _Desk, clock: FakeClock
) -> None:
    """The namespace is not deleted while another run works in it."""
    desk.acquire()
    cluster.held_by(THEIRS)

    clock.time += 30
    with pytest.raises(ClusterError, match="taken over"):
        desk.lease.expect_end()


def test_a_label_set_by_hand_is_no_loss(cluster: _Cluster, desk: _Desk, clock: FakeClock) -> None:
    """The version changed, the holder did not."""
    desk.acquire()
    cluster.put({"spec": cluster.spec}, labels={"team": "shop"})

    clock.time += 11
    desk.lease.check()

    assert cluster.objects[KEY]["metadata"]["labels"] == {"team": "shop"}
    assert cluster.spec["renewTime"] == "2026-01-02T12:03:21.000000Z"


def test_the_lost_answer_to_a_renewal(cluster: _Cluster, desk: _Desk, clock: FakeClock) -> None:
    """The repeated request is refused by the version that the first one made: no loss."""
    desk.acquire()
    cluster.unheard["replace"] = [ClusterError("PUT", "modified", status=409, reason="Conflict")]

    clock.time += 11
    desk.lease.check()

    assert cluster.count("replace") == 2


def test_a_lease_that_never_keeps_still(cluster: _Cluster, desk: _Desk, clock: FakeClock) -> None:
    """Something writes it all the time: the run ends instead of fighting without an end."""
    desk.acquire()
    cluster.before_replace = lambda: cluster.put({"spec": cluster.spec})

    clock.time += 11
    with pytest.raises(ClusterError, match="changed 5 times while it was renewed"):
        desk.lease.check()


def test_an_api_server_that_comes_back(cluster: _Cluster, desk: _Desk, clock: FakeClock) -> None:
    """Nothing is applied while it is not known whose lease it is; then the run goes on."""
    desk.acquire()
    cluster.refused["replace"] = [AWAY]

    clock.time += 11
    with pytest.raises(TransientClusterError, match="cannot be reached"):
        desk.lease.check()
    desk.lease.check()

    assert cluster.spec["renewTime"] == "2026-01-02T12:03:21.000000Z"


def test_a_renewal_on_its_way_does_not_keep_the_lease(cluster: _Cluster, desk: _Desk) -> None:
    """The version changes while the lease is given back: it is given back all the same."""
    desk.acquire()

    def renew() -> None:
        cluster.before_delete = lambda: None
        cluster.put({"spec": cluster.spec})

    cluster.before_delete = renew
    desk.lease.release()

    assert cluster.objects == {}
    assert cluster.count("delete") == 2


@pytest.mark.parametrize(("verb", "error"), [("get", AWAY), ("delete", FORBIDDEN)])
def test_a_lease_that_cannot_be_given_back_is_told(
    cluster: _Cluster, desk: _Desk, verb: str, error: ClusterError
) -> None:
    """The run ends as it would have ended; the next one waits a little."""
    desk.acquire()
    cluster.refused[verb] = [error]

    desk.lease.release()

    [line] = desk.told
    assert line == (
        f"Lease shop/codexctl-shop was not given back: {error.what}: "
        "the next run takes it over after 20 s of silence"
    )


def test_ctrl_c_while_waiting(cluster: _Cluster, desk: _Desk, clock: FakeClock) -> None:
    """The interruption passes through, and the other run keeps its lease."""
    cluster.held_by(THEIRS)

    def interrupt() -> None:
        raise Interrupted(2)

    clock.at(3, interrupt)

    with pytest.raises(Interrupted), desk.lease:
        desk.acquire()

    assert cluster.spec["holderIdentity"] == THEIRS
    assert len(desk.told) == 1


def test_ctrl_c_in_the_moment_of_getting_it(cluster: _Cluster, desk: _Desk) -> None:
    """The server may have made the Lease already: it is given back."""
    cluster.unheard["create"] = [Interrupted(15)]

    with pytest.raises(Interrupted), desk.lease:
        desk.acquire()

    assert cluster.objects == {}


def test_a_held_lease_is_renewed_in_the_background(cluster: _Cluster) -> None:
    """The longest wait for a rollout does not make the run look dead, bad moments included."""
    renewed = threading.Semaphore(0)
    cluster.before_replace = renewed.release
    cluster.refused["replace"] = [AWAY]
    lease = RunLease(
        cluster,
        SystemClock(),
        namespace=KEY[1],
        name=KEY[2],
        holder=OURS,
        announce=pytest.fail,
        lease_s=1,
    )
    with lease:
        lease.acquire(0)
        first = cluster.objects[KEY]["metadata"]["resourceVersion"]
        for _ in range(3):
            assert renewed.acquire(timeout=60)
        lease.check()
        assert cluster.objects[KEY]["metadata"]["resourceVersion"] != first

    assert cluster.objects == {}
    assert LEASE.path("shop") == "/apis/coordination.k8s.io/v1/namespaces/shop/leases"
