"""One comment of ours: whatever happens at the same time, in the end there is one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.world.github import GitHub
from codexctl_tasks.world.github_access import Thread
from codexctl_tasks.world.github_answers import GitHubError
from codexctl_tasks.world.github_comments import ATTEMPTS, Done, OwnComment
from codexctl_tasks.world.github_connection import Connection
from tests.support.fakes import FakeClock
from tests.support.github_server import GitHubServer, github_server

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = "<!-- mine -->"
RUNS = 12


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    """Run a small GitHub."""
    with github_server() as running:
        yield running


def _comment(server: GitHubServer) -> OwnComment:
    given: dict[str, Any] = {"clock": FakeClock(), "announce": print, "url": server.url}
    github = GitHub(Connection(token="secret-token", **given))
    return OwnComment(github, Thread("shop/web", 12), MARKER, given["clock"])


@pytest.mark.parametrize("round_", range(5))
def test_many_runs_at_once(server: GitHubServer, round_: int) -> None:
    """All of them are done, and one comment is left: the oldest, with a text of one of them."""
    texts = [f"{MARKER}\nof run {number}, round {round_}" for number in range(RUNS)]
    done: list[Done] = []
    start = threading.Barrier(RUNS)

    def write(text: str) -> None:
        comment = _comment(server)
        start.wait(30)
        done.append(comment.write(text)[0])
        comment.github.close()

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(done) == RUNS
    assert [each["id"] for each in server.comments] == [1001]
    assert server.bodies[0] in texts


def test_a_comment_that_vanishes(server: GitHubServer) -> None:
    """Somebody deletes it between looking and writing: there is a new one."""
    server.add(f"{MARKER}\nold")
    server.before["PATCH"] = server.comments.clear

    comment = _comment(server)
    assert comment.write(f"{MARKER}\nnew")[0] is Done.WROTE
    comment.github.close()

    assert server.bodies == [f"{MARKER}\nnew"]


def test_a_comment_that_always_vanishes(server: GitHubServer) -> None:
    """It is not written for ever."""

    def vanish() -> None:
        server.comments.clear()
        server.before["GET"] = come_back

    def come_back() -> None:
        server.add(f"{MARKER}\nold")
        server.before["PATCH"] = vanish

    come_back()
    comment = _comment(server)
    with pytest.raises(GitHubError, match="GitHub answered 404"):
        comment.write(f"{MARKER}\nnew")
    comment.github.close()
    assert len(server.sent("PATCH")) == ATTEMPTS


def test_comments_of_somebody_who_is_gone(server: GitHubServer) -> None:
    """They have no author: they are not ours."""
    server.add(f"{MARKER}\nold")
    server.comments[0]["user"] = None

    comment = _comment(server)
    assert comment.find() is None
    comment.github.close()
