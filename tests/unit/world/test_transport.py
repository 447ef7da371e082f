"""How requests reach the API server: patience, fresh credentials, errors in plain words."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError, ExpiredError, TransientClusterError
from codexctl_tasks.world.cluster import CONNECTIONS, Resource
from codexctl_tasks.world.retrying import FIRST_CONTACT, STEADY, WEBHOOK, WEBHOOK_PAUSE_S
from tests.support.api_server import Answer, ApiServer, Request, status, write_kubeconfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from codexctl_tasks.world.kubernetes import KubernetesCluster
    from tests.support.fakes import FakeClock
    from tests.unit.world.conftest import Connect

CONFIG = Resource("v1", "ConfigMap", "configmaps", namespaced=True)
BODY = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}}
FOUND = {**BODY, "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7"}}
PATH = "/api/v1/namespaces/n/configmaps"
WEBHOOK_DOWN = 'Internal error occurred: failed calling webhook "x": connection refused'


def _apply(cluster: KubernetesCluster) -> Any:
    return cluster.apply(CONFIG, "n", BODY).object


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
    tmp_path: Path, connected: Connect, told: list[str]
) -> None:
    """A cluster that is down: the address, the reason, what to check; after a few tries."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    cluster = connected(write_kubeconfig(tmp_path / "kubeconfig", address))

    with pytest.raises(TransientClusterError) as caught:
        cluster.resources()

    message = str(caught.value)
    assert message.startswith(f"{address}: cannot be reached: ")
    assert "Connection refused" in message
    assert "0x" not in message
    assert "\n" not in message
    assert caught.value.exit_code == 4
    assert 1 <= len(told) < FIRST_CONTACT.attempts


DATE = "Thu, 02 Jan 2031 03:04:05 GMT"
DATED = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_servers_clock_is_known_from_its_answers(
    cluster: KubernetesCluster, server: ApiServer, clock: FakeClock
) -> None:
    """How old an event is does not depend on the clock of the machine that deploys."""
    assert cluster.now() is None

    server.will(Answer(FOUND, headers={"Date": DATE}))
    _apply(cluster)
    clock.pass_time(90.25)
    assert cluster.now() == DATED + timedelta(seconds=90.25)

    server.will(status(404, headers={"Date": DATE.replace("05 GMT", "59 GMT")}))
    cluster.get(CONFIG, "n", "a")
    clock.pass_time(1.0)
    assert cluster.now() == DATED + timedelta(seconds=55), "refusals tell it too; the newest counts"


def test_a_date_is_from_the_beginning_of_its_second(
    cluster: KubernetesCluster, server: ApiServer, clock: FakeClock
) -> None:
    """Many answers within one second do not set the server's clock back."""
    server.will(*[Answer(FOUND, headers={"Date": DATE})] * 2)
    _apply(cluster)
    clock.pass_time(0.75)
    _apply(cluster)

    assert cluster.now() == DATED + timedelta(seconds=0.75)


@pytest.mark.parametrize("header", ["yesterday", "", "Thu, 99 Jan 2031 03:04:05 GMT"])
def test_a_date_that_is_none_is_no_date(
    cluster: KubernetesCluster, server: ApiServer, header: str
) -> None:
    """What a proxy in between writes does not end the deploy."""
    server.will(Answer(FOUND, headers={"Date": header}))

    assert _apply(cluster) == FOUND
    assert cluster.now() is None


def test_a_body_that_cannot_be_sent_is_no_matter_of_the_network(
    cluster: KubernetesCluster, server: ApiServer, clock: FakeClock
) -> None:
    """A defect in the data is not repeated as if the cluster were unreachable."""
    with pytest.raises((TypeError, ValueError)):
        cluster.apply(CONFIG, "n", {**BODY, "data": {1, 2}})

    assert (server.requests, clock.sleeps) == ([], [])


@pytest.mark.parametrize("garbage", [b"<html>login</html>", b"[1]", b"5", b"", b'{"ok": true}'])
def test_what_is_no_answer_of_an_api_server_is_repeated(
    cluster: KubernetesCluster, server: ApiServer, garbage: bytes
) -> None:
    """A proxy that answers in place of a restarting server does not end the deploy."""
    server.will(Answer(garbage), Answer(FOUND))

    assert _apply(cluster) == FOUND


def test_a_refusal_is_an_answer_too(cluster: KubernetesCluster, server: ApiServer) -> None:
    """Whoever says "not found" is there: a restart afterwards is waited for with full patience."""
    server.will(status(404), *[status(503)] * FIRST_CONTACT.attempts, Answer(FOUND))

    assert cluster.get(CONFIG, "n", "a") is None
    assert _apply(cluster) == FOUND


def test_a_webhook_that_starts_is_waited_for(
    cluster: KubernetesCluster, server: ApiServer, clock: FakeClock
) -> None:
    """Its pods may come with the same deploy: steady looks, for minutes, on a budget of its own."""
    starting = [status(500, WEBHOOK_DOWN)] * 100
    server.will(*starting, status(503), Answer(FOUND))

    assert _apply(cluster) == FOUND
    assert clock.sleeps[:100] == [WEBHOOK_PAUSE_S] * 100

    clock.sleeps.clear()
    server.will(*starting * 2)
    with pytest.raises(TransientClusterError, match="failed calling webhook"):
        _apply(cluster)
    assert len(clock.sleeps) == WEBHOOK.attempts - 1
    assert sum(clock.sleeps) <= WEBHOOK.budget_s


def test_the_deadline_of_the_run_ends_all_patience(
    cluster: KubernetesCluster, server: ApiServer, clock: FakeClock
) -> None:
    """Who allowed 5 seconds is not kept for minutes: the last error is told instead."""
    server.will(*[status(500, WEBHOOK_DOWN)] * 9)
    cluster.deadline_s = clock.now() + 5.0

    with pytest.raises(TransientClusterError, match="failed calling webhook"):
        _apply(cluster)

    assert (cluster.deadline_s, clock.sleeps) == (5.0, [WEBHOOK_PAUSE_S] * 2)


def _in_threads(cluster: KubernetesCluster) -> list[Any]:
    """Apply as often as there are connections, at the same time; return what came out."""
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(_apply(cluster))
        except ClusterError as error:
            found.append(error)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_an_expired_token_is_read_anew(
    server: ApiServer, tmp_path: Path, connected: Connect, told: list[str], clock: FakeClock
) -> None:
    """A token that CI renews in its file is taken over in the middle of a run, without a pause."""
    token = tmp_path / "token"
    token.write_text("old\n")
    user = {"tokenFile": str(token)}
    cluster = connected(write_kubeconfig(tmp_path / "kubeconfig", server.address, user=user))
    server.will(Answer(FOUND), status(401), Answer(FOUND), Answer(FOUND))

    _apply(cluster)
    token.write_text("new")
    _apply(cluster)
    _apply(cluster)

    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer old", "Bearer old", "Bearer new", "Bearer new"]
    assert told == [f"{server.address}: the credentials are not accepted; reading anew"]
    assert clock.sleeps == []


def test_credentials_that_stay_refused_are_told(
    cluster: KubernetesCluster, server: ApiServer, told: list[str]
) -> None:
    """Read anew once, refused again: the end, with what to do; nothing is tried for ever."""
    server.will(*[status(401, "Unauthorized")] * 9)

    with pytest.raises(ClusterError, match="log in again") as caught:
        _apply(cluster)

    assert (type(caught.value), caught.value.status) == (ClusterError, 401)
    assert (len(server.requests), len(told)) == (2, 1)


def test_credentials_that_stay_refused_are_not_read_anew_each_time(
    cluster: KubernetesCluster, server: ApiServer, told: list[str], clock: FakeClock
) -> None:
    """Five watches that are refused for ten seconds do not call a program to log in each time."""
    server.decide = lambda _: status(401)
    for _ in range(5):
        with pytest.raises(ClusterError, match="log in again"):
            _apply(cluster)
    assert (len(server.requests), len(told)) == (6, 1)

    clock.pass_time(60.0)
    with pytest.raises(ClusterError, match="log in again"):
        _apply(cluster)
    assert len(told) == 2


def test_many_refused_requests_read_the_credentials_once(
    server: ApiServer, tmp_path: Path, connected: Connect, told: list[str]
) -> None:
    """All requests in flight are refused at once: one login, not sixteen."""
    token = tmp_path / "token"
    token.write_text("old")
    user = {"tokenFile": str(token)}
    cluster = connected(write_kubeconfig(tmp_path / "kubeconfig", server.address, user=user))
    token.write_text("new")
    all_refused = threading.Barrier(CONNECTIONS, timeout=20)

    def decide(request: Request) -> Answer:
        if request.headers["authorization"] == "Bearer new":
            return Answer(FOUND)
        all_refused.wait()
        return status(401)

    server.decide = decide

    assert _in_threads(cluster) == [FOUND] * CONNECTIONS
    assert (len(server.requests), len(told)) == (2 * CONNECTIONS, 1)


def test_logs_are_asked_with_fresh_credentials_too(
    cluster: KubernetesCluster, server: ApiServer, clock: FakeClock
) -> None:
    """The last lines of a failed container are in the report also when the token ran out."""
    server.will(status(401), Answer(b"panic\n"), status(503))

    assert cluster.logs("n", "p", "c", previous=False, lines=5) == ["panic"]
    with pytest.raises(TransientClusterError):  # but nobody waits for them
        cluster.logs("n", "p", "c", previous=False, lines=5)
    assert clock.sleeps == []


def test_another_cluster_is_never_gone_on_with(
    server: ApiServer, tmp_path: Path, connected: Connect
) -> None:
    """Somebody switches the current context during a deploy: it ends instead of going astray."""
    file = write_kubeconfig(tmp_path / "kubeconfig", server.address)
    cluster = connected(file)
    write_kubeconfig(file, "https://other.example")
    server.will(status(401))

    with pytest.raises(ClusterError, match=r"leads to https://other\.example by now"):
        _apply(cluster)

    assert len(server.requests) == 1


def test_a_stream_that_falls_silent_is_given_up(
    cluster: KubernetesCluster, server: ApiServer
) -> None:
    """The connection is there and nothing comes: what was known is no basis any more."""
    go_on = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"one"
        go_on.wait(20)
        yield b"late"

    server.will(Answer(chunks=pieces()))
    stream = cluster._transport.open_stream("/x", {}, silence_s=0.05)  # noqa: SLF001

    assert next(stream) == b"one"
    with pytest.raises(ExpiredError, match="a watch fell silent"):
        next(stream)
    go_on.set()


class _StillClock:
    """Time that stands still: sixteen threads would share the sleeps of one fake clock."""

    def now(self) -> float:
        """Return always the same."""
        return 0.0

    def sleep(self, seconds: float) -> None:
        """Return at once."""


def test_many_requests_that_wait_are_one_line_per_round(
    cluster: KubernetesCluster, server: ApiServer, told: list[str], clock: FakeClock
) -> None:
    """Sixteen requests wait for the same restart: the log shows each round once."""
    server.will(Answer(FOUND))
    _apply(cluster)
    cluster._transport._clock = _StillClock()  # noqa: SLF001 - the fake is shared by all threads
    server.decide = lambda _: status(503, "etcd is away")

    assert all(isinstance(each, TransientClusterError) for each in _in_threads(cluster))

    rounds = [line.partition("; ")[2].partition(" in ")[0] for line in told]
    assert sorted(rounds) == sorted(f"attempt {n} of 20" for n in range(2, STEADY.attempts + 1))
    assert all("answered 503: etcd is away" in line for line in told)
    assert clock.sleeps == []


def test_the_same_trouble_later_is_told_again(
    cluster: KubernetesCluster, server: ApiServer, told: list[str], clock: FakeClock
) -> None:
    """A second restart, minutes later, is news; a different trouble always is."""
    server.will(status(503, "a"), Answer(FOUND), status(503, "a"), Answer(FOUND))
    server.will(status(503, "b"), Answer(FOUND))
    for pause_s in (0.0, 60.0, 0.0):
        clock.pass_time(pause_s)
        _apply(cluster)

    assert [line.partition("503: ")[2][0] for line in told] == ["a", "a", "b"]


@pytest.mark.parametrize("address", ["http://c.example:8001", "http://c.example/k8s/c-1"])
def test_an_http_proxy_is_told_the_whole_address(
    server: ApiServer, tmp_path: Path, connected: Connect, address: str
) -> None:
    """A cluster behind a proxy is reached as the kubeconfig says."""
    more: dict[str, Any] = {"proxy-url": server.address}
    cluster = connected(write_kubeconfig(tmp_path / "kubeconfig", address, **more))
    server.will(Answer(FOUND))

    cluster.get(CONFIG, "n", "a")

    assert [request.target for request in server.requests] == [f"{address}{PATH}/a"]


def test_an_address_with_a_path(server: ApiServer, tmp_path: Path, connected: Connect) -> None:
    """Clusters behind a gateway have addresses below a common one."""
    cluster = connected(write_kubeconfig(tmp_path / "k", f"{server.address}/k8s/clusters/c-1"))
    server.will(Answer(FOUND))

    cluster.get(CONFIG, "n", "a")

    assert [request.target for request in server.requests] == [f"/k8s/clusters/c-1{PATH}/a"]
