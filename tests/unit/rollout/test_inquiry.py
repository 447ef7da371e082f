"""Questions that must not hold up the wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.rollout.inquiry import ANSWER_HOLDS_S, Inquiry
from codexctl_tasks.rollout.symptoms import Site
from tests.support.fakes import FakeCluster
from tests.support.objects import scopes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fakes import FakeClock


class _Later:
    """Runs what is asked for when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, function: Callable[[], None]) -> None:
        self.waiting.append(function)

    def run(self) -> int:
        waiting, self.waiting = self.waiting, []
        for function in waiting:
            function()
        return len(waiting)


def test_an_answer_comes_later(clock: FakeClock) -> None:
    """Until then it is not known; nobody asks twice, and an old answer is asked for anew."""
    cluster, later = FakeCluster(), _Later()
    inquiry = Inquiry(cluster, clock, (), later)

    assert inquiry.uid("shop", "Secret", "db") is None
    assert inquiry.uid("shop", "Secret", "db") is None
    assert later.run() == 1
    assert inquiry.uid("shop", "Secret", "db") == ""

    cluster.objects["Secret", "shop", "db"] = {"metadata": {"uid": "u"}}
    clock.time += ANSWER_HOLDS_S + 1
    assert inquiry.uid("shop", "Secret", "db") is None
    later.run()
    assert inquiry.uid("shop", "Secret", "db") == "u"


def test_kinds_that_are_watched_can_be_asked_for(clock: FakeClock) -> None:
    """Custom resources, too; kinds of the whole cluster are asked for without namespace."""
    cluster, later = FakeCluster(), _Later()
    inquiry = Inquiry(cluster, clock, scopes().values(), later)
    cluster.objects["Shop", "shop", "s"] = {"metadata": {"uid": "s"}}
    cluster.objects["StorageClass", "", "fast"] = {"metadata": {"uid": "f"}}

    for kind, name in (("Shop", "s"), ("StorageClass", "fast")):
        assert inquiry.uid("shop", kind, name) is None
    later.run()

    assert inquiry.uid("shop", "Shop", "s") == "s"
    assert inquiry.uid("shop", "StorageClass", "fast") == "f"


class _Away(FakeCluster):
    def get(self, *_: Any) -> Any:
        raise ClusterError("GET", "connection refused")

    def logs(self, *_: Any, **__: Any) -> list[str]:
        raise ClusterError("GET", "forbidden", status=403)


def test_no_answer_is_no_absence(clock: FakeClock) -> None:
    """A server that is away says nothing about what exists: it is asked again."""
    later = _Later()
    inquiry = Inquiry(_Away(), clock, (), later)

    for _ in range(3):
        assert inquiry.uid("shop", "Secret", "db") is None
        assert later.run() == 1
        assert inquiry.uid("shop", "Secret", "db") is None
        assert later.run() == 0, "not ten times a second"
        clock.time += ANSWER_HOLDS_S + 1


def test_a_log_is_read_on_the_side(clock: FakeClock) -> None:
    """It is there when it is there; why it is not is told."""
    later, cluster = _Later(), FakeCluster()
    cluster.log_lines = ["panic"]
    site = Site("a", "app", "uid")

    reading = Inquiry(cluster, clock, (), later).log("shop", site, previous=False)
    refused = Inquiry(_Away(), clock, (), later).log("shop", site, previous=True)

    assert not reading.is_done
    later.run()
    assert (reading.is_done, reading.lines, reading.complaint) == (True, ["panic"], "")
    assert (refused.is_done, refused.lines, refused.complaint) == (True, [], "forbidden")
