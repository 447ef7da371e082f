"""Calls side by side."""

from __future__ import annotations

import threading

import pytest

from codexctl_tasks.world.parallel import begin, in_order, in_parallel


def test_every_item_comes_with_its_result() -> None:
    """Nothing is lost, whatever the limit; no items need no threads."""
    for limit in (1, 3, 100):
        assert dict(in_parallel(lambda n: n * n, range(20), limit=limit)) == {
            n: n * n for n in range(20)
        }
    assert list(in_parallel(lambda n: n, [], limit=3)) == []


def test_calls_run_side_by_side_up_to_the_limit() -> None:
    """Exactly as many calls are in flight as the server is meant to bear."""
    together = threading.Barrier(3, timeout=5)
    lock = threading.Lock()
    running = most = 0

    def call(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1

    assert len(list(in_parallel(call, range(9), limit=3))) == 9
    assert most == 3


def test_a_call_that_was_begun_goes_on_beside_its_caller() -> None:
    """Its result, or what it raised, is there when somebody asks for it."""
    asked = threading.Event()
    end = begin(lambda: asked.wait(5))
    asked.set()
    assert end() is True

    with pytest.raises(ZeroDivisionError):
        begin(lambda: 1 // 0)()


def test_a_result_is_there_before_the_slowest_call_ends() -> None:
    """Progress is told as it happens."""
    release = threading.Event()

    def call(item: str) -> str:
        if item == "slow":
            assert release.wait(5)
        return item

    results = in_parallel(call, ["slow", "quick"], limit=2)

    assert next(results) == ("quick", "quick")
    release.set()
    assert next(results) == ("slow", "slow")


def test_an_error_is_raised_and_nothing_more_is_begun() -> None:
    """After a failure the remaining calls are not sent."""
    begun: list[int] = []

    def call(item: int) -> None:
        begun.append(item)
        raise ZeroDivisionError(item)

    with pytest.raises(ZeroDivisionError):
        list(in_parallel(call, range(1000), limit=1))
    assert begun == [0]


def test_who_stops_reading_stops_the_calls() -> None:
    """Ctrl-C does not wait for a server: threads are daemons and take no further items."""
    begun: list[int] = []
    release = threading.Event()
    daemons: list[bool] = []

    def call(item: int) -> None:
        begun.append(item)
        daemons.append(threading.current_thread().daemon)
        if item:
            assert release.wait(5)

    results = in_parallel(call, range(100), limit=2)
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator
    release.set()

    assert len(begun) <= 4
    assert all(daemons)


def test_what_does_not_end_in_time_is_given_up() -> None:
    """Whoever waits has something else to tell."""
    release = threading.Event()

    def call(item: str) -> str:
        if item == "stuck":
            assert release.wait(5)
        return item

    found = in_parallel(call, ["stuck", "quick"], limit=2, left_s=lambda: 0.2)

    assert list(found) == [("quick", "quick")]
    release.set()


def test_what_is_needed_comes_first() -> None:
    """An item begins when the results of all that it needs are taken, others meanwhile."""
    taken: list[str] = []
    seen: dict[str, set[str]] = {}

    def call(item: str) -> str:
        seen[item] = set(taken)
        return item.upper()

    needs = {"d": ["b", "c"], "c": ["a"], "b": ["a"], "a": []}
    for item, result in in_order(call, needs, limit=4):
        assert result == item.upper()
        taken.append(item)

    assert seen["a"] == set()
    assert "a" in seen["b"] & seen["c"]
    assert seen["d"] == {"a", "b", "c"}


def test_items_that_need_nothing_run_side_by_side_up_to_the_limit() -> None:
    """Two builds that have nothing to do with each other do not wait for each other."""
    together = threading.Barrier(2, timeout=5)
    running: list[int] = []
    most: list[int] = []

    def call(item: int) -> None:
        running.append(item)
        most.append(len(running))
        together.wait()
        running.remove(item)
        together.wait()

    assert len(list(in_order(call, {n: [] for n in range(6)}, limit=2))) == 6
    assert max(most) == 2


def test_an_error_in_order_begins_nothing_more() -> None:
    """What needs the failed one is never called."""
    begun: list[str] = []

    def call(item: str) -> None:
        begun.append(item)
        raise ZeroDivisionError(item)

    with pytest.raises(ZeroDivisionError):
        list(in_order(call, {"base": [], "web": ["base"]}, limit=2))
    assert begun == ["base"]


def test_a_circle_is_an_error_not_a_hang() -> None:
    """Whoever has not looked for circles is told."""
    with pytest.raises(ValueError, match=r"need each other: \['a', 'b'\]"):
        list(in_order(str, {"a": ["b"], "b": ["a"]}, limit=2))
