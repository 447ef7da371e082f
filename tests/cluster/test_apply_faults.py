"""Runs that meet every kind of trouble on their way: they go on, or a repetition mends them."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cluster.conftest import Playground
from tests.support.accounts import kubeconfig_for, tokens
from tests.support.faults import Faults
from tests.support.proxy import Proxy
from tests.support.runs import (
    INVENTORY,
    NEW,
    REAL,
    apply,
    config,
    delete,
    failures,
    idle,
    mended,
    names_of,
    namespace,
    prepared,
    shorten_lease,
    state_of,
    wait_until,
)
from tests.support.shell import run_kubectl

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.support.control_plane import ControlPlane
    from tests.support.faults import Fault
    from tests.support.runs import Finished

pytestmark = pytest.mark.cluster

REQUESTS: dict[str, dict[str, Any]] = {
    "discovery": {"method": "GET", "path": "^/api$"},
    "look at the namespace": {"method": "GET", "path": "^/api/v1/namespaces/[^/]+$"},
    "take the lease": {"method": "POST", "path": "/leases$"},
    "read the inventory": {"method": "GET", "path": f"/configmaps/{INVENTORY}$"},
    "list what exists": {"method": "GET", "path": "/configmaps$"},
    "get what exists": {"method": "GET", "path": "/deployments/web$"},
    "ask for permissions": {"method": "POST", "path": "/selfsubjectrulesreviews$"},
    "dry run": {"method": "PATCH", "path": "/configmaps/a$", "query": "dryRun=All"},
    "remember": {"method": "PATCH", "path": f"/configmaps/{INVENTORY}$"},
    "apply": {"method": "PATCH", "path": "/configmaps/a$", "query": REAL},
    "create": {"method": "PATCH", "path": "/configmaps/added$", "query": REAL},
    "renew the lease": {"method": "PUT", "path": "/leases/"},
    "list what is waited for": {"method": "GET", "path": "/deployments$", "query": "limit"},
    "watch": {"method": "GET", "path": "/deployments$", "query": "watch=true"},
    "prune": {"method": "DELETE", "path": "/configmaps/left$"},
    "forget": {"method": "PATCH", "path": f"/configmaps/{INVENTORY}$", "skip": 1},
    "give the lease back": {"method": "DELETE", "path": "/leases/"},
}
"""Every kind of request of a run, in this order."""
FAULTS: dict[str, Callable[..., Fault]] = {
    "busy": lambda faults, **match: faults.answer(429, headers={"Retry-After": "1"}, **match),
    "restarting": lambda faults, **match: faults.answer(503, times=2, **match),
    "internal error": lambda faults, **match: faults.answer(500, INTERNAL_ERROR, **match),
    "a page to log in": lambda faults, **match: faults.answer(200, b"<html>", **match),
    "JSON of somebody else": lambda faults, **match: faults.answer(200, {"ok": True}, **match),
    "cut before": lambda faults, **match: faults.cut(after=False, **match),
    "cut after": lambda faults, **match: faults.cut(after=True, **match),
    "cut in the answer": lambda faults, **match: faults.truncate(**match),
    # Nothing is repeated, so that `skip` would skip what it is about.
    "slow": lambda faults, **match: faults.delay(0.5, **{**match, "skip": 0}),
}
NOT_ALWAYS_NEEDED = ("create", "renew the lease", "watch", "give the lease back")
"""Requests without which a run may end well, or that only some runs send."""
ENDS_THE_RUN = [name for name in REQUESTS if name not in NOT_ALWAYS_NEEDED]
NO_WEBHOOK = {
    "kind": "Status",
    "reason": "InternalError",
    "message": 'Internal error occurred: failed calling webhook "policy.example.com": failed to '
    'call webhook: Post "https://policy.x.svc:443/": no endpoints available for service "policy"',
}
INTERNAL_ERROR = {"kind": "Status", "reason": "InternalError", "message": "etcd: leader changed"}


class Places:
    """Namespaces for several runs of one test."""

    def __init__(self, folder: Any, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._numbers = itertools.count(1)
        self._made: list[Playground] = []

    def another(self) -> Playground:
        """Return one that nobody else uses."""
        name = f"test-faults-{os.getpid()}-{next(self._numbers)}"
        folder = self._folder / name / "manifests"
        folder.mkdir(parents=True)
        self._made.append(Playground(name, folder, self._environment))
        return self._made[-1]

    def clean(self, *objects: dict[str, Any]) -> list[Any]:
        """Return the state after an undisturbed run on nothing."""
        place = self.another()
        place.write(*objects)
        return mended(place)

    def remove(self) -> None:
        """Delete all of them."""
        for place in self._made[:1]:
            names = [each.namespace for each in self._made]
            removal = ("delete", "namespace", "--ignore-not-found", "--wait=false", *names)
            run_kubectl(place.environment, *removal, check=False)


@pytest.fixture(scope="module")
def places(
    cluster_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Places]:
    made = Places(tmp_path_factory.mktemp("faults"), cluster_environment)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def clean(places: Places) -> list[Any]:
    """Give the state that every run on `NEW` ends in."""
    return places.clean(*NEW)


@pytest.fixture(scope="module")
def disturbed(places: Places) -> Iterator[dict[str, tuple[Finished, dict[str, int], list[Any]]]]:
    """
    Give what became of a run for each fault, which it met once at every kind of request.

    Side by side, because they mostly wait: each is held until it had to renew its lease.
    """
    with ExitStack() as stack, ThreadPoolExecutor(len(FAULTS)) as pool:

        def run(fault: str) -> tuple[Finished, dict[str, int], list[Any]]:
            place = prepared(places.another())
            faults = stack.enter_context(Faults(place.environment["KUBECONFIG"]))
            planned = {name: FAULTS[fault](faults, **match) for name, match in REQUESTS.items()}
            renewal = planned["renew the lease"]
            faults.do(
                lambda: wait_until(lambda: renewal.hits == renewal.times),
                path="/deployments/web$",
                query=REAL,
            )
            done = apply(place, faults)
            return done, {name: each.hits for name, each in planned.items()}, state_of(place)

        yield dict(zip(FAULTS, pool.map(run, FAULTS), strict=True))


@pytest.mark.parametrize("fault", FAULTS)
def test_trouble_that_passes(
    disturbed: dict[str, tuple[Finished, dict[str, int], list[Any]]],
    clean: list[Any],
    fault: str,
) -> None:
    """The run goes on whatever it was doing, and ends as an undisturbed one does."""
    done, hits, state = disturbed[fault]

    assert (done.returncode, failures(done)) == (0, []), done.stderr
    assert hits == dict.fromkeys(REQUESTS, 2 if fault == "restarting" else 1)
    assert state == clean


def test_trouble_that_stays(places: Places, clean: list[Any]) -> None:
    """Whatever is refused ends the run at once, in one line; the next run builds upon it."""
    place = prepared(places.another())
    ended: dict[str, tuple[int, int]] = {}
    untouched = state_of(place)
    for request in ENDS_THE_RUN:
        with Faults(place.environment["KUBECONFIG"]) as faults:
            faults.answer(400, times=99, **{**REQUESTS[request], "skip": 0})
            done = apply(place, faults)
        ended[request] = (done.returncode, len(failures(done)))
        if request == "dry run":
            assert state_of(place) == untouched, "a run changes nothing before the dry runs"

    assert ended == dict.fromkeys(ENDS_THE_RUN, (4, 1))
    assert mended(place) == clean


def test_refused_objects(places: Places) -> None:
    """Each is sent once and named with its place; its stage goes on, the next one never begins."""
    place = places.another()
    refused = [400, 403, 405, 413, 415, 422]
    objects = [config("first"), *(config(f"refused-{status}") for status in refused)]
    objects += [config("last"), idle("web")]
    place.write(*objects)

    with Faults(place.environment["KUBECONFIG"]) as faults:
        for status in refused:
            faults.answer(status, times=99, path=f"/refused-{status}$", query=REAL)
        done = apply(place, faults)

        assert done.returncode == 4
        assert [faults.count("PATCH", f"/refused-{s}$", REAL) for s in refused] == [1] * 6
        assert faults.count("PATCH", "/deployments/web$", REAL) == 0
    lines = range(7, 43, 6)
    assert [line.partition(": the API")[0] for line in failures(done)] == [
        f"error: all.yaml:{line}: ConfigMap {place.namespace}/refused-{status}"
        for line, status in zip(lines, refused, strict=True)
    ]
    assert {"ConfigMap/first", "ConfigMap/last"} <= names_of(state_of(place))
    assert mended(place) == places.clean(*objects)


def test_what_passes_by_itself(places: Places, clean: list[Any]) -> None:
    """A webhook that starts, somebody else who writes, too: repeated. Dry runs go without it."""
    place = prepared(places.another())
    with Faults(place.environment["KUBECONFIG"]) as faults:
        faults.answer(500, NO_WEBHOOK, times=99, query="dryRun=All")
        faults.answer(500, NO_WEBHOOK, times=2, path="/deployments/web$", query=REAL)
        faults.answer(409, _modified("configmaps"), times=4, path="/configmaps/a$", query=REAL)
        faults.answer(409, _modified("resourcequotas"), times=4, path="/added$", query=REAL)
        done = apply(place, faults)

        assert (done.returncode, failures(done)) == (0, []), done.stderr
        sent = [("/deployments/web$", 3), ("/a$", 5), ("/added$", 5)]
        assert [faults.count("PATCH", path, REAL) for path, _ in sent] == [n for _, n in sent]
        assert faults.count("PATCH", query="dryRun=All") == 4
    assert state_of(place) == clean


@pytest.mark.parametrize("kind", ["token file", "program"])
def test_credentials_that_end_in_the_middle(
    places: Places, clean: list[Any], tmp_path: Path, kind: str
) -> None:
    """They are read anew, and the run goes on with the new ones alone."""
    place = prepared(places.another())
    old, new, file = *tokens(place), tmp_path / "token"
    file.write_text(old)
    kubeconfig = kubeconfig_for(place, tmp_path / "account.conf", user=_user(kind, file))
    refused: list[str] = []

    def is_over(handler: Any, data: bytes) -> None:
        if handler.headers["Authorization"].endswith(old):
            refused.append(handler.path)
            handler.answer(401, b"{}", {})
        else:
            handler.pass_on(data)

    def end() -> None:
        file.write_text(new)
        faults.plan(is_over, times=999)

    with Faults(kubeconfig) as faults:
        faults.do(end, path="/configmaps/a$", query=REAL)
        done = apply(place, faults)

    assert (done.returncode, failures(done)) == (0, []), done.stderr
    assert done.stderr.count("the credentials are not accepted; reading anew") == 1
    assert refused
    assert state_of(place) == clean


def test_credentials_that_are_never_accepted_again(places: Places, clean: list[Any]) -> None:
    """Read anew once, then the run ends and says what to do."""
    place = prepared(places.another())
    with Faults(place.environment["KUBECONFIG"]) as faults:
        faults.answer(401, times=99, path="/deployments/web$", query=REAL)
        done = apply(place, faults)
        assert faults.count("PATCH", "/deployments/web$", REAL) == 2

    assert done.returncode == 4
    [line] = failures(done)
    assert "log in again" in line
    assert mended(place) == clean


def test_a_certificate_of_somebody_else(places: Places, tmp_path: Path) -> None:
    """Nothing is sent to a server that is not the one of the kubeconfig, and nothing repeated."""
    place = places.another()
    place.write(*NEW)
    config = yaml.safe_load(Path(place.environment["KUBECONFIG"]).read_text())
    user, cluster = config["users"][0]["user"], config["clusters"][0]["cluster"]
    cluster["certificate-authority-data"] = user["client-certificate-data"]
    (tmp_path / "other.conf").write_text(yaml.safe_dump(config))

    done = apply(place, None, "--kubeconfig", str(tmp_path / "other.conf"))

    assert done.returncode == 4
    [line] = failures(done)
    assert "certificate is not signed by the authority in the kubeconfig" in line
    assert "attempt" not in done.stderr


class _Doors(Proxy):
    """Closes the first connections in the middle of the handshake."""

    closed = 3

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        if self.connections <= self.closed:
            with suppress(OSError):
                source.recv(1)
            self.cut()
        super()._copy(source, sink)


def test_handshakes_that_break_off(places: Places, clean: list[Any], tmp_path: Path) -> None:
    """As a load balancer does whose servers are restarting: tried again."""
    place = prepared(places.another())
    with _Doors(place.environment["KUBECONFIG"]) as doors:
        done = apply(place, None, "--kubeconfig", str(doors.kubeconfig(tmp_path / "doors.conf")))

    assert (done.returncode, failures(done)) == (0, []), done.stderr
    assert "attempt 4 of 5" in done.stderr
    assert state_of(place) == clean


def test_a_server_that_speaks_no_tls(places: Places, tmp_path: Path) -> None:
    """Said in one line, after as many attempts as somebody likes to wait for."""
    place = places.another()
    place.write(*NEW)
    with Faults(place.environment["KUBECONFIG"]) as faults:
        file = faults.kubeconfig(tmp_path / "faults.conf")
        file.write_text(file.read_text().replace("http://", "https://"))
        done = apply(place, None, "--kubeconfig", str(file))

    assert done.returncode == 4
    [line] = failures(done)
    assert "TLS failed" in line


def test_an_object_that_somebody_deletes_meanwhile(places: Places, clean: list[Any]) -> None:
    """It was to be changed, and is created instead."""
    place = prepared(places.another())
    with Faults(place.environment["KUBECONFIG"]) as faults:
        faults.do(
            lambda: [delete(place, kind, name) for kind, name in (("cm", "a"), ("deploy", "web"))],
            path=f"/{INVENTORY}$",
            method="PATCH",
        )
        done = apply(place, faults)

    assert (done.returncode, failures(done)) == (0, []), done.stderr
    assert state_of(place) == clean


def test_a_namespace_that_somebody_deletes_meanwhile(places: Places) -> None:
    """The run ends and names it; the next one waits until it is gone, and makes all of it anew."""
    place, other = prepared(places.another()), places.another()
    for each in (place, other):
        each.write(namespace(each.namespace), *NEW)
    with Faults(place.environment["KUBECONFIG"]) as faults:
        faults.do(lambda: delete(place, "namespace", place.namespace), path="/added$", query=REAL)
        done = apply(place, faults)

    assert done.returncode == 4
    [line] = failures(done)
    assert f"namespace {place.namespace} because it is being terminated" in line
    assert mended(place) == mended(other)


@pytest.fixture
def plane(control_plane: ControlPlane, plane_playground: Playground) -> Iterator[ControlPlane]:
    """Give a control plane that runs, on which an earlier run has applied `OLD`."""
    prepared(plane_playground)
    yield control_plane
    control_plane.up()


def test_an_api_server_that_crashes_and_comes_back(
    plane: ControlPlane, plane_playground: Playground, clean: list[Any]
) -> None:
    """Killed in the middle of two stages: the run waits for it, and ends as it should."""
    with Faults(plane.environment["KUBECONFIG"]) as faults:
        for path in ("/configmaps/added$", "/deployments/web$"):
            faults.do(plane.kill_api_server, path=path, query=REAL)
        done = apply(plane_playground, faults)

    assert (done.returncode, failures(done)) == (0, []), done.stderr
    assert state_of(plane_playground) == clean


def test_an_api_server_that_stays_away(
    plane: ControlPlane, plane_playground: Playground, clean: list[Any]
) -> None:
    """The time that was allowed is kept, and said what is not applied; the next run mends it."""
    with Faults(plane.environment["KUBECONFIG"]) as faults:
        faults.do(plane.down, path="/deployments/web$", query=REAL)
        done = apply(plane_playground, faults, "--wait-timeout", "5s")

    assert done.returncode == 4
    assert len(failures(done)) == 1
    assert "3 of 5 objects were applied before the end" in done.stderr
    assert f"Deployment {plane_playground.namespace}/web was sent, and may have" in done.stderr
    assert f"PodDisruptionBudget {plane_playground.namespace}/web was not applied" in done.stderr
    plane.up()
    shorten_lease(plane_playground)
    assert mended(plane_playground) == clean


def _modified(plural: str) -> dict[str, str]:
    message = f'Operation cannot be fulfilled on {plural} "x": the object has been modified'
    return {"kind": "Status", "reason": "Conflict", "message": message}


def _user(kind: str, file: Path) -> dict[str, Any]:
    if kind == "token file":
        return {"tokenFile": str(file)}
    version = "client.authentication.k8s.io/v1"
    credential = '{{"apiVersion":"{}","kind":"ExecCredential","status":{{"token":"%s"}}}}'
    script = f"""printf '{credential.format(version)}' "$(cat {file})" """
    program = {"apiVersion": version, "command": "sh", "interactiveMode": "Never"}
    return {"exec": {**program, "args": ["-c", script]}}
