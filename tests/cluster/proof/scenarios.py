"""What may have happened to an object before it is applied again."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.cluster.proof import mutations
from tests.cluster.proof.server import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.cluster.proof.server import Server

Object = dict[str, Any]

MANAGER = "codexctl"
OTHER = "other"
_ATTEMPTS = 6
_OTHER_VERSIONS = {"autoscaling/v2": "autoscaling/v1", "example.com/v1": "example.com/v1alpha1"}


@dataclass(frozen=True)
class Trial:
    """One object of its own, and chance."""

    server: Server
    path: str
    original: Object
    random: Random

    def live(self) -> Object:
        """Return the object as it is now."""
        return self.server.get(self.path)

    def apply(self, thing: Object, manager: str = MANAGER) -> None:
        """Apply on the server side, by force."""
        self.server.apply(self.path, thing, manager)

    def apply_some(self, make: Callable[[], Object], manager: str = MANAGER) -> None:
        """Apply the first of several variants that the server accepts."""
        for attempt in range(_ATTEMPTS):
            try:
                return self.apply(make(), manager)
            except Refused:
                if attempt == _ATTEMPTS - 1:
                    raise
        return None

    def mutated(self) -> Object:
        """Return the original with a change."""
        return mutations.mutated(self.original, self.random)

    def replace(self, change: Callable[[Object], Object], manager: str = OTHER) -> None:
        """Change the live object as somebody who edits it; tried again, as controllers write."""
        for attempt in range(_ATTEMPTS):
            try:
                return self.server.put(self.path, change(self.live()), manager)
            except Refused:
                if attempt == _ATTEMPTS - 1:
                    raise
        return None


def untouched(trial: Trial) -> Object:
    trial.apply(trial.original)
    return trial.original


def desired_differs(trial: Trial) -> Object:
    trial.apply(trial.original)
    return trial.mutated()


def desired_is_reordered(trial: Trial) -> Object:
    trial.apply(trial.original)
    return mutations.reordered(trial.original, trial.random)


def desired_is_doubled(trial: Trial) -> Object:
    trial.apply(trial.original)
    return mutations.doubled(trial.original, trial.random)


def desired_is_relabelled(trial: Trial) -> Object:
    trial.apply(trial.original)
    return mutations.relabelled(trial.original, trial.random)


def desired_is_spelled_out(trial: Trial) -> Object:
    trial.apply(trial.original)
    return mutations.spelled_out(trial.original, trial.live(), trial.random)


def earlier_differed(trial: Trial) -> Object:
    trial.apply_some(trial.mutated)
    return trial.original


def earlier_differed_and_was_mended(trial: Trial) -> Object:
    trial.apply_some(trial.mutated)
    trial.apply(trial.original)
    return trial.random.choice((trial.original, trial.mutated()))


def earlier_was_empty(trial: Trial) -> Object:
    """An empty, zero or null value before; now another of them, or what the server has there."""
    path: mutations.Path = ()
    for attempt in range(_ATTEMPTS):
        before, path = mutations.emptied(trial.original, trial.random)
        try:
            trial.apply(before)
        except Refused:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            break
    if not path:
        return trial.original
    live = mutations.at(trial.live(), path)
    value = mutations.at(trial.original, path)
    now = trial.random.choice((type(value)(), live, live, value))
    return mutations.replaced(trial.original, path, now)


def another_edits(trial: Trial) -> Object:
    trial.apply(trial.original)
    trial.replace(lambda live: mutations.mutated(live, trial.random))
    return trial.original


def another_reorders(trial: Trial) -> Object:
    trial.apply(trial.original)
    trial.replace(lambda live: mutations.reordered(live, trial.random))
    return trial.original


def another_doubles(trial: Trial) -> Object:
    trial.apply(trial.original)
    trial.replace(lambda live: mutations.doubled(live, trial.random))
    return trial.original


def another_relabels(trial: Trial) -> Object:
    trial.apply(trial.original)
    trial.replace(lambda live: mutations.relabelled(live, trial.random))
    return trial.random.choice((trial.original, mutations.relabelled(trial.original, trial.random)))


def another_edits_and_desired_differs(trial: Trial) -> Object:
    another_edits(trial)
    return trial.mutated()


def another_takes_over(trial: Trial) -> Object:
    trial.apply(trial.original)
    trial.apply_some(trial.mutated, OTHER)
    return trial.original


def another_shares(trial: Trial) -> Object:
    trial.apply(trial.original)
    trial.apply(trial.original, OTHER)
    return trial.random.choice((trial.original, trial.mutated()))


def another_shares_what_is_stored(trial: Trial) -> Object:
    trial.apply(trial.original)
    trial.apply(mutations.in_stored_form(trial.original, trial.live()), OTHER)
    return trial.original


def another_shares_all(trial: Trial) -> Object:
    """Everything that is live belongs to somebody else as well, defaults and zeros included."""
    trial.apply(trial.original)
    shared = {key: value for key, value in trial.live().items() if key != "status"}
    about = {k: v for k, v in shared["metadata"].items() if k in ("name", "labels", "annotations")}
    trial.apply({**shared, "metadata": about}, OTHER)
    return trial.random.choice(
        (trial.original, mutations.spelled_out(trial.original, trial.live(), trial.random))
    )


def another_came_first(trial: Trial) -> Object:
    trial.apply_some(trial.mutated, OTHER)
    trial.apply(trial.original)
    return trial.original


def another_version_of_the_api(trial: Trial) -> Object:
    """We, or somebody else, have used another version of the same kind."""
    trial.apply(trial.original)
    manager = trial.random.choice((MANAGER, OTHER))
    version = trial.original["apiVersion"]
    for old, new in _OTHER_VERSIONS.items():
        if version.endswith(old):
            other = version.removesuffix(old) + new
            about = {"labels": {"by": manager}, "name": trial.original["metadata"]["name"]}
            thing = {"apiVersion": other, "kind": trial.original["kind"], "metadata": about}
            path = trial.path.replace(f"/{version}/", f"/{other}/")
            trial.server.apply(path, thing, manager)
    return trial.original


def client_side_apply(trial: Trial) -> Object:
    """Somebody used `kubectl apply` before or after us."""

    def applied(live: Object) -> Object:
        thing = mutations.mutated(live, trial.random)
        notes = thing["metadata"].get("annotations") or {}
        key = "kubectl.kubernetes.io/last-applied-configuration"
        thing["metadata"]["annotations"] = {**notes, key: json.dumps(trial.original)}
        return thing

    trial.apply(trial.original)
    trial.replace(applied, "kubectl-client-side-apply")
    if trial.random.random() < 0.5:
        trial.apply(trial.original)
    return trial.original


def scaled(trial: Trial) -> Object:
    trial.apply(trial.original)
    if "replicas" in trial.original.get("spec", {}):
        size = trial.random.choice((0, 0, 1))
        trial.server.merge(f"{trial.path}/scale", {"spec": {"replicas": size}}, OTHER)
    return trial.original


def status_is_written(trial: Trial) -> Object:
    """A controller writes the status, under whatever name."""
    trial.apply(trial.original)
    manager = trial.random.choice((MANAGER, OTHER))
    status = {"status": {"observedGeneration": 1}}
    try:
        trial.server.merge(f"{trial.path}/status", status, manager)
    except Refused:  # a kind without it
        trial.replace(lambda live: mutations.relabelled(live, trial.random), manager)
    return trial.original


def entries_are_written(trial: Trial) -> Object:
    """Somebody rewrote managedFields themselves: removed, emptied, of a version long gone."""
    trial.apply(trial.original)
    version = trial.original["apiVersion"]
    whole = {"operation": "Update", "apiVersion": version, "fieldsType": "FieldsV1"}
    fields = {"f:metadata": {"f:labels": {"f:gone": {}}}}

    def rewritten(live: Object) -> Object:
        entries = copy.deepcopy(live["metadata"].get("managedFields", []))
        own = [e for e in entries if e["manager"] == MANAGER]
        choices: list[list[Object]] = [
            [{}],
            [*entries, {**whole, "manager": "empty", "fieldsV1": {}}],
            [*entries, {**whole, "manager": "stale", "fieldsV1": fields}],
            [*entries, {**whole, "manager": "old", "fieldsV1": fields, "apiVersion": "x.test/v1"}],
            [*entries, {**whole, "manager": MANAGER, "fieldsV1": fields}],
            [e for e in entries if e["manager"] != MANAGER] or [{}],
            [*entries, *({**e, "manager": OTHER} for e in own)],
            [*entries, *({**e, "operation": "Update"} for e in own)],
        ]
        live["metadata"]["managedFields"] = trial.random.choice(choices)
        return live

    trial.replace(rewritten)
    return trial.original


SCENARIOS: tuple[tuple[int, Callable[[Trial], Object]], ...] = (
    (2, untouched),
    (8, desired_differs),
    (2, desired_is_reordered),
    (1, desired_is_doubled),
    (2, desired_is_relabelled),
    (2, desired_is_spelled_out),
    (5, earlier_differed),
    (3, earlier_differed_and_was_mended),
    (6, earlier_was_empty),
    (6, another_edits),
    (2, another_reorders),
    (1, another_doubles),
    (2, another_relabels),
    (2, another_edits_and_desired_differs),
    (3, another_takes_over),
    (2, another_shares),
    (2, another_shares_what_is_stored),
    (2, another_shares_all),
    (2, another_came_first),
    (1, another_version_of_the_api),
    (3, client_side_apply),
    (1, scaled),
    (2, status_is_written),
    (2, entries_are_written),
)
"""Each with its share."""
