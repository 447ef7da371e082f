"""
The one retry policy: repeat a call that failed for a reason that passes.

Waiting for something that is simply not ready yet is not retrying; that lives in ``rollout/wait``.
Only calls that are safe to repeat come here: reads, server-side apply, deletion of a known object.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    wait_exponential,
    wait_random,
    wait_random_exponential,
)

from codexctl_tasks.errors import Patience, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from codexctl_tasks.world.clock import Clock

T = TypeVar("T")

_BACKOFF = wait_exponential(multiplier=0.25, max=8.0) + wait_random(0.0, 0.25)
_FULL_JITTER = wait_random_exponential(multiplier=0.5, max=30.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How long a failing call is repeated; both limits hold."""

    attempts: int
    """Calls in total, the first included."""
    budget_s: float
    """No new attempt begins later than this after the first, in seconds."""
    spreads: bool = False
    """Pauses are anything up to 0.5 s, doubling to 30 s: many clients of one registry must not
    come back at the same moment."""
    longest_wish_s: float = math.inf
    """A longer ``Retry-After`` is not waited for."""


FIRST_CONTACT = RetryPolicy(attempts=5, budget_s=10.0)
"""A wrong address is reported while the user still looks; a lost packet is survived."""

STEADY = RetryPolicy(attempts=20, budget_s=90.0)
"""Once the cluster has answered: as long as a control plane takes to restart or fail over."""

WEBHOOK = RetryPolicy(attempts=120, budget_s=240.0)
"""As long as the pods of a webhook take to start, its image and its certificate included."""
WEBHOOK_PAUSE_S = 2.0
"""Steady instead of growing: it is a rollout that is waited for, not an overloaded server."""

REGISTRY = RetryPolicy(attempts=6, budget_s=math.inf, spreads=True, longest_wish_s=120.0)
"""Of images; half a minute, or as long as a rate limit asks for."""

TRANSFER = RetryPolicy(attempts=5, budget_s=math.inf)
"""Of a stream that was cut: each attempt goes on where the last one ended."""

CONTENTION = RetryPolicy(attempts=10, budget_s=90.0)
"""Each attempt reads anew: losing ten times in a row is no accident."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repetition:
    """An attempt that is about to follow a failed one."""

    error: TransientError
    """Of the failed one."""
    attempt: int
    """Its number, from 2."""
    of: int
    """How many there are at most."""
    pause_s: float
    """How long from now."""

    def __str__(self) -> str:
        attempt = f"attempt {self.attempt} of {self.of} in {self.pause_s:.1f} s"
        return f"{self.error.where}: {self.error.what}; {attempt}"


_OF_ITS_OWN = {Patience.WEBHOOK: WEBHOOK, Patience.CONTENTION: CONTENTION}


def retrying(
    call: Callable[[], T],
    clock: Clock,
    policy: RetryPolicy,
    announce: Callable[[Repetition], None] = lambda _: None,
    *,
    deadline_s: float = math.inf,
    not_for: Collection[Patience] = (),
) -> T:
    """
    Return what *call* returns, repeating it while it raises `TransientError`.

    Pauses grow from 0.25 s to 8 s with jitter, unless the policy spreads them, and are never
    shorter than the server's ``Retry-After``. The last error is raised unchanged.

    Args:
        call: Safe to repeat.
        clock: Measures the budget and sleeps.
        policy: When to stop, unless the trouble has limits of its own (`Patience`).
        announce: Is told before each pause.
        deadline_s: No new attempt begins after this moment of the clock, whatever the policy.
        not_for: Trouble that is not repeated at all.
    """
    attempt_s = clock.now()
    try:
        return call()  # nearly always enough: the rest costs as much as a tenth of a request
    except TransientError as error:
        if error.patience in not_for:
            raise
        first = error
    known = iter((first,))
    begun_s: dict[RetryPolicy, float] = {}
    attempts: Counter[RetryPolicy] = Counter()

    def attempt() -> T:
        nonlocal attempt_s
        for failure in known:
            raise failure
        attempt_s = clock.now()
        return call()

    def spent(state: RetryCallState) -> bool:
        chosen = _policy_for(error := _error(state), policy)
        if error.patience in not_for or error.retry_after_s > chosen.longest_wish_s:
            return True
        attempts[chosen] += 1
        budget_ends_s = begun_s.setdefault(chosen, attempt_s) + chosen.budget_s
        next_s = clock.now() + state.upcoming_sleep
        return attempts[chosen] >= chosen.attempts or next_s > min(budget_ends_s, deadline_s)

    def tell(state: RetryCallState) -> None:
        chosen = _policy_for(error := _error(state), policy)
        next_attempt, pause_s = attempts[chosen] + 1, state.upcoming_sleep
        announce(Repetition(error=error, attempt=next_attempt, of=chosen.attempts, pause_s=pause_s))

    return Retrying(
        retry=retry_if_exception_type(TransientError),
        stop=spent,
        wait=lambda state: _pause(state, policy),
        before_sleep=tell,
        sleep=clock.sleep,
        reraise=True,
    )(attempt)


def _error(state: RetryCallState) -> TransientError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, TransientError):  # nothing else is repeated
        raise TypeError(error)
    return error


def _policy_for(error: TransientError, otherwise: RetryPolicy) -> RetryPolicy:
    return _OF_ITS_OWN.get(error.patience, otherwise)


def _pause(state: RetryCallState, policy: RetryPolicy) -> float:
    error = _error(state)
    if error.patience is Patience.WEBHOOK:
        return WEBHOOK_PAUSE_S
    backoff = _FULL_JITTER if policy.spreads else _BACKOFF
    return max(error.retry_after_s, backoff(state))
