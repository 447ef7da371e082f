"""The one retry policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import ClusterError, ExpiredError, Patience, TransientClusterError
from codexctl_tasks.world.retrying import (
    CONTENTION,
    FIRST_CONTACT,
    REGISTRY,
    STEADY,
    WEBHOOK,
    WEBHOOK_PAUSE_S,
    RetryPolicy,
    retrying,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fakes import FakeClock

MANY = RetryPolicy(attempts=50, budget_s=1000.0)


def _passing(
    retry_after_s: float = 0.0, patience: Patience = Patience.SERVER
) -> TransientClusterError:
    error = TransientClusterError("https://c", "busy", "wait")
    error.retry_after_s, error.patience = retry_after_s, patience
    return error


def _failing(*errors: Exception) -> tuple[Callable[[], str], list[Exception]]:
    """Return a call that raises each error once, then answers; and what is still to be raised."""
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return call, left


def test_what_passes_is_repeated_until_it_works(clock: FakeClock) -> None:
    """A restarting control plane costs a pause, not a failed deploy; pauses grow with jitter."""
    call, _ = _failing(*[_passing() for _ in range(8)])

    assert retrying(call, clock, MANY) == "answer"
    assert len(clock.sleeps) == 8
    for number, pause in enumerate(clock.sleeps):
        base = min(0.25 * 2**number, 8.0)
        assert base <= pause <= base + 0.25
    assert len({round(pause % 0.25, 6) for pause in clock.sleeps}) > 1, "no jitter"


def test_retry_after_is_honoured(clock: FakeClock) -> None:
    """The server's own wish is a lower limit."""
    call, _ = _failing(_passing(7.0), _passing())

    retrying(call, clock, MANY)

    assert clock.sleeps[0] == 7.0
    assert clock.sleeps[1] < 2.0


def test_pauses_for_a_registry_are_spread(clock: FakeClock) -> None:
    """Twenty images that were refused together do not come back together."""
    call, left = _failing(*[_passing() for _ in range(REGISTRY.attempts)])

    with pytest.raises(TransientClusterError):
        retrying(call, clock, REGISTRY)
    assert (len(left), len(clock.sleeps)) == (0, 5)
    for number, pause in enumerate(clock.sleeps):
        assert 0 <= pause <= 0.5 * 2**number
    assert len({round(pause, 6) for pause in clock.sleeps}) == 5, "no jitter"


def test_a_wish_that_is_too_long_is_not_waited_for(clock: FakeClock) -> None:
    """A rate limit that lasts for hours is told at once; one of two minutes is waited for."""
    call, left = _failing(_passing(120.0), _passing(121.0))

    with pytest.raises(TransientClusterError):
        retrying(call, clock, REGISTRY)
    assert (left, clock.sleeps) == ([], [120.0])


@pytest.mark.parametrize(
    "error",
    [ClusterError("c", "403", status=403), ExpiredError("c", "410"), ValueError("defect")],
    ids=["refused", "expired", "defect"],
)
def test_what_will_not_pass_is_raised_at_once(error: Exception, clock: FakeClock) -> None:
    """A refusal is told immediately, unchanged."""
    call, left = _failing(error, error)

    with pytest.raises(type(error)) as caught:
        retrying(call, clock, MANY)
    assert caught.value is error
    assert (len(left), clock.sleeps) == (1, [])


def test_the_number_of_attempts_is_a_limit(clock: FakeClock) -> None:
    """The last error is raised as it was, after exactly so many calls."""
    errors = [_passing() for _ in range(9)]
    call, left = _failing(*errors)

    with pytest.raises(TransientClusterError) as caught:
        retrying(call, clock, RetryPolicy(attempts=3, budget_s=1000.0))
    assert caught.value is errors[2]
    assert (len(left), len(clock.sleeps)) == (6, 2)


def test_the_budget_is_a_limit(clock: FakeClock) -> None:
    """No pause begins that would end after the budget, not even on the server's wish."""
    call, left = _failing(_passing(4.0), _passing(4.0), _passing(4.0))

    with pytest.raises(TransientClusterError):
        retrying(call, clock, RetryPolicy(attempts=50, budget_s=10.0))
    assert (len(left), clock.sleeps) == (0, [4.0, 4.0])


def test_every_pause_is_announced(clock: FakeClock) -> None:
    """The user sees what is being waited for: the cause, the attempt, the seconds."""
    told: list[str] = []
    call, _ = _failing(_passing(2.0))
    policy = RetryPolicy(attempts=5, budget_s=60.0)

    retrying(call, clock, policy, lambda repetition: told.append(str(repetition)))

    assert told == ["https://c: busy; attempt 2 of 5 in 2.0 s"]


def test_a_wrong_address_is_told_soon_and_a_restart_is_survived() -> None:
    """First contact gives up within seconds; later a control plane may take a minute."""
    assert FIRST_CONTACT.budget_s <= 10
    assert STEADY.budget_s >= 60


def test_a_webhook_is_looked_for_steadily(clock: FakeClock) -> None:
    """Its pods start when they start: every 2 s, whatever is asked, and for 4 minutes at most."""
    errors = [_passing(60.0, Patience.WEBHOOK) for _ in range(WEBHOOK.attempts + 1)]
    call, left = _failing(*errors)

    with pytest.raises(TransientClusterError):
        retrying(call, clock, STEADY)

    assert set(clock.sleeps) == {WEBHOOK_PAUSE_S}
    assert (len(left), sum(clock.sleeps)) == (1, 238.0)


def test_each_trouble_has_a_budget_of_its_own(clock: FakeClock) -> None:
    """After minutes with a webhook, a server that restarts is waited for as long as ever."""
    webhook = [_passing(patience=Patience.WEBHOOK) for _ in range(60)]
    server = [_passing() for _ in range(5)]
    contention = [_passing(patience=Patience.CONTENTION) for _ in range(CONTENTION.attempts - 1)]
    call, left = _failing(*webhook, *server, *contention)

    assert retrying(call, clock, STEADY) == "answer"
    assert left == []
    assert sum(clock.sleeps) > STEADY.budget_s


def test_a_race_is_lost_ten_times_at_most(clock: FakeClock) -> None:
    """Ten defeats in a row are no accident: the refusal is told."""
    errors = [_passing(patience=Patience.CONTENTION) for _ in range(12)]
    call, left = _failing(*errors)

    with pytest.raises(TransientClusterError):
        retrying(call, clock, STEADY)
    assert len(errors) - len(left) == CONTENTION.attempts == 10


def test_the_time_that_attempts_take_counts(clock: FakeClock) -> None:
    """A server that is silent until each attempt is broken off uses the budget up as well."""
    calls = 0

    def call() -> str:
        nonlocal calls
        calls += 1
        clock.pass_time(5.0)
        raise _passing()

    with pytest.raises(TransientClusterError):
        retrying(call, clock, FIRST_CONTACT)
    assert calls == 2


def test_no_attempt_begins_after_the_deadline(clock: FakeClock) -> None:
    """The time that was allowed for the run is kept, whatever the trouble."""
    for patience in Patience:
        clock.sleeps.clear()
        call, left = _failing(*[_passing(3.0, patience) for _ in range(9)])
        with pytest.raises(TransientClusterError):
            retrying(call, clock, MANY, deadline_s=clock.now() + 5.0)
        assert sum(clock.sleeps) <= 5.0
        assert 0 < len(left) < 8

    call, left = _failing(_passing(), _passing())
    with pytest.raises(TransientClusterError):
        retrying(call, clock, MANY, deadline_s=clock.now() - 1.0)
    assert len(left) == 1, "the first attempt is always made"


def test_some_trouble_is_reported_at_once(clock: FakeClock) -> None:
    """A dry run rather goes on without a webhook; other trouble is repeated as ever."""
    call, left = _failing(_passing(), _passing(0.0, Patience.WEBHOOK), _passing())
    with pytest.raises(TransientClusterError):
        retrying(call, clock, MANY, not_for=(Patience.WEBHOOK,))
    assert len(left) == 1

    call, left = _failing(_passing(0.0, Patience.WEBHOOK), _passing())
    with pytest.raises(TransientClusterError):
        retrying(call, clock, MANY, not_for=(Patience.WEBHOOK,))
    assert len(left) == 1
