"""Wait until somebody has made a certificate: one watch, at the end a word from cert-manager."""

from __future__ import annotations

import math
from contextlib import closing
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ClusterError, DeadlineError
from codexctl_tasks.hooks.tls_shelf import SECRET
from codexctl_tasks.world.watching import Changed, Listed, Refused, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codexctl_tasks.hooks.contract import HookContext
    from codexctl_tasks.hooks.tls_pairs import Holding
    from codexctl_tasks.hooks.tls_shelf import Shelf
    from codexctl_tasks.world.watching import Notice

TICK_S = 1.0
REMIND_S = 30.0
"""Longer silence makes people believe that a run hangs."""
_CERTIFICATE = ("cert-manager.io/v1", "Certificate")


def wait_for_certificate(
    shelf: Shelf, own: Holding, context: HookContext, timeout_s: float | None
) -> Holding:
    """
    Return what is on the shelf as soon as it is of use.

    Args:
        shelf: Where it is waited for.
        own: What was there before.
        context: Of the hook.
        timeout_s: None: as long as the step may last.

    Raises:
        DeadlineError: There is none in time.
        ClusterError: The Secrets of the namespace may not be watched.
    """
    begun_s = context.clock.now()
    deadline_s = min(context.deadline_s, begun_s + (math.inf if timeout_s is None else timeout_s))
    told, told_s = "", begun_s
    secret = own.secret
    scope = Scope(SECRET, shelf.namespace)
    announce = context.console.retrying
    with closing(
        context.outside.watch(context.connect(), [scope], context.clock, announce)
    ) as feed:
        while True:
            with shelf.permitted():
                secret = _newest(feed.next(_pause_s(context, deadline_s)), shelf.name, secret)
            holding = shelf.judge(secret)
            now_s = context.clock.now()
            if holding.is_usable:
                return holding
            if now_s >= deadline_s:
                raise _late(shelf, context, holding.doubt, now_s - begun_s)
            if holding.doubt != told or now_s - told_s >= REMIND_S:
                told, told_s = holding.doubt, now_s
                context.tell(f"waiting for {shelf.where}: {told}")


def _pause_s(context: HookContext, deadline_s: float) -> float:
    return max(min(TICK_S, deadline_s - context.clock.now()), 0.0)


def _newest(
    notices: Iterable[Notice], name: str, known: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Return the Secret after what has happened to it; None: there is none."""
    for notice in notices:
        match notice:
            case Listed(_, objects):
                known = next((o for o in objects if o["metadata"]["name"] == name), None)
            case Changed(_, deleted, found) if found["metadata"]["name"] == name:
                known = None if deleted else found
            case Refused(_, error):
                raise error
    return known


def _late(shelf: Shelf, context: HookContext, doubt: str, waited_s: float) -> DeadlineError:
    words = _words_of_cert_manager(shelf, context)
    what = f"no certificate after {waited_s:.0f} s: {doubt}" + (f"; {words}" if words else "")
    return DeadlineError(shelf.where, what, "find out who makes it, or give the step more time")


def _words_of_cert_manager(shelf: Shelf, context: HookContext) -> str:
    """Return what cert-manager says about the Secret, on one line; empty: nothing."""
    try:
        cluster = context.connect()
        resource = cluster.resources().get(_CERTIFICATE)
        found = cluster.list_objects(resource, shelf.namespace)[0] if resource else []
    except ClusterError:  # it only explains
        return ""
    for each in found:
        if (each.get("spec") or {}).get("secretName") == shelf.name:
            conditions = (each.get("status") or {}).get("conditions") or ()
            open_ones = (c for c in conditions if _is_telling(c))
            said = "; ".join(str(c.get("message") or c.get("reason")) for c in open_ones)
            return f"Certificate {each['metadata']['name']}: {said or 'without status'}"[:300]
    return ""


def _is_telling(condition: Mapping[str, Any]) -> bool:
    """Tell whether a condition says what is missing."""
    state = (condition.get("type"), condition.get("status"))
    return state in (("Ready", "False"), ("Issuing", "True"), ("Issuing", "False"))
