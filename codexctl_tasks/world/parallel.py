"""
Calls side by side, interruptible at once.

`concurrent.futures` joins its threads when Python exits, so that Ctrl-C would wait for a server
that does not answer. Daemon threads do not hold anybody up.
"""

from __future__ import annotations

import math
import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    limit: int,
    left_s: Callable[[], float] = lambda: math.inf,
) -> Iterator[tuple[T, R]]:
    """
    Call *function* for every item and yield each item with its result as soon as it is there.

    Args:
        function: Runs in a thread of its own; an exception of its is raised here, and nothing
            more is begun.
        items: In the order in which to begin.
        limit: Most calls at the same time.
        left_s: Seconds to wait for the next result; when they are over, the rest is given up and
            not yielded.
    """
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[T, R | None, BaseException | None]] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)

    def work() -> None:
        while True:
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            result, error = _called(function, item)
            if error is not None:
                _empty(waiting)
            done.put((item, result, error))

    for _ in range(min(limit, len(items))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in items:
            wait_s = left_s()
            try:
                item, result, error = done.get(timeout=wait_s if wait_s < math.inf else None)
            except queue.Empty:
                return
            if error is not None:
                raise error
            yield item, result  # type: ignore[misc]  # None only beside an error
    finally:
        _empty(waiting)  # whoever stops reading, at Ctrl-C for instance, wants nothing more begun


def begin(function: Callable[[], R]) -> Callable[[], R]:
    """Call *function* in a thread; return what waits for its end, and returns or raises as it."""
    done: queue.SimpleQueue[tuple[R | None, BaseException | None]] = queue.SimpleQueue()

    def end() -> R:
        result, error = done.get()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # None only beside an error

    threading.Thread(target=lambda: done.put(_called(function)), daemon=True).start()
    return end


def in_order(
    function: Callable[[T], R], needs: Mapping[T, Collection[T]], *, limit: int
) -> Iterator[tuple[T, R]]:
    """
    Call *function* for every item as soon as the results of what it needs have been taken.

    Args:
        function: Runs in a thread of its own; an exception of its is raised here, and nothing
            more is begun.
        needs: For each item those that come before it; all of them are keys, none needs itself.
        limit: Most calls at the same time.
    """
    waiting, taken, running = dict(needs), set[T](), 0
    done: queue.SimpleQueue[tuple[T, R | None, BaseException | None]] = queue.SimpleQueue()

    def work(item: T) -> None:
        done.put((item, *_called(function, item)))

    while waiting or running:
        ready = [item for item, before in waiting.items() if taken.issuperset(before)]
        for item in ready[: limit - running]:
            del waiting[item]
            running += 1
            threading.Thread(target=work, args=(item,), daemon=True).start()
        if not running:
            raise ValueError(f"these need each other: {sorted(map(str, waiting))}")
        item, result, error = done.get()
        running -= 1
        if error is not None:
            raise error
        yield item, result  # type: ignore[misc]  # None only beside an error
        taken.add(item)


def _empty(waiting: queue.SimpleQueue[T]) -> None:
    with suppress(queue.Empty):
        while True:
            waiting.get_nowait()


def _called(function: Callable[..., R], *arguments: Any) -> tuple[R | None, BaseException | None]:
    """Return what a function returns, or what it raises, for the thread that asked for it."""
    try:
        return function(*arguments), None
    except BaseException as error:  # noqa: BLE001 - nothing may be lost between two threads
        return None, error
