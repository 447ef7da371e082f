"""What registries want to see first, and tokens."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.registry.challenges import Challenge, Scope, parse_challenge
from codexctl_tasks.registry.tokens import Token, Tokens

if TYPE_CHECKING:
    from tests.support.fakes import FakeClock

READ, WRITE = Scope("a"), Scope("a", writes=True)


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ("", None),
        ("Negotiate", None),
        ('Basic realm="Registry Realm"', Challenge("basic", "Registry Realm")),
        ("Basic", Challenge("basic")),
        (
            'Bearer realm="https://auth.example/token?a=b,c",service="registry.example"',
            Challenge("bearer", "https://auth.example/token?a=b,c", "registry.example"),
        ),
        (
            'bearer Realm="https://a/t", Service="s",scope="repository:a:pull,push",error="x"',
            Challenge("bearer", "https://a/t", "s"),
        ),
        ("Bearer realm=https://a/t,service=s", Challenge("bearer", "https://a/t", "s")),
        (
            'Basic realm="first", Bearer realm="https://a/t"',
            Challenge("bearer", "https://a/t"),
        ),
        ('Bearer error="no realm", Basic realm="b"', Challenge("basic", "b")),
        (r'Bearer realm="https://a/\"t"', Challenge("bearer", 'https://a/"t')),
    ],
)
def test_challenges(header: str, challenge: Challenge | None) -> None:
    """As they are written by registries, and by the standard."""
    assert parse_challenge(header) == challenge


def test_scopes() -> None:
    """As the token specification writes them."""
    assert [str(READ), str(WRITE)] == ["repository:a:pull", "repository:a:pull,push"]
    assert str(Scope("a/b", writes=True, deletes=True)) == "repository:a/b:pull,push,delete"


class _Server:
    """Gives out tokens that count."""

    def __init__(self, life_s: float = 60.0) -> None:
        self.asked: list[frozenset[Scope]] = []
        self.life_s = life_s

    def fetch(self, scopes: frozenset[Scope]) -> Token:
        self.asked.append(scopes)
        return Token(f"token-{len(self.asked)}", self.life_s)


def test_a_token_is_used_until_shortly_before_its_end(clock: FakeClock) -> None:
    """Ten seconds before, or after half of a short life."""
    for life_s, good_s in ((60.0, 50.0), (4.0, 2.0)):
        server = _Server(life_s)
        tokens = Tokens(clock, server.fetch)
        assert tokens.find(frozenset({READ})) == "token-1"
        clock.pass_time(good_s - 0.1)
        assert tokens.find(frozenset({READ})) == "token-1"
        clock.pass_time(0.1)
        assert tokens.find(frozenset({READ})) == "token-2"


def test_a_token_that_allows_more_will_do(clock: FakeClock) -> None:
    """Who may write may read; one for two repositories is good for each."""
    server = _Server()
    tokens = Tokens(clock, server.fetch)
    other = Scope("b")

    first = tokens.find(frozenset({WRITE, other}))

    assert {tokens.find(frozenset({each})) for each in (READ, WRITE, other)} == {first}
    assert tokens.find(frozenset({Scope("b", writes=True)})) == "token-2"
    assert tokens.find(frozenset({Scope("a", writes=True, deletes=True)})) == "token-3"


def test_a_token_that_was_refused_is_not_used_again(clock: FakeClock) -> None:
    """And a newer one, which somebody else has fetched meanwhile, is."""
    tokens = Tokens(clock, _Server().fetch)
    old = tokens.find(frozenset({READ}))

    new = tokens.find(frozenset({READ}), instead_of=old)

    assert (old, new) == ("token-1", "token-2")
    assert tokens.find(frozenset({READ}), instead_of=old) == new


def test_many_threads_want_the_same_token(clock: FakeClock) -> None:
    """One of them asks."""
    server, begun = _Server(), threading.Barrier(8)
    tokens = Tokens(clock, server.fetch)
    found: list[str] = []

    def want() -> None:
        begun.wait(5)
        found.append(tokens.find(frozenset({READ})))

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert found == ["token-1"] * 8
    assert len(server.asked) == 1


def test_a_token_is_not_shown() -> None:
    """Not in the text of an object either."""
    assert "hunter2" not in repr(Token("hunter2"))
