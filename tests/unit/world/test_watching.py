"""One LIST and one watch per scope, told as notices."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import BrokenStreamError, ClusterError, ExpiredError
from codexctl_tasks.world.cluster import Resource, WatchEvent
from codexctl_tasks.world.watching import Changed, ClusterFeed, Listed, Notice, Refused, Scope
from tests.support.fakes import FakeCluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.support.fakes import FakeClock

POD = Resource("v1", "Pod", "pods", namespaced=True)
SCOPE = Scope(POD, "n")


def _pod(name: str, version: int) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": name, "resourceVersion": str(version)}}


def _event(kind: str, name: str, version: int) -> WatchEvent:
    return WatchEvent(kind, _pod(name, version))


class _ScriptedCluster(FakeCluster):
    """Answers each list and each watch from a script; the watch after the last one blocks."""

    def __init__(
        self,
        lists: Sequence[tuple[list[Mapping[str, Any]], str] | Exception],
        watches: Sequence[Sequence[WatchEvent | Exception]],
    ) -> None:
        super().__init__()
        self._lists, self._watches = deque(lists), deque(watches)
        self.watched_from: list[str] = []
        self.go_on = threading.Event()
        self.ended = threading.Event()

    def list_objects(self, resource: Resource, namespace: str) -> Any:
        self.calls.append(f"list {resource.kind} {namespace}")
        answer = self._lists.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def watch(
        self, resource: Resource, namespace: str, resource_version: str
    ) -> Iterator[WatchEvent]:
        del resource, namespace
        self.watched_from.append(resource_version)
        return self._events()

    def _events(self) -> Iterator[WatchEvent]:
        try:
            if not self._watches:
                self.go_on.wait()  # the thread is a daemon: nobody waits for it
                yield _event("MODIFIED", "late", 99)
                return
            for entry in self._watches.popleft():
                if isinstance(entry, Exception):
                    raise entry
                yield entry
        finally:
            if not self._watches:
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
            [_event("ADDED", "a", 5), BrokenStreamError("https://c", "the stream broke: reset")],
            [_event("BOOKMARK", "", 8)],
            [_event("ADDED", "b", 9)],
        ],
    )

    notices = _collect(_feed(cluster, clock, told), 3)

    assert _short(notices) == ["listed ", "+ a", "+ b"]
    assert cluster.watched_from[:3] == ["1", "5", "8"]
    assert told == ["watch on pods: the stream broke: reset; resuming"]
    assert cluster.calls == ["list Pod n"]
    assert len(clock.sleeps) >= 2, "a server that ends every watch at once is not called in a loop"


def test_an_expired_version_is_listed_anew(clock: FakeClock, told: list[str]) -> None:
    """After a long gap the reader gets a complete new list, without noise."""
    cluster = _ScriptedCluster(
        [([_pod("a", 1)], "1"), ([_pod("b", 7)], "7")],
        [[ExpiredError("c", "410")], [_event("ADDED", "c", 8)]],
    )

    notices = _collect(_feed(cluster, clock, told), 3)

    assert _short(notices) == ["listed a", "listed b", "+ c"]
    assert cluster.watched_from[:2] == ["1", "7"]
    assert told == []


def test_a_list_that_expires_between_pages_begins_again(clock: FakeClock, told: list[str]) -> None:
    """A continue token that is too old is no refusal."""
    cluster = _ScriptedCluster([ExpiredError("c", "410"), ([_pod("a", 1)], "1")], [])

    assert _short(_collect(_feed(cluster, clock, told), 1)) == ["listed a"]


def test_a_refusal_is_told_once_and_is_final(clock: FakeClock, told: list[str]) -> None:
    """No permission to watch: the reader decides whether that matters."""
    error = ClusterError("c", "forbidden", status=403)
    cluster = _ScriptedCluster([error], [])
    feed = _feed(cluster, clock, told)

    [notice] = _collect(feed, 1)

    assert notice == Refused(SCOPE, error)
    assert feed.next(0.05) == []
    assert cluster.calls == ["list Pod n"]


def test_a_refused_watch_is_a_refusal_too(clock: FakeClock, told: list[str]) -> None:
    """Listing may be allowed and watching not."""
    cluster = _ScriptedCluster([([], "1")], [[ClusterError("c", "forbidden", status=403)]])

    assert _short(_collect(_feed(cluster, clock, told), 2)) == ["listed ", "refused"]


def test_an_answer_of_an_unknown_shape_is_told(clock: FakeClock, told: list[str]) -> None:
    """A proxy's strange answer ends in a refusal, not in silence until the time-out."""
    cluster = _ScriptedCluster([([], "1")], [[WatchEvent("ADDED", {"no": "metadata"})]])

    assert _short(_collect(_feed(cluster, clock, told), 2)) == ["listed ", "refused"]


def test_next_waits_no_longer_than_told(clock: FakeClock, told: list[str]) -> None:
    """Nothing happening is an empty answer; a time that is over already is none at all."""
    feed = _feed(_ScriptedCluster([([], "1")], []), clock, told)
    _collect(feed, 1)

    assert feed.next(0.01) == []
    assert feed.next(-1.0) == []


def test_close_ends_the_threads(clock: FakeClock, told: list[str]) -> None:
    """After the report nothing goes on in the background: no notice, no announcement."""
    cluster = _ScriptedCluster([([], "1")], [])
    feed = _feed(cluster, clock, told)
    _collect(feed, 1)

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
