"""
Wait for objects that somebody has named, or that match, whoever has made them.

Unlike a rollout, nothing was applied: the objects may not exist yet, and those that match come and
go. What is there is judged as in a rollout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from codexctl_tasks.console import Row
from codexctl_tasks.errors import Location
from codexctl_tasks.rollout.custom import USUAL_FAILURES
from codexctl_tasks.rollout.health import assess
from codexctl_tasks.rollout.target import scopes_for, target_of
from codexctl_tasks.rollout.view import View
from codexctl_tasks.rollout.wait import TICK_S, Outcome, Wait
from codexctl_tasks.stack.manifests import Manifest, ObjectName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codexctl_tasks.rollout.custom import Rule
    from codexctl_tasks.rollout.target import Target
    from codexctl_tasks.rollout.wait import Result
    from codexctl_tasks.world.cluster import Cluster, Resource
    from codexctl_tasks.world.labels import Requirement
    from codexctl_tasks.world.outside import Outside
    from codexctl_tasks.world.watching import Scope

    Object = Mapping[str, Any]


MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Sought:
    """Which objects are waited for."""

    resource: Resource
    namespace: str
    """Empty for cluster-wide kinds."""
    name: str
    """Empty: any."""
    selector: tuple[Requirement, ...] = ()
    text: str = ""
    """The selector as it was written."""

    def find(self, view: View) -> list[Object]:
        """Return those that exist, by name."""
        return [
            found
            for found in view.of_kind(self.resource.kind, self.namespace)
            if self.name in ("", found["metadata"]["name"])
            and all(each.holds(found["metadata"].get("labels") or {}) for each in self.selector)
        ]

    def name_of(self, found: Object) -> ObjectName:
        """Return the name of one of them."""
        return ObjectName(
            *(self.resource.api_version, self.resource.kind),
            self.namespace,
            found["metadata"]["name"],
        )

    def scopes(self) -> list[Scope]:
        """Return what must be watched to judge them; the kind itself is not optional."""
        name = ObjectName(self.resource.api_version, self.resource.kind, self.namespace, "")
        scopes = scopes_for([(name, self.resource)])
        return [replace(s, optional=s.optional and s.resource != self.resource) for s in scopes]

    def __str__(self) -> str:
        if self.name:
            name = ObjectName("", self.resource.kind, self.namespace, self.name)
            return str(name)
        where = f" in {self.namespace}" if self.namespace else ""
        which = f" with {self.text}" if self.text else ""
        return f"{self.resource.plural}{which}{where}"


class Pursuit:
    """The wait for one `Sought`."""

    def __init__(
        self,
        sought: Sought,
        cluster: Cluster,
        outside: Outside,
        *,
        rules: tuple[Rule, ...],
        manifests: Sequence[Manifest],
        timeout_s: float,
    ) -> None:
        """
        Begin to watch.

        Args:
            sought: What is waited for.
            cluster: Where.
            outside: The clock, the console and the watches.
            rules: What must hold of each object; empty: it must be healthy.
            manifests: Where objects may be written; only for what is told of them.
            timeout_s: How long to wait at most, from now.
        """
        scopes = sought.scopes()
        self.sought, self._rules = sought, rules
        self._places = {each.name._replace(api_version=""): each.location for each in manifests}
        self._clock, self._console = outside.clock, outside.console
        self._begun_s = self._clock.now()
        self._deadline_s = self._begun_s + timeout_s
        self._view = View(scopes)
        self._feed = outside.watch(cluster, scopes, self._clock, self._console.retrying)
        self._wait = Wait(
            cluster=cluster,
            feed=self._feed,
            scopes=scopes,
            view=self._view,
            clock=self._clock,
            console=self._console,
            timeout_s=timeout_s,
        )
        self._targets: dict[str, Target] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.close()

    def until_ready(self) -> bool:
        """
        Return True once all are ready, at least one; False: some failed, or the time is over.

        Raises:
            ClusterError: The kind, or what belongs to it, may not be watched.
        """
        while True:
            if self._view.complete:
                self._follow()
            if not self._targets:
                if self._clock.now() >= self._deadline_s:
                    return False
                self._await_first()
            elif (decided := self._wait.advance()) is not None:
                return decided

    def results(self) -> list[Result]:
        """Return what became of every object that was there at the end."""
        return self._wait.results()

    def last_state(self) -> str:
        """Return how far those have come that are not ready, in one line."""
        if not self._view.complete:
            return "the cluster has not told what exists"
        unready = (r for r in self.results() if r.outcome is not Outcome.READY)
        said = [f"{each.target.name} {each.detail}" for each in unready]
        return in_short(said) if said else "none exists"

    def _follow(self) -> None:
        """Wait for what is there now, and no more for what is not."""
        present = {f["metadata"]["uid"]: f for f in self.sought.find(self._view) if _stays(f)}
        for uid, known in list(self._targets.items()):
            if uid not in present and not self._has_ended_well(known):
                self._wait.forget(self._targets.pop(uid))
        for uid, found in present.items():
            target = self._target(found)
            known_generation = self._targets[uid].generation if uid in self._targets else -1
            if target.generation > known_generation:
                self._targets[uid] = target
                self._wait.expect([target])

    def _await_first(self) -> None:
        if self._view.complete:
            row = Row(str(self.sought), "waiting", "does not exist yet")
            self._console.progress([row], self._clock.now() - self._begun_s)
        left_s = max(self._deadline_s - self._clock.now(), 0.0)
        for notice in self._feed.next(min(TICK_S, left_s)):
            self._view.take(notice)

    def _has_ended_well(self, target: Target) -> bool:
        """Tell whether it is a Job or Pod that was complete when it was removed."""
        removed = self._view.removed(target.uid)
        if removed is None:
            return False
        succeeded = (removed.get("status") or {}).get("phase") == "Succeeded"
        return (target.name.kind == "Job" or succeeded) and assess(target, removed).ready

    def _target(self, found: Object) -> Target:
        """Return what to judge it by: its own annotations too, but the time is the step's."""
        name = self.sought.name_of(found)
        written = self._places.get(name._replace(api_version=""))
        place = written or Location(str(name))
        manifest = Manifest(name=name, body=found, location=place, locate=lambda _: place)
        target = replace(
            target_of(name, manifest, found),
            timeout_s=math.inf,
            replaces_pods=False,  # who waits changes nothing
            location=written or Location(""),
        )
        if not self._rules:
            return target
        awaited = {rule.path for rule in self._rules}
        failures = target.failed_when or (USUAL_FAILURES if target.is_custom else ())
        failed_when = tuple(rule for rule in failures if rule.path not in awaited)
        return replace(target, ready_when=self._rules, failed_when=failed_when)


def _stays(found: Object) -> bool:
    return not found["metadata"].get("deletionTimestamp")


def in_short(said: Sequence[str]) -> str:
    """Join what is said of each object; of many only the first are named."""
    more = len(said) - MOST_NAMED
    shown = said[:MOST_NAMED]
    return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)
