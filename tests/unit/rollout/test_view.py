"""What the watches have shown so far."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.rollout.view import View, event_count, event_time
from codexctl_tasks.world.watching import Changed, Listed, Refused
from tests.support.objects import deployment, event, pod, replica_set, scopes, show, view_of

SCOPES = scopes()


def _changed(found: dict[str, Any], *, deleted: bool = False) -> Changed:
    return Changed(SCOPES[found["kind"]], deleted, found)


def test_absence_means_nothing_before_everything_was_listed() -> None:
    """Nobody is judged on half a picture; a refused scope that is optional counts as seen."""
    needed, optional = SCOPES["Pod"], replace(SCOPES["Event"], explains=False)
    view = View([needed, optional])

    assert not view.complete
    view.take(Listed(needed, []))
    assert not view.complete
    view.take(Refused(optional, ClusterError("c", "forbidden")))
    assert view.complete
    assert View([replace(optional, explains=True)]).complete, "what explains is not waited for"


def test_a_needed_scope_that_is_refused_is_an_error() -> None:
    """Without permission to watch pods there is nothing to wait for: said at once."""
    with pytest.raises(ClusterError, match="forbidden"):
        View([SCOPES["Pod"]]).take(Refused(SCOPES["Pod"], ClusterError("c", "forbidden")))


def test_a_list_replaces_what_was_known() -> None:
    """After a gap, objects that vanished meanwhile are gone, with their place in every index."""
    old = pod("old")
    view = view_of(deployment(), replica_set(), old, event(old, "Failed"))

    show(view, deployment(), replica_set(), pod("new"))

    assert view.find("Pod", "shop", "old") is None
    assert [p["metadata"]["name"] for p in view.owned_by("ReplicaSet-web-1", "Pod")] == ["new"]
    assert view.events_about("Pod-old") == []


def test_single_changes_are_followed() -> None:
    """Added, modified, deleted; only what a controller owns counts as its child."""
    view = view_of(deployment())
    adopted = pod("adopted")
    adopted["metadata"]["ownerReferences"][0]["controller"] = False

    for found in (pod("b"), pod("a"), adopted):
        view.take(_changed(found))
    view.take(_changed(pod("a", status={"phase": "Running"})))
    assert [p["metadata"]["name"] for p in view.owned_by("ReplicaSet-web-1", "Pod")] == ["a", "b"]
    assert (view.find("Pod", "shop", "a") or {})["status"]["phase"] == "Running"

    view.take(_changed(pod("a"), deleted=True))
    assert view.find("Pod", "shop", "a") is None
    assert view.owned_by("ReplicaSet-web-1", "Deployment") == []


def test_a_late_deletion_does_not_remove_the_successor() -> None:
    """Pods of a StatefulSet share a name over time: the UID tells them apart."""
    view = view_of(pod("db-0", uid="first"))

    view.take(_changed(pod("db-0", uid="second")))
    view.take(_changed(pod("db-0", uid="first"), deleted=True))

    assert (view.find("Pod", "shop", "db-0") or {})["metadata"]["uid"] == "second"


def test_events_come_oldest_first_whatever_writes_them() -> None:
    """The kubelet's, the scheduler's and new-style events are sorted by when they were seen."""
    about = pod()
    third = event(about, "C", series={"lastObservedTime": "2024-01-01T00:00:03Z", "count": 7})
    first = event(about, "A", lastTimestamp="2024-01-01T00:00:01Z", count=4)
    second = event(about, "B", eventTime="2024-01-01T00:00:02Z")
    view = view_of(about, third, first, second)

    assert view.events_about("Pod-web-1-a") == [first, second, third]
    assert [event_count(e) for e in (first, second, third)] == [4, 1, 7]
    assert event_time({"metadata": {}}) == ""
