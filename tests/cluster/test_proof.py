"""The proof that an apply would change nothing, against what a real API server says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.apply.stored import ATOMIC_MAPS, MERGED_LISTS, MERGED_MAPS
from tests.cluster.proof.schemas import maps_and_lists
from tests.cluster.proof.server import Server
from tests.cluster.proof.trials import counted, playground, run_cases, untouched_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.proof.trials import Playground

pytestmark = pytest.mark.cluster

SEED = 1
CASES = 300
SECONDS = 12.0
"""After this no case begins on a slow machine, if there were enough to say something."""
FEWEST_CASES = 60
USEFUL = 0.8
"""Share of the cases that the server leaves alone and the proof must know as such."""
UNKNOWABLE = frozenset({"Gadget", "Widget filled"})
"""Custom resources with maps that only their definition could tell from merged ones."""


@pytest.fixture(scope="module")
def place(cluster_environment: dict[str, str]) -> Iterator[Playground]:
    """Give namespaces and custom resources of this run."""
    with playground(cluster_environment["KUBECONFIG"]) as found:
        yield found


def test_untouched_objects_are_not_sent_again(place: Playground) -> None:
    """A second deploy of the same manifests, of any usual kind, sends nothing."""
    cases = untouched_objects(place)

    assert len(cases) == len(place.templates)
    assert len({case.kind for case in cases}) >= 30
    assert [str(case) for case in cases if case.is_wrong] == []
    needless = [case for case in cases if case.is_needless]
    surprising = [
        case
        for case in needless
        if not {case.kind, f"{case.kind} {case.name.split('-')[0]}"} & UNKNOWABLE
    ]
    assert [str(case) for case in surprising] == []


def test_what_would_change_is_never_called_unchanged(place: Playground) -> None:
    """Whoever edited, took over or shared an object: the next deploy puts it right."""
    cases = run_cases(place, SEED, range(CASES), SECONDS, FEWEST_CASES)

    assert [str(case) for case in cases if case.is_wrong] == []
    figures = counted(cases)
    assert figures["same"] > 0
    assert figures["sent though same"] <= (1 - USEFUL) * figures["same"], figures


def test_what_is_known_of_built_in_kinds_is_what_the_server_says(
    cluster_environment: dict[str, str],
) -> None:
    """A new version of Kubernetes that divides a value in other ways is noticed here."""
    found = maps_and_lists(Server(cluster_environment["KUBECONFIG"]))
    maps = {(name, atomic) for _, name, kind, atomic in found if kind == "object"}
    lists = {((parent, name), atomic) for parent, name, kind, atomic in found if kind == "array"}

    assert {name for name, atomic in maps if not atomic} & ATOMIC_MAPS == set()
    assert {name for name, atomic in maps if atomic} & MERGED_MAPS == set()
    assert {place for place, atomic in lists if atomic} & MERGED_LISTS == set()
    assert {name for name, _ in maps} >= ATOMIC_MAPS | MERGED_MAPS
    assert {place for place, _ in lists} >= MERGED_LISTS
