"""Whether a registry is there, against real servers on loopback."""

from __future__ import annotations

import socket
import ssl
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from urllib3.exceptions import LocationParseError, NameResolutionError, SSLError

from codexctl_tasks.registry.connections import is_loopback
from codexctl_tasks.registry.failures import explained
from codexctl_tasks.registry.interface import RegistryError
from codexctl_tasks.registry.presence import find_registry
from tests.support.api_server import Answer, ApiServer, api_server
from tests.support.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path

REDIRECT = Answer(status=307, headers={"Location": "/v2/else"})


def _host(server: ApiServer) -> str:
    return server.address.removeprefix("https://").removeprefix("http://")


def _elsewhere(server: ApiServer) -> str:
    """Return a name of the server that does not look like this machine."""
    return _host(server).replace("127.0.0.1", "127.1")


@pytest.mark.parametrize("status", [200, 401, 429])
def test_a_registry_is_there(server: ApiServer, status: int) -> None:
    """Also one that wants a password first, or has had enough for the moment."""
    server.will(Answer({}, status))

    assert find_registry(_host(server), {}) == server.address
    assert [request.path for request in server.requests] == ["/v2/"]


def test_a_registry_that_sends_elsewhere(server: ApiServer) -> None:
    """As clients do, it is followed."""
    server.will(REDIRECT, Answer({}, 401))

    assert find_registry(_host(server), {}) == server.address


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (Answer({}, 404), r"something else answers there \(404, no registry\): correct"),
        (Answer("<html>", headers={"Content-Type": "text/html"}), "something else answers there"),
        (Answer({}, 403), r"refuses this machine \(403\)"),
        (Answer({}, 503, {"Retry-After": "100"}), r"is out of order \(it answers 503\)"),
    ],
    ids=["404", "a web page", "403", "503"],
)
def test_what_is_no_registry(server: ApiServer, answer: Answer, what: str) -> None:
    """What answers instead, at once: nobody waits for it."""
    server.will(answer)

    with pytest.raises(RegistryError, match=what):
        find_registry(_elsewhere(server), {}, allows_http=True, timeout_s=1)


def test_nobody_listens() -> None:
    """Refused."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        host = f"127.0.0.1:{taken.getsockname()[1]}"

    with pytest.raises(RegistryError, match=f"^{host}: nothing listens there .refused.: start it"):
        find_registry(host, {})


def test_nobody_answers() -> None:
    """A server that takes the connection and says nothing, as behind a firewall."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"

        with pytest.raises(RegistryError, match=r"no answer within 0.1 s: check firewall"):
            find_registry(host, {}, timeout_s=0.1)


def test_a_server_without_tls(server: ApiServer) -> None:
    """Plain HTTP is for this machine and for what says so; passwords would travel readable."""
    with pytest.raises(RegistryError, match="speaks no TLS: declare it as localRegistry"):
        find_registry(_elsewhere(server), {})

    server.answers.clear()
    server.will(Answer({}, 401))
    assert find_registry(_elsewhere(server), {}, allows_http=True).startswith("http://127.1:")


def test_a_certificate_that_nobody_has_signed(tmp_path: Path) -> None:
    """TLS on this machine is looked at as well, after plain HTTP."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Authority().issue("127.0.0.1", self_signed=True).write(tmp_path))

    with (
        api_server(tls) as server,
        pytest.raises(RegistryError, match=r"certificate is not accepted: self.signed certificate"),
    ):
        find_registry(_host(server), {})


@pytest.mark.parametrize("no_proxy", ["", "other.example, 127.0.0.1"])
def test_through_the_proxy(server: ApiServer, no_proxy: str) -> None:
    """With the name and password that the environment gives for it."""
    server.will(Answer({}, 401))
    proxy = server.address.replace("http://", "http://me:hunt%40r2@")
    variables = {"http_proxy": proxy, "NO_PROXY": no_proxy}

    found = find_registry("registry.example:5000", variables, allows_http=True)

    assert found == "http://registry.example:5000"
    [request] = server.requests
    assert request.target == "http://registry.example:5000/v2/"
    assert request.headers["proxy-authorization"] == "Basic bWU6aHVudEByMg=="


@pytest.mark.parametrize("no_proxy", ["*", "127.1", ".1", "x, 127.1"])
def test_past_the_proxy(server: ApiServer, no_proxy: str) -> None:
    """What NO_PROXY names, or what is below it, is asked directly."""
    server.will(Answer({}, 401))
    variables = {"HTTP_PROXY": "http://127.0.0.1:9", "no_proxy": no_proxy}

    assert find_registry(_elsewhere(server), variables, allows_http=True)
    assert server.requests[0].target == "/v2/"


def test_a_proxy_that_is_away(server: ApiServer) -> None:
    """The registry is not to blame."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        proxy = f"127.0.0.1:{taken.getsockname()[1]}"

    with pytest.raises(RegistryError, match="the proxy does not let it through"):
        find_registry(_elsewhere(server), {"HTTPS_PROXY": proxy})


def test_other_trouble_in_words() -> None:
    """A name that nobody knows, and a handshake that broke off."""
    unknown = NameResolutionError("nosuch.example", None, socket.gaierror(-2, "no"))  # type: ignore[arg-type]

    assert explained(unknown, 5)[0] == "its name is unknown here"
    assert explained(SSLError(ssl.SSLError("broke off")), 5)[0].startswith("TLS failed")
    signed = LocationParseError("https://storage.example:x/?signature=hunter2")
    assert explained(signed, 5)[0] == "cannot be reached: its address is none"
    assert explained(OSError(101, "Network is unreachable"), 5)[0] == (
        "cannot be reached: [Errno 101] Network is unreachable"
    )


def test_which_hosts_are_this_machine() -> None:
    """Only these may go without TLS unasked."""
    hosts = ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "::1"]
    assert [is_loopback(host) for host in hosts] == [True, True, True, True, False]
    assert not is_loopback("localhost.example.com")
