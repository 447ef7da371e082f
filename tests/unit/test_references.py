"""References of images, taken apart as container runtimes do it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codexctl_tasks.references import Reference, parse_host, parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis", Reference("docker.io", "library/redis")),
        ("redis:7.4", Reference("docker.io", "library/redis", "7.4")),
        (f"redis:7@{DIGEST}", Reference("docker.io", "library/redis", "7", DIGEST)),
        (f"redis@{DIGEST}", Reference("docker.io", "library/redis", "", DIGEST)),
        ("org/web:1", Reference("docker.io", "org/web", "1")),
        ("docker.io/redis", Reference("docker.io", "library/redis")),
        ("index.docker.io/org/web", Reference("docker.io", "org/web")),
        ("localhost/web", Reference("localhost", "web")),
        ("localhost:5000/shop/web:1.0", Reference("localhost:5000", "shop/web", "1.0")),
        ("127.0.0.1:5000/web", Reference("127.0.0.1:5000", "web")),
        ("[::1]:5000/web:1", Reference("[::1]:5000", "web", "1")),
        ("Registry/web", Reference("registry", "web")),
        ("ghcr.io/org/a__b-c.d/web:v1_2", Reference("ghcr.io", "org/a__b-c.d/web", "v1_2")),
        ("registry:5000/web", Reference("registry:5000", "web")),
        ("https://ghcr.io/org/web:1", Reference("ghcr.io", "org/web", "1")),
        (f"http://u:p@reg.example/web@{DIGEST}", Reference("reg.example", "web", "", DIGEST)),
        ("bot:hunter2@reg.example:8443/web:1", Reference("reg.example:8443", "web", "1")),
    ],
    ids=str,
)
def test_a_reference(text: str, expected: Reference) -> None:
    """Short names are those of docker.io; a dot, a port or `localhost` makes a host."""
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ":1", "Redis", "ghcr.io/", "ghcr.io/Org/web", "web:", "web@sha256:short", "a b", "-.io/x"],
)
def test_what_is_no_reference(text: str) -> None:
    """The message does not repeat the text: it may hold a password."""
    with pytest.raises(ValueError, match=r"^no reference of an image$"):
        parse_reference(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        ("registry", "registry"),
        ("localhost:5001", "localhost:5001"),
        ("registry.example.com/market", "registry.example.com"),
        ("https://bot:hunter2@Registry.example.com/market", "registry.example.com"),
    ],
)
def test_the_host_of_a_registry(text: str, host: str) -> None:
    """`registry` of services.yaml is a host, with or without a path."""
    assert parse_host(text) == host


def test_no_host() -> None:
    """As for references, the text is not repeated."""
    with pytest.raises(ValueError, match=r"^no host name$"):
        parse_host("https://bot:hunter2@/x")


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_none(text: str) -> None:
    """Nothing else is raised, and what is found can be written again."""
    try:
        found = parse_reference(text)
    except ValueError:
        return
    again = f"{found.host}/{found.repository}"
    again += f":{found.tag}" if found.tag else ""
    again += f"@{found.digest}" if found.digest else ""
    assert parse_reference(again) == found
