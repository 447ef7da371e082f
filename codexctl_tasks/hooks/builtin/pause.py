"""``sleep``: wait for what nobody can be asked about."""

from __future__ import annotations

from codexctl_tasks.errors import DeadlineError
from codexctl_tasks.hooks.contract import HookContext, Parameters, Seconds, hook


class Pause(Parameters):
    """``with`` of ``sleep``."""

    duration: Seconds
    """How long, such as `10s`."""


@hook(
    "sleep",
    Pause,
    example="""
        - use: sleep
          with: { duration: 10s }
    """,
    replaces="sleep 10",
)
def sleep(given: Pause, context: HookContext) -> None:
    """
    Wait for a while.

    Better wait for what you need: `kubectl.wait` ends as soon as it is there, and says what is
    missing.
    """
    if given.duration > context.left_s:
        raise DeadlineError(
            context.hook,
            f"{given.duration:g} s are longer than the {context.left_s:.0f} s that the step has",
            "give the step a longer timeout",
        )
    context.tell(f"sleeping for {given.duration:g} s")
    context.clock.sleep(given.duration)
