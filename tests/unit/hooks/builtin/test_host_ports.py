"""`codex.check-dev-host-ports`: against real listeners, good, bad and hostile ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.hooks.builtin.host_answers import judge
from codexctl_tasks.hooks.builtin.host_ports import (
    CheckHostPorts,
    check_dev_host_ports,
    check_ports,
)
from codexctl_tasks.hooks.contract import HookError
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.probing import Endpoint, Sighting, State
from tests.support.certificates import Authority, Issued
from tests.support.hooks import HookBench
from tests.support.listeners import (
    answering,
    endless,
    free_port,
    has_ipv6,
    listening,
    say_nothing,
    saying,
)

if TYPE_CHECKING:
    from pathlib import Path

HOST = "shop.test"
CA = Authority()
GOOD = CA.issue(HOST)
OK = answering("200 OK", "hello")
NGINX_404 = "<html><body><center><h1>404 Not Found</h1></center>\r\n<hr><center>nginx</center>"
HAPROXY_404 = "<html><body><h1>404 Not Found</h1>\nThe requested URL was not found.\n</body></html>"
TOO_MUCH = b"HTTP/1.1 200 OK\r\n"


class Bench(HookBench):
    """Runs the hook against ports of this machine."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        settings = {"clock": SystemClock(), **settings}
        super().__init__(check_dev_host_ports, folder=folder, **settings)
        (folder / "ca.pem").write_bytes(CA.certificate)

    def ask(self, port: int | str, **given: Any) -> str:
        """Return what is said about one port."""
        given = {"host": HOST, "address": "127.0.0.1", "timeout": "3s", **given}
        return self.run(ports=[str(port)], **given)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give a hook."""
    return Bench(tmp_path)


def test_a_port_that_answers_is_fine(bench: Bench) -> None:
    """It is asked with the host's name, as a browser would."""
    heard: list[str] = []

    with listening(OK, heard=heard) as port:
        said = bench.ask(port)

    assert said == f"hook     {HOST}: 127.0.0.1:{port}: answers 200\n"
    assert f"\r\nHost: {HOST}:{port}\r\n" in heard[0]


def test_a_port_for_https_is_fine(bench: Bench, tmp_path: Path) -> None:
    """The certificate is checked against the authority that was given, and SNI is sent."""
    heard: list[str] = []

    with listening(OK, pem=GOOD.write(tmp_path), heard=heard) as port:
        said = bench.ask(f"{port}/https", caFile="ca.pem")

    assert said.endswith(f"127.0.0.1:{port}: answers 200\n")
    assert "warning" not in said
    assert heard[0] == f"SNI {HOST}"


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_ipv6_is_asked_as_well(bench: Bench) -> None:
    """Each address has its line."""
    with listening(OK, address="::1") as port:
        said = bench.ask(port, address=["127.0.0.1", "::1"])

    assert f"warning: codex.check-dev-host-ports: {HOST}: 127.0.0.1:{port}: nothing listens" in said
    assert f"hook     {HOST}: [::1]:{port}: answers 200" in said


CERTIFICATES = {
    "expired": (CA.issue(HOST, ends=timedelta(hours=-1)), "certificate expired on"),
    "future": (CA.issue(HOST, begins=timedelta(hours=1)), "certificate not valid before"),
    "other-host": (CA.issue("b.test"), f"certificate not for {HOST} but for b.test; answers 200"),
    "no-host": (CA.issue(name=HOST), f"certificate not for {HOST} but for no host"),
    "self-signed": (CA.issue(HOST, self_signed=True), "certificate self-signed; answers 200"),
    "unknown": (Authority("Elsewhere").issue(HOST), '(from "Elsewhere"); answers 200'),
    "nginx": (
        CA.issue("ingress.local", name="Kubernetes Ingress Controller Fake Certificate"),
        f'Controller Fake Certificate", as there is no certificate for {HOST}; answers 200',
    ),
    "traefik": (
        CA.issue("a.traefik.default", name="TRAEFIK DEFAULT CERT", self_signed=True),
        f'shows "TRAEFIK DEFAULT CERT", as there is no certificate for {HOST}',
    ),
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_a_bad_certificate_is_named(bench: Bench, tmp_path: Path, case: str) -> None:
    """What is wrong with it, and what the server answers all the same."""
    issued, expected = CERTIFICATES[case]

    with listening(OK, pem=issued.write(tmp_path)) as port:
        said = bench.ask(f"{port}/https", caFile="ca.pem", timeout="30s")

    assert said.startswith("warning: ")
    assert expected in said
    assert said.count("\n") == 1


def test_a_chain_with_an_intermediate_is_fine(bench: Bench, tmp_path: Path) -> None:
    """As Let's Encrypt's certificates come."""
    issued: Issued = Authority("Middle", CA).issue(f"*.{HOST}")

    with listening(OK, pem=issued.write(tmp_path)) as port:
        said = bench.ask(f"{port}/https", host=f"slot-3.{HOST}", caFile="ca.pem")

    assert "warning" not in said


ANSWERS = {
    "ingress-nginx-old": (answering("404 Not Found", "default backend - 404"), "nothing is routed"),
    "ingress-nginx": (answering("404 Not Found", NGINX_404), f"nothing is routed for {HOST} (404)"),
    "traefik": (answering("404 Not Found", "404 page not found\n"), "nothing is routed"),
    "haproxy": (answering("404 Not Found", HAPROXY_404), "nothing is routed"),
    "envoy": (answering("404 Not Found", headers="server: envoy\r\n"), "nothing is routed"),
    "misdirected": (answering("421 Misdirected Request"), "nothing is routed"),
    "503": (answering("503 Service Unavailable", "no healthy upstream"), "backend is not ready"),
    "500": (answering("500 Oops"), "answers 500"),
    "tls-wanted": (
        answering("400 Bad Request", "Client sent an HTTP request to an HTTPS server."),
        "speaks TLS, not plain HTTP",
    ),
    "garbage": (saying(b"\x00\x01\x1b[2Jredis\r\n"), "answers something that is not HTTP"),
    "almost-http": (saying(b"HTTP/1.1 2000 OK\r\n\r\n"), "answers something that is not HTTP"),
    "ssh": (saying(b"SSH-2.0-OpenSSH_9.6\r\n"), "answers something that is not HTTP"),
    "closes": (saying(b""), "closes the connection without an answer"),
    "endless-headers": (endless(TOO_MUCH, b"X-More: yes\r\n"), "its headers do not end"),
    "endless-line": (endless(b"HTTP/1.1 ", b"9"), "answers something that is not HTTP"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_bad_answer_is_named(bench: Bench, case: str) -> None:
    """One line says what answers there instead of the host."""
    behave, expected = ANSWERS[case]

    with listening(behave) as port:
        said = bench.ask(port)

    assert said.startswith("warning: ")
    assert expected in said
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    ("behave", "expected"),
    [
        (answering("404 Not Found", "<h1>no such offer</h1>"), "answers 404"),
        (answering("404 Not Found", headers="server: nginx\r\n"), "answers 404"),
        (
            answering(
                "404 Not Found", headers="server: envoy\r\nx-envoy-upstream-service-time: 3\r\n"
            ),
            "answers 404",
        ),
        (answering("401 Unauthorized"), "answers 401"),
        (answering("200 OK", "404 page not found"), "answers 200"),
        (answering("308 Moved", headers="Location: https://shop.test/\r\n"), "to https://shop.tes"),
        (answering("200 OK", "x" * 10**6), "answers 200"),
        (answering("200 OK", "hello", closes=False), "answers 200"),
        (answering("204 No Content"), "answers 204"),
        (saying(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n0\r\n\r\n"), "answers 200"),
    ],
)
def test_what_an_application_answers_is_fine(bench: Bench, behave: Any, expected: str) -> None:
    """A 404 of its own, a login, a redirection: it is reached."""
    with listening(behave) as port:
        said = bench.ask(port)

    assert said.startswith("hook ")
    assert expected in said


def test_a_redirection_cannot_paint_the_log(bench: Bench) -> None:
    """What a stranger has written is cut and made harmless."""
    evil = "Location: https://\x1b[2J\u2028" + "a" * 500 + "\r\n"

    with listening(answering("302 Found", headers=evil)) as port:
        said = bench.ask(port)

    assert "\x1b" not in said
    assert len(said) < 300


def test_nothing_listens(bench: Bench) -> None:
    """A refused connection is told from a filtered one."""
    said = bench.ask(free_port())

    assert "nothing listens: connection refused" in said


def test_an_address_without_a_way_to_it(bench: Bench) -> None:
    """A link-local address without its link cannot even be tried."""
    said = bench.ask(80, address="fe80::1")

    assert "cannot be reached from here" in said


SLOW = {
    "silent": (say_nothing, "", "listens, but says nothing within 0.5 s"),
    "slow-line": (endless(b"", b"H", 0.1), "", "answers something that is not HTTP"),
    "slow-headers": (endless(TOO_MUCH, b"X", 0.1), "", "answers 200, but its headers do not end"),
    "slow-body": (endless(TOO_MUCH + b"\r\n", b"X", 0.1), "", "answers 200\n"),
    "silent-tls": (say_nothing, "/https", "listens, but says nothing within 0.5 s"),
}


@pytest.mark.parametrize("case", SLOW)
def test_a_server_that_never_ends_does_not_hold_anybody_up(bench: Bench, case: str) -> None:
    """After its time the port is judged by what was heard."""
    behave, scheme, expected = SLOW[case]

    with listening(behave) as port:
        said = bench.ask(f"{port}{scheme}", timeout="500ms")

    assert expected in said


def test_the_time_of_the_step_ends_it_before(tmp_path: Path) -> None:
    """A long time for one answer is not longer than the step."""
    with listening(say_nothing) as port:
        said = Bench(tmp_path, timeout_s=1).ask(port, timeout="1h")

    assert "says nothing within" in said


def test_plain_http_behind_a_port_for_https(bench: Bench) -> None:
    """The usual mistake is named."""
    with listening(answering("400 Bad Request")) as port:
        said = bench.ask(f"{port}/https")

    assert "answers, but speaks no TLS: plain HTTP?" in said


def test_https_behind_a_port_for_plain_http(bench: Bench, tmp_path: Path) -> None:
    """The other way round as well: the server's alert is recognised, or it hangs up."""
    with listening(OK, pem=GOOD.write(tmp_path)) as port:
        said = bench.ask(f"{port}/http")

    assert "answers with TLS instead of plain HTTP" in said or "closes the connection" in said


def test_a_server_that_refuses_the_handshake(bench: Bench) -> None:
    """An alert such as for an unknown name is quoted in OpenSSL's words."""
    with listening(saying(b"\x15\x03\x03\x00\x02\x02\x70")) as port:
        said = bench.ask(f"{port}/https")

    assert "the TLS handshake fails: tlsv1 unrecognized name" in said


def test_strict_fails_with_one_line(bench: Bench) -> None:
    """All problems are in it, and no warnings besides."""
    with listening(answering("503 No")) as port, pytest.raises(HookError) as error:
        bench.run(host=HOST, address="127.0.0.1", ports=[str(port), str(free_port())], strict="yes")

    assert error.value.exit_code == 5
    text = str(error.value)
    assert "the backend is not ready; 127.0.0.1:" in text
    assert "nothing listens" in text
    assert "\n" not in text
    assert "warning" not in bench.said


def test_strict_is_content_with_what_is_fine(bench: Bench) -> None:
    """Nothing is wrong, nothing is raised."""
    with listening(OK) as port:
        assert "answers 200" in bench.ask(port, strict=True)


class _FakeNetwork:
    """Names with their addresses; each address answers as was said."""

    def __init__(self, names: dict[str, list[str]], refusing: str = "") -> None:
        self.names, self.refusing = names, refusing
        self.asked: list[tuple[str, str]] = []

    def resolve(self, name: str, timeout_s: float) -> list[str]:
        """Return what is known."""
        del timeout_s
        return self.names.get(name, [])

    def probe(
        self, endpoint: Endpoint, host: str, ca_file: Path | None, timeout_s: float
    ) -> Sighting:
        """Answer, or refuse."""
        del ca_file, timeout_s
        self.asked.append((f"{endpoint}{' https' if endpoint.tls else ''}", host))
        if endpoint.address in self.refusing.split():
            return Sighting(state=State.REFUSED)
        return Sighting(state=State.ANSWERED, answer=b"HTTP/1.1 200 OK\r\n\r\n")


def _check(network: _FakeNetwork, env: str = "ai", **given: Any) -> str:
    bench = HookBench(check_dev_host_ports, env=env, stack={"baseDomain": {"ai": "ai.shop.test"}})
    check_ports(CheckHostPorts.model_validate(given), bench.context(), network)
    return bench.said


def test_the_environments_domain_is_asked_where_it_resolves_to() -> None:
    """Without a parameter: ports 80 and 443 of all addresses of the base domain."""
    network = _FakeNetwork({"ai.shop.test": ["192.0.2.1", "2001:db8::1"]})

    said = _check(network)

    places = ["192.0.2.1:80", "[2001:db8::1]:80", "192.0.2.1:443 https", "[2001:db8::1]:443 https"]
    assert sorted(network.asked) == sorted((place, "ai.shop.test") for place in places)
    assert said.count("answers 200") == 4


def test_a_name_that_does_not_resolve_is_looked_for_on_this_machine() -> None:
    """It is told that the name does not resolve; the port may be fine all the same."""
    network = _FakeNetwork({})

    said = _check(network, ports="80")

    assert (
        "warning: codex.check-dev-host-ports: ai.shop.test: ai.shop.test does not resolve" in said
    )
    assert "127.0.0.1:80: answers 200" in said
    assert "[::1]:80: answers 200" in said


def test_names_below_localhost_need_not_resolve() -> None:
    """Browsers know them, whatever the system's resolver says."""
    assert "warning" not in _check(_FakeNetwork({}), host="market.localhost")


def test_one_address_that_refuses_is_no_problem_if_another_listens() -> None:
    """Clients go on to the next one; an address that was asked for must answer, though."""
    network = _FakeNetwork({"a.test": ["127.0.0.1", "::1"], "::1": ["::1"]}, refusing="::1")

    said = _check(network, host="a.test", ports=["80", "80/http"])
    assert "warning" not in said
    assert said.count("[::1]:80: nothing listens") == 1
    assert "warning" in _check(network, host="a.test", ports="80", address="::1")
    network.refusing = "::1 127.0.0.1"
    assert _check(network, host="a.test", ports="80").count("warning") == 2


def test_an_address_that_does_not_resolve_is_not_replaced() -> None:
    """What was asked for is not guessed."""
    network = _FakeNetwork({})

    said = _check(network, address="gateway.test")

    assert "gateway.test does not resolve" in said
    assert network.asked == []


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda b: b"HTTP/1.1 404 " + b))
def test_whatever_is_answered_becomes_one_short_line(answer: bytes) -> None:
    """Bytes of a stranger can neither break the hook nor the log."""
    seen = Sighting(state=State.ANSWERED, answer=answer, certificate=answer, distrust="unknown")

    text = judge(Endpoint("::1", 443, tls=True), seen, HOST, 5, datetime.now(UTC)).text

    assert text.isprintable()
    assert 0 < len(text) <= 160


@pytest.mark.parametrize("ports", ["0", "65536", "http", "80/ftp", "-1", "80 443", {"a": "b"}])
def test_only_ports_are_ports(ports: Any) -> None:
    """A mistake is found before anything is asked."""
    with pytest.raises(ValidationError):
        CheckHostPorts.model_validate({"ports": ports})


@pytest.mark.parametrize(
    "host", ["a b", "a..b", "https://a.test/", "a.test:8080", "a\r\nX: y", "-a"]
)
def test_only_host_names_are_asked_for(host: str) -> None:
    """Nothing else gets into a request."""
    with pytest.raises(ConfigurationError, match="is no host name: write it without port"):
        _check(_FakeNetwork({}), host=host)


def test_a_host_is_needed() -> None:
    """An environment without domain says what to do."""
    with pytest.raises(ConfigurationError, match="baseDomain has none for dev: set host"):
        _check(_FakeNetwork({}), env="dev")


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_an_unusable_authority_is_a_mistake_in_the_configuration(
    bench: Bench, tmp_path: Path, content: bytes | None
) -> None:
    """It is named before anything is asked."""
    if content is not None:
        (tmp_path / "broken.pem").write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"caFile broken\.pem holds no certificate"):
        bench.ask(443, caFile="broken.pem")
