"""A wait that meets every kind of trouble: it goes on, ends as it should, and tells of it once."""

from __future__ import annotations

import json
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.conftest import Playground
from tests.support.accounts import kubeconfig_for, tokens
from tests.support.faults import Faults
from tests.support.kubelet import IMAGE, NOT_FOUND, cannot_pull, make_ready, pods_of, workload
from tests.support.proxy import Proxy
from tests.support.runs import (
    ENDS_WITHIN_S,
    failures,
    idle,
    through,
    wait_until,
)
from tests.support.shell import SLOW_S

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.control_plane import ControlPlane
    from tests.support.runs import Finished

    Begin = Callable[..., "Waiting"]

pytestmark = pytest.mark.cluster

WATCH = {"method": "GET", "query": "watch=true"}
LIST = {"method": "GET", "query": "limit="}
EITHER = {"method": "GET", "query": "watch=true|limit="}
MANY = 999
KINDS = ("deployments", "replicasets", "pods", "events", "persistentvolumeclaims")
"""What is watched for a Deployment."""
EXPIRED = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}


def _event(event: str, /, **found: Any) -> bytes:
    return json.dumps({"type": event, "object": found}).encode() + b"\n"


def _half_a_line(handler: Any, _: bytes) -> None:
    """Begin an event, then cut the connection."""
    _begin_stream(handler)
    half = _event("MODIFIED", metadata={})[:30]
    handler.wfile.write(f"{len(half):x}\r\n".encode() + half + b"\r\n")
    handler.close_connection = True


def _silence(handler: Any, _: bytes) -> None:
    """Begin a watch on which nothing ever comes."""
    _begin_stream(handler)
    handler.server.faults.closing.wait()


def _begin_stream(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()


FAULTS: dict[str, Callable[[Faults], Any]] = {
    "silence": lambda f: f.plan(_silence, times=MANY, **WATCH),
    "no answer": lambda f: f.delay(999, times=MANY, **EITHER),
    "slow list": lambda f: f.delay(20, times=MANY, **LIST),
    "version expired": lambda f: f.answer(410, EXPIRED, times=8, **WATCH),
    "version expired in the stream": lambda f: f.answer(
        200, _event("ERROR", **EXPIRED), times=8, **WATCH
    ),
    "list expired": lambda f: f.answer(410, EXPIRED, times=8, **LIST),
    "ended at once": lambda f: f.answer(200, b"", times=MANY, **WATCH),
    "busy": lambda f: f.answer(429, headers={"Retry-After": "1"}, times=MANY, **EITHER),
    "restarting": lambda f: f.answer(503, times=MANY, **EITHER),
    "internal error": lambda f: f.answer(500, times=MANY, **EITHER),
    "error in the stream": lambda f: f.answer(200, _event("ERROR", code=500), times=MANY, **WATCH),
    "a page to log in": lambda f: f.answer(200, b"<html>\n<p>", times=MANY, **EITHER),
    "cut before": lambda f: f.cut(after=False, times=MANY, **EITHER),
    "cut after": lambda f: f.cut(after=True, times=MANY, **EITHER),
    "cut in a line": lambda f: f.plan(_half_a_line, times=MANY, **WATCH),
    "changes of nothing": lambda f: f.answer(
        200, _event("MODIFIED", metadata={}), times=MANY, **WATCH
    ),
    "refused for a moment": lambda f: f.answer(403, times=6, **EITHER),
}


class Waiting:
    """A wait for Deployments, through a proxy that may misbehave."""

    def __init__(self, place: Playground, faults: Faults, *flags: str) -> None:
        self.place, self.faults = place, faults
        self.process = place.start("wait", *flags)
        self._shown = ""

    def shows(self, text: str) -> None:
        """Return when a line with this text has been printed."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._shown += line
            if text in line:
                return
        pytest.fail(f"{text!r} never appeared in:\n{self._shown}")

    def is_watching(self) -> None:
        """Return when all watches have been asked for."""
        wait_until(lambda: self.faults.count(**WATCH) >= len(KINDS))

    def end(self, within_s: float = SLOW_S) -> Finished:
        """Return what it printed once it has ended."""
        out, rest = self.process.communicate(timeout=within_s)
        code = self.process.returncode
        return subprocess.CompletedProcess([], code, out, self._shown + rest)


@pytest.fixture
def begin(
    control_plane: ControlPlane, started: list[subprocess.Popen[str]], tmp_path: Path
) -> Iterator[Begin]:
    """
    Give a function that begins a wait for ``web``, which never gets ready by itself.

    Each is in a namespace of its own. *objects*: what is deployed; *via*: makes the kubeconfig that
    the proxy gets.
    """
    control_plane.up()
    with ExitStack() as stack:

        def start(
            name: str,
            *flags: str,
            objects: tuple[dict[str, Any], ...] = (workload("web"),),
            via: Callable[[Playground], str] | None = None,
        ) -> Waiting:
            folder = tmp_path / name / "manifests"
            folder.mkdir(parents=True)
            place = Playground(f"wait-{name}", folder, control_plane.environment)
            place.write(*objects)
            done = place.codexctl("apply", "--stack", "waiting")
            assert done.returncode == 0, done.stderr
            pods_of(place, "web")
            kubeconfig = via(place) if via else control_plane.environment["KUBECONFIG"]
            faults = stack.enter_context(Faults(kubeconfig))
            waiting = Waiting(place, faults, *through(place, faults), *flags)
            started.append(waiting.process)
            waiting.shows("waiting")
            waiting.is_watching()
            return waiting

        yield start


def _told(done: Finished) -> list[str]:
    """Return the lines that tell of trouble with the server."""
    lines = done.stderr.splitlines()
    return [line for line in lines if "resuming" in line or "attempt" in line]


def _assert_healthy(done: Finished, ready: int = 1, told: int = 1) -> None:
    assert (done.returncode, failures(done)) == (0, []), done.stderr
    assert f"HEALTHY  {ready} ready" in done.stderr
    assert len(_told(done)) == told, done.stderr


def test_trouble_that_passes(begin: Begin) -> None:
    """What happened meanwhile is known afterwards, whatever it was; one line tells of it."""

    def run(name: str) -> Finished:
        waiting = begin(name.replace(" ", "-"))
        fault = FAULTS[name](waiting.faults)
        waiting.faults.cut_all()
        wait_until(lambda: fault.hits >= len(KINDS))
        make_ready(waiting.place, "web")
        waiting.faults.calm()
        return waiting.end()

    with ThreadPoolExecutor(4) as pool:
        for done in pool.map(run, FAULTS):
            _assert_healthy(done)


def test_what_is_cured_in_an_outage(begin: Begin) -> None:
    """Nothing fails because of what was last heard long ago: the news come first."""
    waiting = begin("cured")
    cannot_pull(waiting.place, "web", NOT_FOUND)
    waiting.shows(IMAGE)
    fault = waiting.faults.answer(503, times=MANY, **EITHER)
    waiting.faults.cut_all()
    wait_until(lambda: fault.hits >= 10 * len(KINDS))  # longer than the grace
    make_ready(waiting.place, "web")
    waiting.faults.calm()

    _assert_healthy(waiting.end())


def test_watches_that_the_server_ends_are_no_reason_to_list(begin: Begin) -> None:
    """However often that happens, and however long the wait takes."""
    waiting = begin("ended")
    alive = _event("BOOKMARK", metadata={"resourceVersion": "1"})
    waiting.faults.answer(200, alive, times=len(KINDS), **WATCH)
    waiting.faults.answer(200, b"", times=MANY, **WATCH)
    lists = waiting.faults.count(**LIST)
    waiting.faults.cut_all()
    wait_until(lambda: waiting.faults.count(**WATCH) >= 24)

    assert waiting.faults.count(**LIST) <= lists + len(KINDS), "only those that broke"
    waiting.process.send_signal(signal.SIGTERM)
    assert waiting.end().returncode == 128 + signal.SIGTERM


def test_an_api_server_that_crashes(begin: Begin, control_plane: ControlPlane) -> None:
    """It comes back after some seconds; the wait has lost nothing and goes on."""
    waiting = begin("crash")

    control_plane.kill_api_server()
    control_plane.up()
    make_ready(waiting.place, "web")

    _assert_healthy(waiting.end())


def test_versions_that_a_restart_has_forgotten(begin: Begin, control_plane: ControlPlane) -> None:
    """The server itself says 410: everything is listed anew, and the change is in it."""
    waiting = begin("forgotten")

    lists = []

    def restart() -> None:
        make_ready(waiting.place, "web")
        control_plane.kill_api_server()
        control_plane.up()
        lists.append(waiting.faults.count(path="/deployments$", **LIST))

    waiting.faults.do(restart, path="/deployments$", **WATCH)
    waiting.faults.cut_all()

    _assert_healthy(waiting.end())
    assert waiting.faults.count(path="/deployments$", **LIST) > lists[0]


class _Doors(Proxy):
    """Closes new connections in the middle of the handshake while it is told to."""

    closed = False

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        if self.closed:
            with suppress(OSError):
                source.recv(1)
            self.cut()
        super()._copy(source, sink)


def test_handshakes_that_break_off(
    begin: Begin, started: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    """As a load balancer does whose servers are restarting: the wait goes on."""
    waiting = begin("handshakes")
    with _Doors(waiting.place.environment["KUBECONFIG"]) as doors:
        flags = ("--kubeconfig", str(doors.kubeconfig(tmp_path / "doors.conf")))
        other = Waiting(waiting.place, waiting.faults, *flags)
        started.append(other.process)
        other.shows("waiting")
        doors.closed = True
        doors.cut()
        before = doors.connections
        wait_until(lambda: doors.connections >= before + 8)
        make_ready(waiting.place, "web")
        doors.closed = False

        _assert_healthy(other.end())
    _assert_healthy(waiting.end(), told=0)


@pytest.mark.parametrize("renewed", [True, False])
def test_credentials_that_expire(begin: Begin, tmp_path: Path, renewed: bool) -> None:
    """A token that is renewed in its file is taken over; else the run ends and tells why."""
    file = tmp_path / "token"
    found: list[str] = []

    def account(place: Playground) -> str:
        found.extend(tokens(place))
        file.write_text(found[0])
        return kubeconfig_for(place, tmp_path / "account.conf", user={"tokenFile": str(file)})

    def is_over(handler: Any, data: bytes) -> None:
        if handler.headers["Authorization"].endswith(found[0]):
            handler.answer(401, b"{}", {})
        else:
            handler.pass_on(data)

    waiting = begin(f"token-{renewed}".lower(), via=account)
    if renewed:
        file.write_text(found[1])
    waiting.faults.plan(is_over, times=MANY)
    waiting.faults.cut_all()
    waiting.shows("the credentials are not accepted; reading anew")
    if renewed:
        make_ready(waiting.place, "web")
        _assert_healthy(waiting.end())
        return

    done = waiting.end()
    assert done.returncode == 4
    assert ["log in again" in line for line in failures(done)] == [True]
    assert "STOPPED  1 not ready" in done.stderr
    assert len(_told(done)) == 1


def test_a_permission_that_is_taken_away(begin: Begin) -> None:
    """The run ends, names what is missing, and reports what is known."""
    waiting = begin("forbidden")
    cannot_pull(waiting.place, "web")
    waiting.shows(IMAGE)
    waiting.faults.answer(403, times=MANY, path="/pods$", **EITHER)
    waiting.faults.cut_all()

    done = waiting.end()
    assert done.returncode == 4
    assert ["/pods: the API server answered 403" in line for line in failures(done)] == [True]
    assert "STOPPED  1 not ready" in done.stderr
    assert "cause     container app: " in done.stderr
    assert len(_told(done)) == 1


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "INTERRUPTED"), (signal.SIGTERM, 143, "INTERRUPTED"), (0, 70, "TIMED")],
)
def test_the_end_of_a_wait_in_an_outage(begin: Begin, number: int, code: int, word: str) -> None:
    """Ctrl-C, SIGTERM, the deadline: what was known before the outage is printed."""
    waiting = begin(f"end-{code}", "--wait-timeout", "600s" if number else "15s")
    cannot_pull(waiting.place, "web")
    waiting.shows(IMAGE)
    waiting.faults.answer(503, times=MANY)
    waiting.faults.cut_all()
    waiting.shows("resuming")
    if number:
        waiting.process.send_signal(number)

    done = waiting.end(ENDS_WITHIN_S)
    assert (done.returncode, failures(done)) == (code, [])
    assert f"{word} " in done.stderr
    assert "cause     container app: " in done.stderr
    assert len(_told(done)) == 1


def test_the_deadline_holds_although_the_server_is_silent(
    begin: Begin, control_plane: ControlPlane
) -> None:
    """Nobody waits for answers that do not come."""
    waiting = begin("silent-server", "--wait-timeout", "6s")
    with control_plane.silent_api_server():
        done = waiting.end(ENDS_WITHIN_S)

    assert (done.returncode, failures(done)) == (70, [])
    assert "TIMED OUT  1 timed out" in done.stderr


def test_objects_as_large_as_they_get(begin: Begin) -> None:
    """Lists and changes of a megabyte each arrive whole, also after a cut."""
    waiting = begin("large", objects=(workload("web", env=[{"name": "A", "value": "x" * 10**6}]),))
    waiting.faults.truncate(times=len(KINDS), **LIST)
    waiting.faults.cut_all()
    wait_until(lambda: waiting.faults.count(**LIST) >= 2 * len(KINDS))
    make_ready(waiting.place, "web")

    _assert_healthy(waiting.end())


def test_a_hundred_workloads_cost_a_request_per_kind(begin: Begin) -> None:
    """However many objects, however long: a list, in pages, and a watch of each kind."""
    many = [idle(f"idle-{number}") for number in range(401)]
    hundred = [workload(f"busy-{number}") for number in range(99)]
    waiting = begin("many", "--wait-timeout", "20s", objects=(workload("web"), *hundred, *many))

    done = waiting.end()

    assert (done.returncode, failures(done)) == (70, [])
    asked = {kind: waiting.faults.count(path=f"/{kind}$", query="limit=500$") for kind in KINDS}
    watched = {kind: waiting.faults.count(path=f"/{kind}$", **WATCH) for kind in KINDS}
    assert asked == {**dict.fromkeys(KINDS, 1), "deployments": 2}, "once to find what is waited for"
    assert watched == dict.fromkeys(KINDS, 1)
    assert waiting.faults.count(path="/deployments$", query="continue=") == 2
    assert waiting.faults.count(path="/deployments/") == 0
    assert _told(done) == []
