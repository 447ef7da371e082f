"""The boundary to the API server, against a real web server with scripted answers."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from codexctl_tasks.errors import (
    BrokenStreamError,
    ClusterError,
    ExpiredError,
    TransientClusterError,
)
from codexctl_tasks.settings import ClusterSettings
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.kubernetes import PAGE, KubernetesCluster, connect
from codexctl_tasks.world.retrying import FIRST_CONTACT, STEADY
from tests.support.api_server import Answer, ApiServer, api_server, event_lines, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fakes import FakeClock

CONFIG = Resource("v1", "ConfigMap", "configmaps", namespaced=True)
BODY = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}}
FOUND = {**BODY, "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7"}}
SELF_SIGNED = {
    "PRIVATE KEY": """
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtPoac/jjc7LqPuGH
Y8fbKiEvZypLzwTXem/zFXsLwIyhRANCAASafTUt++JHi2YDFnZKP/LPGarQdqu9
3ML28hDE6uNweBiIelTrmBJ5swopvU+L/RcavQO9eDxVLC7uApmuG9jl""",
    "CERTIFICATE": """
MIIBkDCCATagAwIBAgIUe23sr4u4xqK9v6aOr5cakCDhmMswCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMjIwNDYxMloYDzIxMjYxMDI5
MjA0NjEyWjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASafTUt++JHi2YDFnZKP/LPGarQdqu93ML28hDE6uNweBiIelTrmBJ5
swopvU+L/RcavQO9eDxVLC7uApmuG9jlo2QwYjAdBgNVHQ4EFgQUjbRQOO/ucvYl
njUvG/VHOpYaZPgwHwYDVR0jBBgwFoAUjbRQOO/ucvYlnjUvG/VHOpYaZPgwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IHem+I5nKBax0VycH08eGkQDUO4/WqwFSsBu2EyoYt6yAiEAik4NSj8ZT6Djxp28
YdRa/wJtzfNdfDfKjQJuP0BeyWY=""",
}
"""A key and certificate for 127.0.0.1, made for this test, trusted by nobody."""
PATH = "/api/v1/namespaces/n/configmaps"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as running:
        yield running


@pytest.fixture
def told() -> list[str]:
    return []


def _kubeconfig(folder: Path, address: str, **cluster: Any) -> str:
    file = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": address, **cluster}}],
        "users": [{"name": "u", "user": {"token": "hunter2-token"}}],
        "contexts": [
            {"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "mine"}},
            {"name": "bare", "context": {"cluster": "c", "user": "u"}},
        ],
    }
    file.write_text(yaml.safe_dump(content))
    return str(file)


@pytest.fixture
def cluster(
    server: ApiServer, tmp_path: Path, clock: FakeClock, told: list[str]
) -> Iterator[KubernetesCluster]:
    settings = ClusterSettings(kubeconfig=_kubeconfig(tmp_path, server.address), context="")
    yield (connected := connect(settings, clock, told.append))
    connected._api.rest_client.pool_manager.clear()  # noqa: SLF001 - nothing else closes sockets


def _apply(cluster: KubernetesCluster, *, force: bool = False) -> Any:
    return cluster.apply(CONFIG, "n", BODY, force=force)


def test_apply_is_strict_and_signed(cluster: KubernetesCluster, server: ApiServer) -> None:
    """Fields are owned by codexctl, a misspelt one is refused, none is taken over by chance."""
    server.will(Answer(FOUND), Answer(FOUND))

    assert _apply(cluster) == FOUND
    _apply(cluster, force=True)

    first, second = server.requests
    assert (first.method, first.path, first.body) == ("PATCH", f"{PATH}/a", BODY)
    assert first.query == {
        "fieldManager": "codexctl",
        "fieldValidation": "Strict",
        "force": "false",
    }
    assert first.headers["content-type"] == "application/apply-patch+yaml"
    assert first.headers["authorization"] == "Bearer hunter2-token"
    assert second.query["force"] == "true"


def test_too_many_requests_waits_as_the_server_asks(
    cluster: KubernetesCluster, server: ApiServer, clock: FakeClock, told: list[str]
) -> None:
    """429 with Retry-After: exactly that pause, one repetition, and the user is told."""
    server.will(status(429, "slow down", headers={"Retry-After": "4"}), Answer(FOUND))

    assert _apply(cluster) == FOUND

    assert clock.sleeps == [4.0]
    assert len(server.requests) == 2
    assert told == [
        f"PATCH {PATH}/a: the API server answered 429: slow down; attempt 2 of 5 in 4.0 s"
    ]


def test_a_restarting_api_server_is_waited_for(
    cluster: KubernetesCluster, server: ApiServer, clock: FakeClock
) -> None:
    """503, then an answer that breaks off, then success: the deploy goes on."""
    cut = Answer(b'{"kind": "Confi', cut=True)
    server.will(status(503), cut, Answer(b'{"half": '), Answer(FOUND))

    assert _apply(cluster) == FOUND
    assert (len(server.requests), len(clock.sleeps)) == (4, 3)


def test_after_the_first_answer_patience_grows(
    cluster: KubernetesCluster, server: ApiServer
) -> None:
    """A wrong address is told soon; a cluster that has answered once gets more time."""
    server.will(*[status(503)] * FIRST_CONTACT.attempts)
    with pytest.raises(TransientClusterError, match="answered 503"):
        _apply(cluster)
    assert len(server.requests) == FIRST_CONTACT.attempts

    server.requests.clear()
    server.will(Answer(FOUND), *[status(503)] * STEADY.attempts)
    _apply(cluster)
    with pytest.raises(TransientClusterError, match="answered 503"):
        _apply(cluster)
    assert FIRST_CONTACT.attempts + 1 < len(server.requests) <= STEADY.attempts + 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, ClusterError),
        (401, ClusterError),
        (403, ClusterError),
        (404, ClusterError),
        (409, ClusterError),
        (410, ExpiredError),
        (422, ClusterError),
        (302, ClusterError),
    ],
)
def test_a_refusal_is_told_at_once(
    cluster: KubernetesCluster, server: ApiServer, code: int, kind: type, told: list[str]
) -> None:
    """What the server refuses is never repeated: one request, exit code 4."""
    server.will(status(code, "because", reason="R"))

    with pytest.raises(ClusterError, match=f"answered {code}: because") as caught:
        _apply(cluster)

    assert type(caught.value) is kind
    assert (caught.value.exit_code, caught.value.status, caught.value.reason) == (4, code, "R")
    assert (len(server.requests), told) == (1, [])


def test_nobody_listening_is_one_line_with_the_address(
    tmp_path: Path, clock: FakeClock, told: list[str]
) -> None:
    """A cluster that is down: the address, the reason, what to check; after a few tries."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    settings = ClusterSettings(kubeconfig=_kubeconfig(tmp_path, address), context="")

    with pytest.raises(TransientClusterError) as caught:
        connect(settings, clock, told.append).resources()

    message = str(caught.value)
    assert message.startswith(f"{address}: cannot be reached: ")
    assert "Connection refused" in message
    assert "0x" not in message
    assert "\n" not in message
    assert caught.value.exit_code == 4
    assert 1 <= len(told) < FIRST_CONTACT.attempts


def test_a_body_that_cannot_be_sent_is_no_matter_of_the_network(
    cluster: KubernetesCluster, server: ApiServer, clock: FakeClock
) -> None:
    """A defect in the data is not repeated as if the cluster were unreachable."""
    with pytest.raises((TypeError, ValueError)):
        cluster.apply(CONFIG, "n", {**BODY, "data": {1, 2}}, force=False)

    assert (server.requests, clock.sleeps) == ([], [])


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
        Answer(chunks=(event_lines(("ADDED", FOUND)), b"<html>\n")),
        Answer(chunks=(event_lines(("ADDED", FOUND), ("ERROR", {"code": 500, "message": "x"})),)),
        Answer(chunks=(event_lines(("ADDED", FOUND)), b'{"kind": "Status"}\n')),
    ],
    ids=["cut in a line", "no JSON", "internal error", "no event"],
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


def test_opening_a_watch_is_retried(
    cluster: KubernetesCluster, server: ApiServer, clock: FakeClock
) -> None:
    """A busy server delays a watch, it does not end it."""
    server.will(status(429, headers={"Retry-After": "2"}), Answer(chunks=()))

    assert list(cluster.watch(CONFIG, "n", "7")) == []
    assert clock.sleeps == [2.0]


def test_delete_names_the_uid(cluster: KubernetesCluster, server: ApiServer) -> None:
    """Only the object that was looked at is deleted; one that is gone or replaced is fine."""
    server.will(
        Answer({}),
        status(404),
        status(409, "Precondition failed: UID in precondition: u, UID in object meta: v"),
        status(409, "the object is being used"),
    )

    assert cluster.delete(CONFIG, "n", "a", "u") is True
    assert cluster.delete(CONFIG, "n", "a", "u") is False
    assert cluster.delete(CONFIG, "n", "a", "u") is False
    with pytest.raises(ClusterError, match="being used"):
        cluster.delete(CONFIG, "n", "a", "u")
    assert server.requests[0].body == {
        "preconditions": {"uid": "u"},
        "propagationPolicy": "Foreground",
    }


def test_logs(cluster: KubernetesCluster, server: ApiServer) -> None:
    """The last lines, whatever bytes they hold; a container that never ran has none."""
    server.will(Answer(b"one\ntwo \xff\nthree\n"), status(400), status(404), status(403))

    lines = cluster.logs("n", "web-1", "app", previous=True, lines=2)

    assert lines == ["two \ufffd", "three"]
    assert server.requests[0].path == "/api/v1/namespaces/n/pods/web-1/log"
    assert server.requests[0].query["previous"] == "true"
    assert server.requests[0].query["tailLines"] == "2"
    assert cluster.logs("n", "web-1", "app", previous=False, lines=2) == []
    assert cluster.logs("n", "web-1", "app", previous=False, lines=2) == []
    with pytest.raises(ClusterError, match="403"):
        cluster.logs("n", "web-1", "app", previous=False, lines=2)


def test_the_namespace_of_the_context_is_the_default(tmp_path: Path, clock: FakeClock) -> None:
    """As with kubectl: the chosen context decides, else `default`."""
    file = _kubeconfig(tmp_path, "https://c.example:6443")

    def namespace(context: str) -> str:
        settings = ClusterSettings(kubeconfig=file, context=context)
        return connect(settings, clock, lambda _: None).default_namespace

    assert [namespace(context) for context in ("", "main", "bare")] == ["mine", "mine", "default"]


@pytest.mark.parametrize(
    ("content", "context"),
    [
        (None, ""),
        ("", ""),
        ("just text", ""),
        ("a: [", ""),
        ("apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\n", ""),
        ("apiVersion: v1\nkind: Config\ncontexts: 5\nclusters: 5\ncurrent-context: x\n", ""),
        ("VALID", "nope"),
    ],
    ids=["missing", "empty", "text", "broken YAML", "no context", "wrong shape", "unknown context"],
)
def test_an_unusable_kubeconfig_is_one_line(
    content: str | None, context: str, tmp_path: Path, clock: FakeClock
) -> None:
    """Whatever is wrong with the access: one line that names the file, exit code 4."""
    file = tmp_path / "kubeconfig"
    if content == "VALID":
        _kubeconfig(tmp_path, "https://c.example:6443")
    elif content is not None:
        file.write_text(content)

    with pytest.raises(ClusterError) as caught:
        connect(ClusterSettings(kubeconfig=str(file), context=context), clock, lambda _: None)

    assert str(caught.value).startswith(f"{file}: no usable cluster access: ")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_certificate_of_another_authority_is_named(
    tmp_path: Path, clock: FakeClock, told: list[str]
) -> None:
    """A rebuilt cluster with an old kubeconfig: said at once, not repeated."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = tmp_path / "server.pem"
    certificate.write_text(
        "".join(f"-----BEGIN {k}-----{v}\n-----END {k}-----\n" for k, v in SELF_SIGNED.items())
    )
    tls.load_cert_chain(certificate)
    with api_server(tls) as server:
        settings = ClusterSettings(kubeconfig=_kubeconfig(tmp_path, server.address), context="")
        with pytest.raises(ClusterError, match="its certificate is not signed") as caught:
            connect(settings, clock, told.append).resources()

    assert not isinstance(caught.value, TransientClusterError)
    assert (told, clock.sleeps, server.requests) == ([], [], [])
