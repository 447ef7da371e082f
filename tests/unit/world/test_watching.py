"""One LIST and one watch per scope, told as notices, whatever the network does."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import (
    BrokenStreamError,
    ClusterError,
    ExpiredError,
    TransientClusterError,
)
from codexctl_tasks.world.cluster import Resource, WatchEvent
from codexctl_tasks.world.watching import (
    LONGEST_PAUSE_S,
    PAUSE_S,
    REFUSALS_PASS_S,
    Changed,
    ClusterFeed,
    Listed,
    Notice,
    Refused,
    Scope,
)
from tests.support.fakes import FakeCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.support.fakes import FakeClock

POD = Resource("v1", "Pod", "pods", namespaced=True)
SCOPE = Scope(POD, "n")
BROKEN = BrokenStreamError("https://c", "the stream broke: reset")
EXPIRED = ExpiredError("c", "410")
AWAY = TransientClusterError("https://c", "cannot be reached: connection refused")
FORBIDDEN = ClusterError("c", "forbidden", status=403)
LOST = "watch on pods: cannot be reached: connection refused; resuming"

Entry = WatchEvent | Exception


def _busy(seconds: float) -> TransientClusterError:
    error = TransientClusterError("c", "the API server answered 429: slow down")
    error.retry_after_s = seconds
    return error


def _pod(name: str, version: int) -> dict[str, Any]:
    metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"kind": "Pod", "metadata": metadata}


def _event(kind: str, name: str, version: int) -> WatchEvent:
    return WatchEvent(kind, _pod(name, version))


class _ScriptedCluster(FakeCluster):
    """
    Answers each list and each watch from a script; the watch after the last one blocks.

    An exception in place of a watch: it cannot be opened; within a watch: it breaks there. A
    function in place of a list is called for it.
    """

    def __init__(
        self,
        lists: Sequence[
            tuple[list[Mapping[str, Any]], str] | Exception | Callable[[], tuple[Any, str]]
        ],
        watches: Sequence[Sequence[Entry] | Exception] = (),
    ) -> None:
        super().__init__()
        self._lists, self._watches = deque(lists), deque(watches)
        self.watched_from: list[str] = []
        self.go_on = threading.Event()
        self.ended = threading.Event()

    def list_objects(self, resource: Resource, namespace: str, *, repeats: bool = True) -> Any:
        assert not repeats, "the feed has a patience of its own"
        self.calls.append(f"list {resource.kind} {namespace}")
        answer = self._lists.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer

    def watch(
        self, resource: Resource, namespace: str, resource_version: str
    ) -> Iterator[WatchEvent]:
        del resource, namespace
        self.watched_from.append(resource_version)
        entries = self._watches.popleft() if self._watches else None
        if isinstance(entries, Exception):
            raise entries
        return self._events(entries)

    def _events(self, entries: Sequence[Entry] | None) -> Iterator[WatchEvent]:
        try:
            if entries is None:
                self.go_on.wait()  # the thread is a daemon: nobody waits for it
                yield _event("MODIFIED", "late", 99)
                return
            for entry in entries:
                if isinstance(entry, Exception):
                    raise entry
                yield entry
        finally:
            if entries is None:
                self.ended.set()


@pytest.fixture
def told() -> list[str]:
    return []


def _collect(feed: ClusterFeed, count: int) -> list[Notice]:
    notices: list[Notice] = []
    deadline = time.monotonic() + 5
    while len(notices) < count and time.monotonic() < deadline:
        notices += feed.next(0.05)
    return notices


def _settled(cluster: _ScriptedCluster, watches: int) -> None:
    """Return when so many watches have been asked for."""
    deadline = time.monotonic() + 5
    while len(cluster.watched_from) < watches:
        assert time.monotonic() < deadline, cluster.watched_from
        time.sleep(0.005)


def _short(notices: Sequence[Notice]) -> list[str]:
    texts = []
    for notice in notices:
        if isinstance(notice, Listed):
            texts.append("listed " + ",".join(o["metadata"]["name"] for o in notice.objects))
        elif isinstance(notice, Changed):
            texts.append(("- " if notice.deleted else "+ ") + notice.object["metadata"]["name"])
        else:
            texts.append("refused")
    return texts


def _feed(cluster: FakeCluster, clock: FakeClock, told: list[str]) -> ClusterFeed:
    return ClusterFeed(cluster, [SCOPE], clock, told.append)


def test_a_list_then_every_change(clock: FakeClock, told: list[str]) -> None:
    """The reader sees everything there is, then each change once; bookmarks stay invisible."""
    events = [_event("ADDED", "b", 2), _event("BOOKMARK", "", 3), _event("DELETED", "a", 4)]
    cluster = _ScriptedCluster([([_pod("a", 1)], "1")], [events])

    notices = _collect(_feed(cluster, clock, told), 3)

    assert _short(notices) == ["listed a", "+ b", "- a"]
    assert told == []


def test_a_broken_stream_is_resumed_where_it_stopped(clock: FakeClock, told: list[str]) -> None:
    """A lost connection costs no change and no new list, and is told once."""
    cluster = _ScriptedCluster(
        [([], "1")],
        [
            [_event("ADDED", "a", 5), BROKEN],
            [_event("BOOKMARK", "", 8), BROKEN],
            [_event("ADDED", "b", 9)],
        ],
    )

    notices = _collect(_feed(cluster, clock, told), 3)

    assert _short(notices) == ["listed ", "+ a", "+ b"]
    assert cluster.watched_from[:3] == ["1", "5", "8"]
    assert told == ["watch on pods: the stream broke: reset; resuming"]
    assert cluster.calls == ["list Pod n"]


def test_watches_that_the_server_ends_are_resumed_without_a_list(
    clock: FakeClock, told: list[str]
) -> None:
    """The end of a watch is no news; a server that ends each at once is not called in a loop."""
    cluster = _ScriptedCluster([([], "7")], [[], [], [], [], [], [_event("ADDED", "a", 8)], []])
    feed = _feed(cluster, clock, told)

    assert _short(_collect(feed, 2)) == ["listed ", "+ a"]
    _settled(cluster, 8)
    assert cluster.watched_from == ["7"] * 6 + ["8"] * 2
    assert (cluster.calls, told) == (["list Pod n"], [])
    growing = [PAUSE_S, 2 * PAUSE_S, 4 * PAUSE_S, *[LONGEST_PAUSE_S] * 2]
    assert clock.sleeps == [*growing, PAUSE_S, 2 * PAUSE_S], "what brings news is asked soon again"


@pytest.mark.parametrize(
    "watches",
    [[EXPIRED], [[EXPIRED]], [[_event("BOOKMARK", "", 5), EXPIRED]], [[BROKEN]]],
    ids=["at opening", "as first event", "in the middle", "broken before it told anything"],
)
def test_what_is_no_basis_any_more_is_listed_anew(
    clock: FakeClock, told: list[str], watches: Sequence[Sequence[Entry] | Exception]
) -> None:
    """After a gap the reader gets a complete new list, in one piece."""
    lists = [([_pod("a", 1)], "1"), ([_pod("b", 7)], "7")]
    cluster = _ScriptedCluster(lists, [*watches, [_event("ADDED", "c", 8)]])

    notices = _collect(_feed(cluster, clock, told), 3)

    assert _short(notices) == ["listed a", "listed b", "+ c"]
    assert cluster.watched_from[:2] == ["1", "7"]


def test_a_list_that_expires_between_pages_begins_again(clock: FakeClock, told: list[str]) -> None:
    """A continue token that is too old is no refusal."""
    cluster = _ScriptedCluster([EXPIRED, ([_pod("a", 1)], "1")])

    assert _short(_collect(_feed(cluster, clock, told), 1)) == ["listed a"]
    assert told == []


def test_a_server_that_is_away_is_waited_for(clock: FakeClock, told: list[str]) -> None:
    """However long: told once, with its end; what was known stays until there is a new list."""
    lists = [([_pod("a", 1)], "1"), *[AWAY] * 40, ([_pod("a", 9)], "9")]
    cluster = _ScriptedCluster(lists, [AWAY])
    feed = _feed(cluster, clock, told)

    notices = _collect(feed, 2)
    _settled(cluster, 2)

    assert _short(notices) == ["listed a", "listed a"]
    assert max(clock.sleeps) == LONGEST_PAUSE_S
    assert told == [LOST, f"all watches have resumed after {sum(clock.sleeps):.0f} s"]


def test_a_busy_server_is_left_in_peace_as_it_asks(clock: FakeClock, told: list[str]) -> None:
    """429 with Retry-After, for a list and for a watch: exactly these pauses."""
    lists = [_busy(7), ([], "1"), ([], "2")]
    cluster = _ScriptedCluster(lists, [_busy(9)])

    _collect(_feed(cluster, clock, told), 2)
    _settled(cluster, 2)

    assert clock.sleeps == [7.0, 9.0]


def test_how_old_the_picture_is(clock: FakeClock, told: list[str]) -> None:
    """While nothing is heard the reader can tell, until the list that makes it whole again."""
    reachable = threading.Event()

    def answer() -> tuple[list[Any], str]:
        reachable.wait()
        return [], "2"

    cluster = _ScriptedCluster([([], "1"), AWAY, answer], [AWAY])
    feed = _feed(cluster, clock, told)
    _collect(feed, 1)
    while len(cluster.calls) < 3:
        time.sleep(0.005)
    clock.pass_time(30.0)

    feed.next(0.0)
    assert feed.lost_s == pytest.approx(30 + sum(clock.sleeps))

    reachable.set()
    assert _short(_collect(feed, 1)) == ["listed "]
    _settled(cluster, 2)
    feed.next(0.0)
    assert feed.lost_s == 0.0


@pytest.mark.parametrize("lists", [[FORBIDDEN], [([], "1")]], ids=["list", "watch"])
def test_what_was_never_allowed_is_told_at_once(
    clock: FakeClock, told: list[str], lists: list[Any]
) -> None:
    """No permission to list, or to watch: final, and the reader decides whether that matters."""
    cluster = _ScriptedCluster(lists, [FORBIDDEN])
    feed = _feed(cluster, clock, told)

    notices = _collect(feed, 1 if FORBIDDEN in lists else 2)

    assert notices[-1] == Refused(SCOPE, FORBIDDEN)
    assert feed.next(0.05) == []
    assert (cluster.calls, clock.sleeps, told) == (["list Pod n"], [], [])


@pytest.mark.parametrize("watches", [[[], FORBIDDEN], [AWAY]], ids=["watched", "listed"])
def test_a_refusal_of_what_was_allowed_may_pass(
    clock: FakeClock, told: list[str], watches: Sequence[Sequence[Entry] | Exception]
) -> None:
    """An API server that has just started does not know all permissions yet."""
    cluster = _ScriptedCluster([([], "1"), FORBIDDEN, FORBIDDEN, ([_pod("a", 5)], "5")], watches)

    notices = _collect(_feed(cluster, clock, told), 2)

    assert _short(notices) == ["listed ", "listed a"]
    assert sum("resuming" in line for line in told) == 1


def test_a_refusal_that_stays_is_final(clock: FakeClock, told: list[str]) -> None:
    """Permissions that were taken away, credentials that have expired for good: told and ended."""
    cluster = _ScriptedCluster([([], "1"), *[FORBIDDEN] * 99], [[], FORBIDDEN])
    feed = _feed(cluster, clock, told)

    notices = _collect(feed, 2)

    assert notices[1:] == [Refused(SCOPE, FORBIDDEN)]
    assert sum(clock.sleeps) >= REFUSALS_PASS_S
    assert told == ["watch on pods: forbidden; resuming"]
    feed.next(0.0)
    assert feed.lost_s == 0.0, "what is not watched any more, events for one, makes nothing old"


def test_an_answer_of_an_unknown_shape_is_told(clock: FakeClock, told: list[str]) -> None:
    """A strange answer ends in a refusal, not in silence until the time-out."""
    cluster = _ScriptedCluster([([7], "1")])  # type: ignore[list-item]

    [notice] = _collect(_feed(cluster, clock, told), 1)

    assert isinstance(notice, Refused)
    assert "watch on pods: the answer was not understood: " in str(notice.error)


def test_what_cannot_be_known_again_is_left_out(clock: FakeClock, told: list[str]) -> None:
    """An object without metadata, a change without a version: the rest is shown all the same."""
    nothing: dict[str, Any] = {"kind": "Pod"}
    anonymous = {"kind": "Pod", "metadata": {"name": "x", "resourceVersion": "6"}}
    unversioned = {"kind": "Pod", "metadata": {"name": "b", "uid": "u"}}
    changes = [
        *(WatchEvent("ADDED", anonymous), WatchEvent("ADDED", unversioned)),
        WatchEvent("ADDED", {"metadata": {}}),
    ]
    cluster = _ScriptedCluster([([nothing, _pod("a", 1)], "not-a-number")], [changes, []])

    notices = _collect(_feed(cluster, clock, told), 2)
    _settled(cluster, 3)

    assert _short(notices) == ["listed a", "+ b"]
    assert cluster.watched_from == ["not-a-number", "6", "6"]


def test_a_burst_of_changes_comes_in_few_pieces(clock: FakeClock, told: list[str]) -> None:
    """A hundred workloads that start at once are not judged anew for each of their changes."""
    burst = [_event("MODIFIED", "a", version) for version in range(2, 502)]
    feed = _feed(_ScriptedCluster([([], "1")], [burst]), clock, told)

    pieces: list[int] = []
    while sum(pieces) < 501:
        pieces.append(len(feed.next(5.0)))

    assert len(pieces) <= 50


def test_next_waits_no_longer_than_told(clock: FakeClock, told: list[str]) -> None:
    """Nothing happening is an empty answer; a time that is over already is none at all."""
    feed = _feed(_ScriptedCluster([([], "1")]), clock, told)
    _collect(feed, 1)

    assert feed.next(0.01) == []
    assert feed.next(-1.0) == []


def test_close_ends_the_threads(clock: FakeClock, told: list[str]) -> None:
    """After the report nothing goes on in the background: no notice, no announcement."""
    cluster = _ScriptedCluster([([], "1")])
    feed = _feed(cluster, clock, told)
    _collect(feed, 1)
    _settled(cluster, 1)

    feed.close()
    cluster.go_on.set()

    assert cluster.ended.wait(5)
    assert (feed.next(0.05), told) == ([], [])
    assert cluster.watched_from == ["1"]


def test_every_scope_is_watched(clock: FakeClock, told: list[str]) -> None:
    """Notices of several scopes come through one queue, each naming its scope."""
    scopes = [Scope(POD, "a"), Scope(POD, "b", optional=True)]

    class _Unwatchable(FakeCluster):
        def watch(self, *_: Any) -> Iterator[WatchEvent]:
            raise ClusterError("c", "the end")

    notices = _collect(ClusterFeed(_Unwatchable(), scopes, clock, told.append), 4)

    assert {(type(n), n.scope) for n in notices} == {
        (kind, scope) for kind in (Listed, Refused) for scope in scopes
    }


def test_what_only_explains_is_watched_when_it_is_wanted(clock: FakeClock) -> None:
    """A healthy deploy reads no events, of which a namespace may have thousands."""
    cluster = _ScriptedCluster([([], "1"), ([], "2")])
    events = Scope(Resource("v1", "Event", "events", namespaced=True), "n", explains=True)
    feed = ClusterFeed(cluster, [SCOPE, events], clock, lambda _: None)
    first = _collect(feed, 1)
    before = list(cluster.calls)

    feed.widen()
    feed.widen()
    later = _collect(feed, 1)
    feed.close()

    assert [notice.scope for notice in (*first, *later)] == [SCOPE, events]
    assert (before, cluster.calls) == (["list Pod n"], ["list Pod n", "list Event n"])
