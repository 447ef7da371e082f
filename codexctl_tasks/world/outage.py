"""Times in which some watch is broken: told once, however many watches and attempts there are."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.watching import Scope

TELL_AGAIN_S = 60.0
"""Watches that break again and again are told no more often."""
WORTH_TELLING_S = 5.0
"""Whoever was told of trouble is told of its end, unless it passed at once."""


class Outage:
    """Which watches are broken at present; one line for all of them."""

    def __init__(self, clock: Clock, announce: Callable[[str], None]) -> None:
        self._clock, self._announce = clock, announce
        self._lock = threading.Lock()
        self._since_s: dict[Scope, float] = {}
        self._begun_s = 0.0
        self._told_s = -math.inf
        self._is_told = False

    @property
    def lost_s(self) -> float:
        """For how many seconds some watch has not been heard of; 0: all are."""
        with self._lock:
            return self._clock.now() - min(self._since_s.values(), default=self._clock.now())

    def begin(self, scope: Scope, what: str) -> None:
        """Note that a watch is not heard of."""
        with self._lock:
            now_s = self._clock.now()
            if not self._since_s:
                self._begun_s = now_s
                self._is_told = now_s - self._told_s >= TELL_AGAIN_S
                if self._is_told:
                    self._told_s = now_s
                    self._announce(f"watch on {scope.resource.plural}: {what}; resuming")
            self._since_s.setdefault(scope, now_s)

    def end(self, scope: Scope) -> None:
        """Note that a watch is heard of again."""
        with self._lock:
            if self._since_s.pop(scope, None) is None or self._since_s:
                return
            lasted_s = self._clock.now() - self._begun_s
            if self._is_told and lasted_s >= WORTH_TELLING_S:
                self._announce(f"all watches have resumed after {lasted_s:.0f} s")

    def forget(self, scope: Scope) -> None:
        """Note that a scope is not watched any more."""
        with self._lock:
            self._since_s.pop(scope, None)

    def close(self) -> None:
        """Tell nothing any more."""
        with self._lock:
            self._announce = lambda _: None
