"""The pool that moves blobs, with a registry that does what the test says."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.images.transfers import Transfers, Wanted, Way
from codexctl_tasks.references import Reference
from codexctl_tasks.registry.interface import Descriptor, RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.support.fakes import FakeClock

SOURCE = Reference("source.example", "a", "1")
LIMIT_S = 20


class Port:
    """Plays a registry: notes what is asked of it, and lets the test decide when it answers."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.begun = threading.Event()
        self.fails: set[str] = set()
        """Repositories into which nothing can be written."""
        self.pieces = [b"12345"]

    def has_blob(self, repository: Reference, digest: str) -> bool:
        """See `Registry`."""
        self.done.append(f"has {repository.repository} {digest}")
        return False

    def mount_blob(self, repository: Reference, digest: str, source: Reference) -> bool:
        """See `Registry`."""
        self.done.append(f"mount {repository.repository} {digest} from {source.repository}")
        return True

    def read_blob(self, repository: Reference, blob: Descriptor) -> list[bytes]:
        """See `Registry`."""
        del repository, blob
        return self.pieces

    def write_blob(self, repository: Reference, blob: Descriptor, pieces: Iterable[bytes]) -> None:
        """See `Registry`."""
        self.begun.set()
        assert self.open.wait(LIMIT_S)
        self.done.append(f"write {repository.repository} {blob.digest}")
        assert b"".join(pieces) == b"".join(self.pieces)
        if repository.repository in self.fails:
            raise RegistryError(repository.name, "refused")


@pytest.fixture
def port() -> Any:
    """Return a registry."""
    return Port()


@pytest.fixture
def told() -> list[str]:
    """Return where the lines of progress go."""
    return []


@pytest.fixture
def transfers(port: Any, clock: FakeClock, told: list[str]) -> Iterator[Transfers]:
    """Return a pool with one worker."""
    pool = Transfers(port, 1, clock, told.append)
    yield pool
    port.open.set()
    pool.stop()


def _wanted(repository: str, digest: str = "d", size: int = 5, host: str = "t") -> Wanted:
    target = Reference(host, repository, "1")
    return Wanted(repository, SOURCE, target, Descriptor(digest, "", size))


def _move(transfers: Transfers, *all_wanted: Wanted) -> list[Way | str]:
    for each in all_wanted:
        transfers.begin(each)
    wait([each.done for each in all_wanted], LIMIT_S)
    return [
        str(error) if (error := each.done.exception(0)) else each.done.result(0)
        for each in all_wanted
    ]


def test_the_largest_first(transfers: Transfers, port: Any) -> None:
    """What takes longest must not begin last."""
    port.open.clear()
    wanted = [_wanted("r", str(size), size) for size in (1, 5, 3, 9)]
    for each in wanted:
        transfers.begin(each)
    port.open.set()
    wait([each.done for each in wanted], LIMIT_S)

    written = [line.split()[2] for line in port.done if line.startswith("write")]
    assert [each for each in written if each != "1"] == ["9", "5", "3"]


def test_a_blob_moves_once(transfers: Transfers, port: Any) -> None:
    """The others have it mounted, and whoever wants it in the same place has it."""
    ways = _move(transfers, *(_wanted(name) for name in ("a", "b", "c", "a")))

    assert ways == [Way.MOVED, Way.MOUNTED, Way.MOUNTED, Way.PRESENT]
    assert [line for line in port.done if line.startswith("write")] == ["write a d"]


def test_another_registry_has_to_get_it_too(transfers: Transfers, port: Any) -> None:
    """Nothing is mounted across registries."""
    assert _move(transfers, _wanted("a"), _wanted("a", host="u")) == [Way.MOVED, Way.MOVED]
    assert not any(line.startswith("mount") for line in port.done)


def test_whoever_comes_after_a_failure(transfers: Transfers, port: Any) -> None:
    """The next one moves the blob itself, and the rest has it mounted from there."""
    port.open.clear()
    port.fails.add("a")
    wanted = [_wanted(name) for name in ("a", "b", "c")]
    for each in wanted:
        transfers.begin(each)
    port.open.set()

    wait([each.done for each in wanted], LIMIT_S)

    assert str(wanted[0].done.exception(0)) == "t/a: refused"
    assert [each.done.result(0) for each in wanted[1:]] == [Way.MOVED, Way.MOUNTED]
    assert port.done[-1] == "mount c d from b"


def test_an_image_that_has_given_up(transfers: Transfers, port: Any) -> None:
    """Its blobs are not moved any more; those who wait for the same one go on."""
    port.open.clear()
    first, given_up, other = _wanted("x", "first"), _wanted("a"), _wanted("b")
    for each in (first, given_up, other):
        transfers.begin(each)
    assert given_up.done.cancel()
    port.open.set()
    wait([first.done, other.done], LIMIT_S)

    assert other.done.result(0) is Way.MOVED
    assert not any(" a " in f"{line} " for line in port.done)


def test_the_end_of_a_run(transfers: Transfers, port: Any) -> None:
    """Whoever waits is woken up; what comes later is not begun."""
    port.open.clear()
    wanted = [_wanted("x", "first"), _wanted("a"), _wanted("b"), _wanted("c", "other")]
    for each in wanted:
        transfers.begin(each)
    assert port.begun.wait(LIMIT_S)

    transfers.stop()
    late = _wanted("late")
    transfers.begin(late)
    port.open.set()
    wait([each.done for each in wanted], LIMIT_S)

    assert wanted[0].done.result(0) is Way.MOVED
    assert all(each.done.cancelled() for each in (*wanted[1:], late))


def test_progress(transfers: Transfers, port: Any, clock: FakeClock, told: list[str]) -> None:
    """A line every ten seconds for what takes long, and one when it is there."""

    class Slowly(list[bytes]):
        def __iter__(self) -> Iterator[bytes]:
            for piece in super().__iter__():
                clock.pass_time(6)
                yield piece

    port.pieces = Slowly([b"x" * 500_000] * 4)

    assert _move(transfers, _wanted("redis", "sha256:0123456789abcdef", 2_000_000)) == [Way.MOVED]
    assert told == [
        "redis: sha256:0123456789ab: 1.0 MB of 2.0 MB",
        "redis: sha256:0123456789ab is there, 2.0 MB",
    ]
