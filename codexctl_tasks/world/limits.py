"""A limit of time for code that runs in this process and may not look at the clock itself."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator


class OverTime(BaseException):
    """
    The time is over.

    Not an `Exception`, so that no handler on the way mistakes it for a failure it knows.
    """


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """
    Raise `OverTime` inside of the block after so many seconds.

    Calls into C that do not look for signals come to their end first. Signals belong to the main
    thread: in another one there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> NoReturn:
        raise OverTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
