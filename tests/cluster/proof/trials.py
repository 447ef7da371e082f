"""Cases run against an API server: the verdict of the proof beside that of a dry run."""

from __future__ import annotations

import copy
import json
import os
import secrets
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from string import Template
from typing import TYPE_CHECKING, Any

import yaml

from codexctl_tasks.apply.proof import is_unchanged
from tests.cluster.proof.mutations import differences
from tests.cluster.proof.scenarios import MANAGER, SCENARIOS, Trial, untouched
from tests.cluster.proof.server import Refused, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Object = dict[str, Any]

HERE = Path(__file__).parent
WORKERS = 4
_QUIET_LOOKS = 8
_RARE = {"CustomResourceDefinition": 0.1, "Namespace": 0.2}
"""Kinds that cost the server seconds, with their share of the cases of others."""


@dataclass(frozen=True)
class Case:
    """What became of one case."""

    seed: int
    number: int
    scenario: str
    kind: str
    name: str
    proved: bool
    truth: str
    """``same``, ``change`` or ``refused``."""
    desired: Object = field(repr=False)
    live: Object = field(repr=False)
    after: Object | str = field(repr=False)

    @property
    def is_wrong(self) -> bool:
        """Not sent, although something would change."""
        return self.proved and self.truth != "same"

    @property
    def is_needless(self) -> bool:
        """Sent, although nothing would change."""
        return not self.proved and self.truth == "same"

    def __str__(self) -> str:
        changes = (
            [self.after]
            if isinstance(self.after, str)
            else differences(_comparable(self.live), _comparable(self.after))
        )
        return "\n".join(
            [
                f"--seed {self.seed} --case {self.number}: {self.scenario}, {self.name}",
                f"  {'unchanged' if self.proved else 'sent'}, truth: {self.truth}",
                f"  desired: {json.dumps(self.desired)}",
                *(f"  live | after: {line}" for line in changes),
            ]
        )


@dataclass(frozen=True)
class Playground:
    """A server with a namespace for each worker and the custom resources of one run."""

    server: Server
    run: str
    templates: Sequence[Template]

    def namespace(self, worker: int) -> str:
        """Return the namespace of a worker."""
        return f"{self.run}-w{worker}"

    def case(self, seed: int, number: int, worker: int) -> Case | None:
        """Run one case; None if a step of it was refused or the object was never quiet."""
        random = Random(f"{seed}/{number}")  # noqa: S311 - repeatable
        weights, scenarios = zip(*SCENARIOS, strict=True)
        scenario = random.choices(scenarios, weights)[0]
        shares = [_share(template) for template in self.templates]
        template = random.choices(self.templates, shares)[0]
        return self.play(scenario, template, random, (seed, number, worker))

    def play(
        self,
        scenario: Callable[[Trial], Object],
        template: Template,
        random: Random,
        identity: tuple[int, int, int],
    ) -> Case | None:
        """Put an object of its own through a scenario; *identity*: seed, number, worker."""
        seed, number, worker = identity
        original = yaml.safe_load(template.substitute(run=self.run, case=f"{seed}-{number}"))
        path = self.server.path(original, self.namespace(worker))
        trial = Trial(self.server, path, original, random)
        try:
            desired = copy.deepcopy(scenario(trial))
            proved, truth, live, after = self._judge(path, desired)
        except Refused:
            return None
        finally:
            self.server.delete(path)
        name = original["metadata"]["name"]
        return Case(
            *(seed, number, scenario.__name__, original["kind"], name, proved, truth),
            *(desired, live, after),
        )

    def _judge(self, path: str, desired: Object) -> tuple[bool, str, Object, Object | str]:
        for look in range(_QUIET_LOOKS):
            live = self.server.get(path)
            proved = is_unchanged(desired, live, MANAGER)
            after: Object | str
            try:
                after = self.server.apply(path, desired, MANAGER, dry_run=True)
            except Refused as error:
                after = str(error)
            again = self.server.get(path)
            if again["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]:
                if isinstance(after, str):
                    return proved, "refused", live, after
                differs = any(differences(_comparable(live), _comparable(after)))
                return proved, "change" if differs else "same", live, after
            time.sleep(0.02 * 2**look)  # a controller is at work
        raise Refused("never quiet")


@contextmanager
def playground(kubeconfig: str, workers: int = WORKERS) -> Iterator[Playground]:
    """Make namespaces and definitions that nobody else has; remove them however it went."""
    server = Server(kubeconfig)
    run = f"proof-{os.getpid()}-{secrets.token_hex(2)}"
    definitions = yaml.safe_load_all(
        Template((HERE / "definitions.yaml").read_text()).substitute(run=run)
    )
    templates = [Template(text) for text in (HERE / "objects.yaml").read_text().split("\n---\n")]
    place = Playground(server, run, templates)
    things = [*definitions, *(_namespace(place.namespace(worker)) for worker in range(workers))]
    server.learn_kinds()
    paths = [server.path(thing, "") for thing in things]
    try:
        for thing, path in zip(things, paths, strict=True):
            server.apply(path, thing, "tests")
        for worker in range(workers):
            account = f"/api/v1/namespaces/{place.namespace(worker)}/serviceaccounts/default"
            server.wait_for(account)  # without it no pod is accepted
        for plural in ("widgets", "gadgets"):
            server.wait_for(f"/apis/{run}.example.com/v1/namespaces/{run}-w0/{plural}")
        server.learn_kinds()
        yield place
    finally:
        for path in reversed(paths):
            server.delete(path)


def untouched_objects(place: Playground, seed: int = 0) -> list[Case]:
    """Apply every object of the file once, and ask about it."""

    def play(numbered: tuple[int, Template]) -> Case | None:
        number, template = numbered
        random = Random(seed)  # noqa: S311 - repeatable
        return place.play(untouched, template, random, (seed, -number, number % WORKERS))

    with ThreadPoolExecutor(WORKERS) as pool:
        return [case for case in pool.map(play, enumerate(place.templates, 1)) if case]


def run_cases(
    place: Playground, seed: int, numbers: Sequence[int], seconds: float, least: int = 0
) -> list[Case]:
    """Run cases side by side until they are done, or the time is over and *least* were tried."""
    deadline = time.monotonic() + seconds
    found: list[Case] = []
    stop = threading.Event()

    def work(worker: int) -> None:
        for number in numbers[worker::WORKERS]:
            if stop.is_set() or (number >= least and time.monotonic() > deadline):
                return
            case = place.case(seed, number, worker)
            if case:
                found.append(case)

    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            for future in as_completed([pool.submit(work, worker) for worker in range(WORKERS)]):
                future.result()
        finally:
            stop.set()  # after a failure or Ctrl-C nobody begins another case
    return sorted(found, key=lambda case: case.number)


def counted(cases: Sequence[Case]) -> dict[str, int]:
    """Return the figures that matter."""
    return {
        "cases": len(cases),
        "unchanged": sum(case.proved for case in cases),
        "wrong": sum(case.is_wrong for case in cases),
        "same": sum(case.truth == "same" for case in cases),
        "sent though same": sum(case.is_needless for case in cases),
    }


def by_kind(cases: Sequence[Case]) -> str:
    return ", ".join(f"{kind} {n}" for kind, n in Counter(c.kind for c in cases).most_common())


def _comparable(thing: Object) -> Object:
    """Return what an apply must leave alone: everything except times of entries."""
    metadata = {k: v for k, v in thing["metadata"].items() if k != "resourceVersion"}
    entries = [
        {k: v for k, v in entry.items() if k != "time"}
        for entry in metadata.get("managedFields", [])
    ]
    metadata["managedFields"] = sorted(entries, key=lambda entry: json.dumps(entry, sort_keys=True))
    return {**thing, "metadata": metadata}


def _share(template: Template) -> float:
    shares = (share for kind, share in _RARE.items() if f"kind: {kind}\n" in template.template)
    return next(shares, 1)


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
