"""Where requests may go, and by which proxy."""

from __future__ import annotations

import pytest

from codexctl_tasks.registry.connections import Connections, origin_of, proxy_for, schemes_of
from codexctl_tasks.registry.failures import TransientRegistryError, no_registry, refusal
from codexctl_tasks.registry.interface import RegistryError

VARIABLES = {"HTTPS_PROXY": "proxy.example:3128", "no_proxy": "inside.example,10.0.0.1"}
BEHIND = {"HTTPS_PROXY": "http://proxy.example:3128"}
"""Then no name is looked up."""


def test_schemes() -> None:
    """TLS, but for this machine and where the configuration says otherwise."""
    assert schemes_of("ghcr.io", allows_http=False) == ("https",)
    assert schemes_of("registry.local", allows_http=True) == ("http", "https")
    assert schemes_of("127.0.0.1:5000", allows_http=False) == ("http", "https")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://ghcr.io/v2/", "http://proxy.example:3128"),
        ("http://ghcr.io/v2/", ""),
        ("https://inside.example/v2/", ""),
        ("https://a.inside.example:5000/v2/", ""),
        ("https://10.0.0.1/v2/", ""),
        ("https://localhost:5000/v2/", ""),
    ],
)
def test_proxies(url: str, proxy: str) -> None:
    """As the environment names them; never for this machine."""
    assert proxy_for(url, VARIABLES) == proxy


def test_origins() -> None:
    """Scheme, host and port decide who is told a password."""
    assert origin_of("HTTPS://Registry.Example/v2/") == origin_of("https://registry.example:443/a")
    assert origin_of("http://a") != origin_of("https://a")
    assert origin_of("https://a:5000") != origin_of("https://a")
    assert origin_of("https://[::1") == ("", "", 0)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("https://storage.example/blob", ""),
        ("http://storage.example/blob", "without TLS"),
        ("ftp://storage.example/blob", "without TLS"),
        ("https://[::1", "nowhere"),
        ("https://192.168.1.1/blob", "private network"),
        ("https://[fd00::1]/blob", "private network"),
        ("https://[::ffff:10.0.0.1]/blob", "private network"),
        ("https://0.0.0.0/blob", "private network"),
        ("https://169.254.169.254/", "private network"),
    ],
)
def test_where_a_registry_of_the_internet_may_send_us(url: str, what: str) -> None:
    """Anywhere by TLS, but not inside."""
    connections = Connections(BEHIND)
    if not what:
        connections.check("ghcr.io", url, "https://ghcr.io")
        return
    with pytest.raises(RegistryError, match=f"^ghcr.io: sends us .*{what}: ask who runs it$"):
        connections.check("ghcr.io", url, "https://ghcr.io")


def test_where_a_registry_of_a_private_network_may_send_us() -> None:
    """To a storage beside it, and not to this machine, nor to what clouds tell their own."""
    connections, origin = Connections({}), "http://10.0.0.1:5000"
    connections.check("10.0.0.1:5000", "http://192.168.1.1:9000/blob", origin)
    for url in ("http://127.0.0.1/", "http://169.254.169.254/", "http://localhost:5000/"):
        with pytest.raises(RegistryError, match="private network"):
            connections.check("10.0.0.1:5000", url, origin)
    connections.check("127.0.0.1:5000", "http://127.0.0.1:9000/blob", "http://127.0.0.1:5000")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the registry answered 400: see what it says"),
        (b"busy\n", "the registry answered 400: busy: see what it says"),
        (b"<html>no</html>", "the registry answered 400: see what it says"),
        (b'{"errors": [{"code": "A", "message": "b"}, {"code": "C"}]}', "400: A: b; C: see"),
        (b'{"errors": [{"code": "A", "message": "b", "detail": "why"}]}', "400: A: b .why.: see"),
        (b'{"errors": "odd"}', "the registry answered 400: see what it says"),
        (b'{"details": "invalid"}', "400: invalid: see"),
        (b'{"message": "hunter2 is wrong"}', r"400: \*\*\* is wrong: see"),
    ],
)
def test_the_words_of_a_registry(body: bytes, said: str) -> None:
    """Whatever it says is repeated, but for pages and what we have sent."""
    error = refusal("a.example/b", 400, {}, body, secret="hunter2")

    assert not isinstance(error, TransientRegistryError)
    with pytest.raises(RegistryError, match=said):
        raise error


@pytest.mark.parametrize(
    ("header", "wish_s"),
    [("7", 7.0), ("", 0.0), ("soon", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_how_long_a_registry_wants_to_be_left_alone(header: str, wish_s: float) -> None:
    """Seconds, or a date."""
    error = refusal("a.example", 429, {"Retry-After": header}, b"")

    assert isinstance(error, TransientRegistryError)
    assert error.retry_after_s == wish_s


def test_a_date_in_the_future_is_waited_for() -> None:
    """Longer than anybody waits for, here."""
    later = {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}
    error = refusal("a.example", 503, later, b"")

    assert isinstance(error, TransientRegistryError)
    assert error.retry_after_s > 10**6


def test_exit_codes() -> None:
    """A registry that refuses is like a cluster that refuses."""
    assert no_registry("a.example", 404).exit_code == 4
    assert refusal("a.example", 503, {}, b"").exit_code == 4
