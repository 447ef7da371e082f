"""
The one retry policy: repeat a call that failed for a reason that passes.

Waiting for something that is simply not ready yet is not retrying; that lives in ``rollout/wait``.
Only calls that are safe to repeat come here: reads, server-side apply, deletion of a known object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    wait_exponential,
    wait_random,
)

from codexctl_tasks.errors import TransientClusterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.world.clock import Clock

T = TypeVar("T")

_BACKOFF = wait_exponential(multiplier=0.25, max=8.0) + wait_random(0.0, 0.25)


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How long a failing call is repeated; both limits hold."""

    attempts: int
    """Calls in total, the first included."""
    budget_s: float
    """No new attempt begins later than this after the first, in seconds."""


FIRST_CONTACT = RetryPolicy(attempts=5, budget_s=10.0)
"""A wrong address is reported while the user still looks; a lost packet is survived."""

STEADY = RetryPolicy(attempts=20, budget_s=90.0)
"""Once the cluster has answered: as long as a control plane takes to restart or fail over."""


def retrying(
    call: Callable[[], T],
    clock: Clock,
    policy: RetryPolicy,
    announce: Callable[[str], None] = lambda _: None,
) -> T:
    """
    Return what *call* returns, repeating it while it raises `TransientClusterError`.

    Pauses grow from 0.25 s to 8 s with jitter, and are never shorter than the server's
    ``Retry-After``. The last error is raised unchanged.

    Args:
        call: Safe to repeat.
        clock: Measures the budget and sleeps.
        policy: When to stop.
        announce: Receives one line before each pause.
    """
    start = clock.now()

    def spent(state: RetryCallState) -> bool:
        pause_end = clock.now() - start + state.upcoming_sleep
        return state.attempt_number >= policy.attempts or pause_end > policy.budget_s

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        attempt = f"attempt {state.attempt_number + 1} of {policy.attempts}"
        announce(f"{_first_parts(error)}; {attempt} in {state.upcoming_sleep:.1f} s")

    return Retrying(
        retry=retry_if_exception_type(TransientClusterError),
        stop=spent,
        wait=_backoff_or_retry_after,
        before_sleep=tell,
        sleep=clock.sleep,
        reraise=True,
    )(call)


def _backoff_or_retry_after(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, TransientClusterError) else 0.0
    return max(asked, _BACKOFF(state))


def _first_parts(error: BaseException | None) -> str:
    if isinstance(error, TransientClusterError):
        return f"{error.where}: {error.what}"
    return str(error)
