"""What each call says to the API server, and what its answers become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import (
    BrokenStreamError,
    ClusterError,
    ExpiredError,
    TransientClusterError,
)
from codexctl_tasks.world.cluster import Answer as Applied
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.kubernetes import PAGE, KubernetesCluster
from codexctl_tasks.world.retrying import CONTENTION
from tests.support.api_server import Answer, ApiServer, event_lines, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fakes import FakeClock

CONFIG = Resource("v1", "ConfigMap", "configmaps", namespaced=True)
BODY = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}}
FOUND = {**BODY, "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7"}}
PATH = "/api/v1/namespaces/n/configmaps"


def test_apply_is_strict_and_signed(cluster: KubernetesCluster, server: ApiServer) -> None:
    """Fields are owned by codexctl, a misspelt one is refused, none is taken over by chance."""
    server.will(Answer(FOUND), Answer(FOUND))

    assert cluster.apply(CONFIG, "n", BODY) == Applied(FOUND)
    cluster.apply(CONFIG, "n", BODY, force=True)

    first, second = server.requests
    assert (first.method, first.path, first.body) == ("PATCH", f"{PATH}/a", BODY)
    assert first.query == {
        "fieldManager": "codexctl",
        "fieldValidation": "Strict",
        "force": "false",
    }
    assert first.headers["content-type"] == "application/apply-patch+yaml"
    assert second.query["force"] == "true"


def test_only_a_dry_run_fetches_the_whole_object(
    cluster: KubernetesCluster, server: ApiServer
) -> None:
    """Thousands of large objects are not sent back when nobody looks at them."""
    server.will(Answer(FOUND), Answer(FOUND))

    cluster.apply(CONFIG, "n", BODY)
    cluster.apply(CONFIG, "n", BODY, dry_run=True)

    applied, rehearsed = server.requests
    assert applied.headers["accept"].startswith("application/json;as=PartialObjectMetadata;")
    assert applied.headers["accept"].endswith(",application/json")
    assert "dryRun" not in applied.query
    assert rehearsed.headers["accept"] == "application/json"
    assert rehearsed.query["dryRun"] == "All"


def test_what_the_server_warns_of_is_passed_on(
    cluster: KubernetesCluster, server: ApiServer
) -> None:
    """A deprecated field still works today; the user learns of it while it does."""
    lines = ['299 - "x/v1beta1 is deprecated"', '299 - "unknown \\"y\\"", 299 - "third"']
    server.will(Answer(FOUND, headers={"Warning": lines}))

    warnings = cluster.apply(CONFIG, "n", BODY).warnings

    assert warnings == ("x/v1beta1 is deprecated", 'unknown "y"', "third")


def test_create_replace_and_patch(cluster: KubernetesCluster, server: ApiServer) -> None:
    """Each is the request that Kubernetes has for it; the answer is the object."""
    server.will(Answer(FOUND, 201), Answer(FOUND), Answer(FOUND))
    operations = [{"op": "remove", "path": "/metadata/managedFields/0"}]

    assert cluster.create(CONFIG, "n", BODY) == FOUND
    assert cluster.replace(CONFIG, "n", FOUND) == FOUND
    assert cluster.patch(CONFIG, "n", "a", operations) == FOUND

    created, replaced, patched = server.requests
    assert (created.method, created.path, created.body) == ("POST", PATH, BODY)
    assert created.headers["content-type"] == "application/json"
    assert (replaced.method, replaced.path, replaced.body) == ("PUT", f"{PATH}/a", FOUND)
    assert (patched.method, patched.path, patched.body) == ("PATCH", f"{PATH}/a", operations)
    assert patched.headers["content-type"] == "application/json-patch+json"
    assert patched.query == {"fieldManager": "codexctl"}


MODIFIED = "the object has been modified; please apply your changes to the latest version"


def test_losing_against_another_writer_is_repeated(
    cluster: KubernetesCluster, server: ApiServer
) -> None:
    """Two deploys at once, or a busy quota: the server reads anew, so another try may win."""
    quota = f'Operation cannot be fulfilled on resourcequotas "q": {MODIFIED}'
    server.will(status(409, MODIFIED), status(409, quota), Answer(FOUND))

    assert cluster.apply(CONFIG, "n", BODY).object == FOUND
    assert len(server.requests) == 3

    server.requests.clear()
    server.will(*[status(409, MODIFIED)] * 20)
    with pytest.raises(ClusterError, match="has been modified"):
        cluster.apply(CONFIG, "n", BODY)
    assert len(server.requests) == CONTENTION.attempts == 10


@pytest.mark.parametrize(
    "call",
    [
        lambda cluster: cluster.replace(CONFIG, "n", FOUND),
        lambda cluster: cluster.apply(CONFIG, "n", FOUND),
        lambda cluster: cluster.patch(
            *(CONFIG, "n", "a"),
            [{"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}],
        ),
    ],
    ids=["replace", "apply", "patch"],
)
def test_what_names_an_outdated_version_is_not_repeated(
    cluster: KubernetesCluster, server: ApiServer, call: Callable[[KubernetesCluster], Any]
) -> None:
    """The same request would fail for ever: whoever made it has to read anew, at once."""
    server.will(status(409, MODIFIED, reason="Conflict"))

    with pytest.raises(ClusterError, match="has been modified") as caught:
        call(cluster)

    assert (caught.value.reason, len(server.requests)) == ("Conflict", 1)


def test_missing_objects_are_none(cluster: KubernetesCluster, server: ApiServer) -> None:
    """Looking for something that is not there is no error; not being allowed to look is."""
    server.will(Answer(FOUND), status(404), status(403))

    assert cluster.get(CONFIG, "n", "a") == FOUND
    assert cluster.get(CONFIG, "n", "a") is None
    with pytest.raises(ClusterError, match="403"):
        cluster.get(CONFIG, "n", "a")
    assert {r.path for r in server.requests} == {f"{PATH}/a"}


def test_lists_come_page_by_page(cluster: KubernetesCluster, server: ApiServer) -> None:
    """Large namespaces are read completely; items say what they are; the first version counts."""
    pages = [
        {"metadata": {"resourceVersion": "5", "continue": "next"}, "items": [{"metadata": {}}]},
        {"metadata": {"resourceVersion": "6"}, "items": [{"metadata": {"name": "b"}}]},
        {"metadata": {"resourceVersion": "9"}, "items": None},
    ]
    server.will(*map(Answer, pages))

    items, version = cluster.list_objects(CONFIG, "n")

    assert [(i["apiVersion"], i["kind"]) for i in items] == [("v1", "ConfigMap")] * 2
    assert version == "5"
    assert [r.query for r in server.requests] == [
        {"limit": str(PAGE)},
        {"limit": str(PAGE), "continue": "next"},
    ]
    assert cluster.list_objects(CONFIG, "n") == ([], "9")


def test_kinds_are_asked_once(cluster: KubernetesCluster, server: ApiServer) -> None:
    """Two requests tell all kinds, however many objects there are."""
    entry = {"resource": "configmaps", "scope": "Namespaced", "responseKind": {"kind": "ConfigMap"}}
    core = {"items": [{"metadata": {}, "versions": [{"version": "v1", "resources": [entry]}]}]}
    server.will(Answer(core), Answer({"items": []}))

    for _ in range(3):
        assert cluster.resources()["v1", "ConfigMap"] == CONFIG
    assert [r.path for r in server.requests] == ["/api", "/apis"]

    server.will(Answer({"items": []}), Answer({"items": []}))
    assert cluster.resources(refresh=True) == {}


def test_a_watch_yields_events_until_the_server_ends_it(
    cluster: KubernetesCluster, server: ApiServer
) -> None:
    """Events arrive whole, however the network cuts them."""
    lines = event_lines(("ADDED", FOUND), ("BOOKMARK", FOUND), ("DELETED", FOUND))
    server.will(Answer(chunks=(lines[:30], lines[30:31], lines[31:])))

    events = list(cluster.watch(CONFIG, "n", "7"))

    assert [event.type for event in events] == ["ADDED", "BOOKMARK", "DELETED"]
    assert events[0].object == FOUND
    [request] = server.requests
    assert request.query["resourceVersion"] == "7"
    assert (request.query["watch"], request.query["allowWatchBookmarks"]) == ("true", "true")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(chunks=(event_lines(("ADDED", FOUND)), b'{"type": "MODI'), cut=True),
        Answer(chunks=(event_lines(("ADDED", FOUND)), b'{"type": "MODI')),
        Answer(chunks=(event_lines(("ADDED", FOUND)), b"<html>\n")),
        Answer(chunks=(event_lines(("ADDED", FOUND), ("ERROR", {"code": 500, "message": "x"})),)),
        Answer(chunks=(event_lines(("ADDED", FOUND)), b'{"kind": "Status"}\n')),
        Answer(chunks=(event_lines(("ADDED", FOUND)), b"[1]\n")),
        Answer(chunks=(event_lines(("ADDED", FOUND), ("ERROR", {"metadata": {}})),)),
        Answer(chunks=(event_lines(("ADDED", FOUND), ("ADDED", {"metadata": 1})),)),
    ],
    ids=[
        "cut in a line",
        "ended in a line",
        "no JSON",
        "internal error",
        "no event",
        "a list",
        "error without a code",
        "odd object",
    ],
)
def test_a_broken_watch_is_told_apart_from_its_end(
    cluster: KubernetesCluster, server: ApiServer, answer: Answer
) -> None:
    """What came before the break is kept; the break itself can be resumed."""
    server.will(answer)
    events = cluster.watch(CONFIG, "n", "7")

    assert next(events).type == "ADDED"
    with pytest.raises(BrokenStreamError):
        next(events)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(chunks=(event_lines(("ERROR", {"code": 410, "message": "too old"})),)),
        status(410, "too old", reason="Expired"),
    ],
    ids=["as event", "as answer"],
)
def test_an_expired_version_is_told(
    cluster: KubernetesCluster, server: ApiServer, answer: Answer
) -> None:
    """Both ways in which Kubernetes says that it has forgotten the version."""
    server.will(answer)

    with pytest.raises(ExpiredError, match="too old"):
        list(cluster.watch(CONFIG, "n", "7"))


def test_who_watches_has_a_patience_of_its_own(
    cluster: KubernetesCluster, server: ApiServer, clock: FakeClock, told: list[str]
) -> None:
    """Trouble with a watch, and with its list, is told by the feed alone: once, not each time."""
    server.will(status(429, "slow down", headers={"Retry-After": "2"}), status(503))

    with pytest.raises(TransientClusterError, match="slow down") as caught:
        cluster.watch(CONFIG, "n", "7")
    with pytest.raises(TransientClusterError, match="503"):
        cluster.list_objects(CONFIG, "n", repeats=False)

    assert caught.value.retry_after_s == 2.0
    assert (clock.sleeps, told) == ([], [])


def test_delete_names_the_uid(cluster: KubernetesCluster, server: ApiServer) -> None:
    """Only the object that was looked at is deleted; one that is gone or replaced is fine."""
    failed = "Precondition failed: UID in precondition: u, UID in object meta: v"
    quota = f'Operation cannot be fulfilled on resourcequotas "q": {failed}'
    record = "the ResourceVersion in the precondition (1) does not match the one in record (2)"
    server.will(
        Answer({}),
        status(404),
        status(409, failed),
        status(409, quota),
        status(409, record),
        status(409, "the object is being used"),
    )

    assert cluster.delete(CONFIG, "n", "a", "u") is True
    assert [cluster.delete(CONFIG, "n", "a", "u") for _ in range(4)] == [False] * 4
    with pytest.raises(ClusterError, match="being used"):
        cluster.delete(CONFIG, "n", "a", "u")
    assert len(server.requests) == 6
    assert server.requests[0].body == {
        "preconditions": {"uid": "u"},
        "propagationPolicy": "Foreground",
    }


def test_delete_may_name_the_version(cluster: KubernetesCluster, server: ApiServer) -> None:
    """What somebody has changed meanwhile is left alone."""
    server.will(Answer({}))

    assert cluster.delete(CONFIG, "n", "a", "u", version="7") is True

    assert server.requests[0].body["preconditions"] == {"uid": "u", "resourceVersion": "7"}


def test_logs(cluster: KubernetesCluster, server: ApiServer) -> None:
    """The last lines, whatever bytes they hold; a container that never ran has none."""
    gone = Answer(b'failed to try resolving symlinks in path "/var/log/pods/x"')
    server.will(Answer(b"one\ntwo \xff\nthree\n"), status(400), status(404), gone, status(403))

    lines = cluster.logs("n", "web-1", "app", previous=True, lines=2)

    assert lines == ["two \ufffd", "three"]
    assert server.requests[0].path == "/api/v1/namespaces/n/pods/web-1/log"
    assert server.requests[0].query["previous"] == "true"
    assert server.requests[0].query["tailLines"] == "2"
    for _ in range(3):
        assert cluster.logs("n", "web-1", "app", previous=False, lines=2) == []
    with pytest.raises(ClusterError, match="403"):
        cluster.logs("n", "web-1", "app", previous=False, lines=2)


def test_the_version_of_the_server(cluster: KubernetesCluster, server: ApiServer) -> None:
    """As it calls itself; what a proxy in between says instead, or a refusal, is no version."""
    server.will(
        Answer(b'{"major": "1", "gitVersion": "v1.34.2"}'),
        Answer(b"<html>"),
        Answer(b"[]"),
        status(403),
        status(401),
        status(401),
    )

    assert [cluster.version() for _ in range(4)] == ["v1.34.2", "", "", ""]
    with pytest.raises(ClusterError, match="401"):
        cluster.version()
    assert {request.path for request in server.requests} == {"/version"}
