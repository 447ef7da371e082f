"""A whole sync with the shell of this machine in place of a pod, broken off at every step."""

from __future__ import annotations

import math
import os
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast

import pytest

from codexctl_tasks.errors import BrokenStreamError, ClusterError, ConfigurationError
from codexctl_tasks.slots.sync.checkout import plain_config
from codexctl_tasks.slots.sync.place import Place
from codexctl_tasks.slots.sync.scripts import HASH, PROBE, RECEIVE, SURVEY
from codexctl_tasks.slots.sync.syncing import Synced, sync
from codexctl_tasks.world.execution import Executed
from codexctl_tasks.world.scripting import unframed
from tests.support.fakes import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from codexctl_tasks.world.cluster import Cluster

PATIENCE_S = 20
"""Until a command that waits for ever is found out."""
TARS = ["tar", "busybox tar"]
PLACE_NAME = PurePosixPath("shop")


class Shell:
    """
    Runs here what is to be run in a pod.

    ``limit_bytes`` cuts a stream to it after so many; then nothing is heard of it any more.
    """

    deadline_s = float("inf")

    def __init__(self, tools: Path) -> None:
        self._tools = tools
        self.limit_bytes: int | None = None
        self.is_gone = False
        self.closes_stdin = True
        self.received = 0
        self.scripts: list[str] = []
        """What was run, one after the other."""

    def execute(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: Iterable[bytes],
        take: Callable[[bytes], object],
        limit_s: float = math.inf,
    ) -> Executed:
        """Run a command to its end."""
        del namespace, pod, container, limit_s
        if self.is_gone:
            raise BrokenStreamError("pod", "the stream of the command broke")
        self.scripts.append(unframed(command[2]))
        given = b"".join(stdin)
        is_cut = self.limit_bytes is not None and len(given) > self.limit_bytes
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": f"{self._tools}:{os.environ['PATH']}"},
        ) as process:
            done = self._fed(process, given[: self.limit_bytes], is_cut=is_cut)
        self.received += len(given[: self.limit_bytes])
        self.is_gone = is_cut
        if is_cut or process.returncode < 0:
            raise BrokenStreamError("pod", "the stream of the command broke")
        take(done[0])
        stderr = done[1].decode(errors="replace")
        return Executed(process.returncode, stderr, closes_stdin=self.closes_stdin)

    def _fed(
        self, process: subprocess.Popen[bytes], given: bytes, *, is_cut: bool
    ) -> tuple[bytes, bytes]:
        """Return stdout and stderr; stdin ends only where the server can close it."""
        if self.closes_stdin or is_cut:
            return process.communicate(given)
        assert process.stdin is not None
        end = process.stdin
        feeding = threading.Thread(target=_feed, args=(end, given), daemon=True)
        feeding.start()
        process.stdin = None  # communicate would close it
        try:
            return process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail("the command waits for the end of stdin, which nobody can tell it")
        finally:
            feeding.join(PATIENCE_S)
            with suppress(BrokenPipeError):
                end.close()


def _feed(stdin: IO[bytes], given: bytes) -> None:
    with suppress(BrokenPipeError):
        stdin.write(given)
        stdin.flush()


class Both:
    """Both sides, on this machine."""

    def __init__(self, folder: Path) -> None:
        self.here, self.volume, self.tools = folder / "here", folder / "volume", folder / "tools"
        for each in (self.here, self.volume, self.tools):
            each.mkdir()
        self.there = self.volume / PLACE_NAME
        self.shell = Shell(self.tools)
        self.told: list[str] = []
        self.environ = {**os.environ, "XDG_CACHE_HOME": str(folder / "caches")}

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file here."""
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def use_tar(self, tar: str) -> None:
        """Unpack with this program."""
        made = self.tools / "tar"
        made.write_text(f'#!/bin/sh\nPATH={os.environ["PATH"]} exec {tar} "$@"\n')
        made.chmod(0o755)

    def sync(self, *, overwrite: bool = False) -> Synced:
        """Sync once."""
        place = Place(
            namespace="n",
            pod="p",
            container="c",
            volume=PurePosixPath(self.volume),
            path=PLACE_NAME,
        )
        return sync(
            *(self.here, place, cast("Cluster", self.shell), FakeClock()),
            environ=self.environ,
            overwrite=overwrite,
            announce=lambda repetition: self.told.append(str(repetition)),
        )

    def assert_same(self) -> None:
        """Both sides hold the same, and nothing is left over."""
        assert _tree(self.there) == _tree(self.here)
        state = self.volume / ".codexctl" / "shop"
        assert sorted(path.name for path in state.iterdir()) == ["stats", "synced"]


def _tree(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content = path.readlink() if path.is_symlink() else path.is_file() and path.read_bytes()
        found[str(path.relative_to(folder))] = (mode, content)
    return found


@pytest.fixture
def both(tmp_path: Path) -> Both:
    """Give both sides, with some files that are there on both, and some changes here."""
    sides = Both(tmp_path)
    for name in ("a", "b/c", "b/d e", "gone/x", "kind/y", "line\nfeed", "mode"):
        sides.write(name, name)
    sides.sync()
    sides.assert_same()
    for name in ("gone/x", "kind/y"):
        (sides.here / name).unlink()
        (sides.here / name).parent.rmdir()
    sides.write("a", "changed")
    sides.write("kind", "a file now")
    sides.write("new/one", os.urandom(100_000))
    sides.write("new/two", os.urandom(100_000))
    sides.write("line\nfeed", "changed")
    (sides.here / "mode").chmod(0o755)
    (sides.here / "b" / "link").symlink_to("../../outside")
    return sides


def test_a_second_sync_brings_the_changes(both: Both) -> None:
    """Changed, new, gone, of another kind or mode: afterwards both sides are the same."""
    done = both.sync()

    both.assert_same()
    assert (done.sent, done.deleted, done.changed_modes, done.kept) == (6, 2, 1, 2)
    assert both.sync().kept == 9


def age(folder: Path) -> None:
    """Make files older than any clock could mistake for new."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (10**9, 10**9))


def test_a_sync_takes_few_commands(tmp_path: Path) -> None:
    """Each is a connection and a process in the pod: one to look, one to bring what is new."""
    both = Both(tmp_path)
    for name in ("a", "b/c"):
        both.write(name, name)
    age(both.here)
    both.sync()
    assert both.shell.scripts == [SURVEY, RECEIVE]

    both.shell.scripts.clear()
    both.sync()
    assert both.shell.scripts == [SURVEY]

    both.write("a", "changed")
    both.sync()
    assert both.shell.scripts == [SURVEY, SURVEY, RECEIVE]
    both.assert_same()


@pytest.mark.parametrize("tar", TARS)
@pytest.mark.parametrize("closes_stdin", [True, False])
def test_the_way_is_measured_before_much_is_sent(
    tmp_path: Path, tar: str, *, closes_stdin: bool
) -> None:
    """Once for all of it; where nobody can be told that the stream ends it is sent as it is."""
    both = Both(tmp_path)
    both.shell.closes_stdin = closes_stdin
    both.use_tar(tar)
    for name in ("large", "larger"):
        both.write(name, os.urandom(9 * 1024 * 1024))

    both.sync()

    probes = [PROBE] if closes_stdin else []
    assert both.shell.scripts == [SURVEY, *probes, RECEIVE]
    both.assert_same()


@pytest.mark.parametrize("tar", TARS)
def test_a_server_that_cannot_close_stdin(both: Both, tar: str) -> None:
    """Nothing tells the programs there where their input ends: what is sent does."""
    both.shell.closes_stdin = False
    both.use_tar(tar)

    both.sync()

    both.assert_same()


@pytest.mark.parametrize("limit_bytes", [0, 1, 1000, 5000, 60_000, 110_000, 199_000])
def test_a_stream_that_is_cut_changes_nothing_under_its_name(both: Both, limit_bytes: int) -> None:
    """Wherever it is cut, no file is touched; the next sync makes both sides the same."""
    before = _tree(both.there)
    both.shell.limit_bytes = limit_bytes
    with pytest.raises(BrokenStreamError):
        both.sync()
    assert _tree(both.there) == before
    assert len(both.told) == 4

    both.shell.limit_bytes, both.shell.is_gone = None, False
    done = both.sync()

    both.assert_same()
    assert done.sent + done.resumed == 6


def test_what_arrived_whole_is_not_sent_again(both: Both) -> None:
    """After a cut behind the first of two large files only the second one comes."""
    both.shell.limit_bytes = 150_000
    with pytest.raises(BrokenStreamError):
        both.sync()
    both.shell.limit_bytes, both.shell.is_gone, both.shell.received = None, False, 0

    done = both.sync()

    assert done.sent_bytes == 100_000
    assert both.shell.received < 150_000


def test_a_move_that_was_cut_is_finished(both: Both) -> None:
    """Killed before any of the steps that move things into place: it is no work of a session."""
    for tool in ("mv", "rm", "rmdir", "chmod"):
        real = subprocess.check_output(["sh", "-c", f"command -v {tool}"], text=True).strip()
        script = f"""#!/bin/sh
count=$(cat {both.tools}/count); echo $((count - 1)) > {both.tools}/count
if [ "$count" -le 0 ]; then
  above=$(cut -d' ' -f4 /proc/$PPID/stat) # the last command of a subshell takes its place
  if [ "$(cat /proc/$above/comm)" = sh ]; then kill -9 $above; fi
  kill -9 $PPID
  exit 1
fi
exec {real} "$@"
"""
        (both.tools / tool).write_text(script)
        (both.tools / tool).chmod(0o755)
    counter = both.tools / "count"
    broken = 0
    for steps in range(100):
        counter.write_text(str(steps))
        try:
            both.sync()
            break
        except BrokenStreamError:
            broken += 1
        both.write("a", f"changed again {steps}")
    counter.write_text("1000")
    both.write("a", "changed for the last time")

    both.sync()

    assert broken >= 5
    both.assert_same()


def test_a_volume_that_was_full_is_nobodys_work(both: Both) -> None:
    """What has arrived by half counts for nothing: with room again the next sync goes on."""
    script = f"""#!/bin/sh
PATH={os.environ["PATH"]} tar "$@"
for each in *.new; do head -c 100 "$each" > cut; mv cut "$each"; done
echo 'tar: No space left on device' >&2
exit 2
"""
    (both.tools / "tar").write_text(script)
    (both.tools / "tar").chmod(0o755)
    before = _tree(both.there)

    with pytest.raises(ClusterError, match="No space left on device"):
        both.sync()

    assert _tree(both.there) == before
    (both.tools / "tar").unlink()
    assert both.sync().work == ()
    both.assert_same()


def test_a_link_in_place_of_the_folder_is_refused(both: Both, tmp_path: Path) -> None:
    """Nothing is written to where somebody's link leads."""
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["rm", "-rf", both.there], check=True)
    both.there.symlink_to(other)

    with pytest.raises(ClusterError, match="is a symbolic link"):
        both.sync()

    assert list(other.iterdir()) == []


def test_what_is_remembered_is_added_to(both: Both) -> None:
    """A small change is told by itself; before the additions grow too long all is written anew."""
    for number in range(40):
        both.write(f"many/{number}", "x")
    both.sync()
    memory = both.volume / ".codexctl" / "shop" / "synced"
    before, sizes = memory.read_bytes(), []

    for turn in range(40):
        both.write("many/7", "y" * turn)
        (both.here / "many" / f"{turn}").unlink(missing_ok=True)
        both.sync()
        both.assert_same()
        sizes.append(len(memory.read_bytes()))
        if turn == 0:
            assert memory.read_bytes().startswith(before)

    assert max(sizes) < 2 * len(before)
    assert both.sync().sent == 0


@pytest.fixture
def old(tmp_path: Path) -> Both:
    """Give both sides with the same forty old files."""
    sides = Both(tmp_path)
    for number in range(40):
        sides.write(f"many/{number}", "x")
    age(sides.here)
    sides.sync()
    sides.shell.scripts.clear()
    return sides


def looks_of(both: Both) -> list[str]:
    """Return what the other side knows of how its files look, a line each."""
    return (both.volume / ".codexctl" / "shop" / "stats").read_text().splitlines()


def test_only_what_was_brought_is_looked_at(old: Both) -> None:
    """A look at all files takes longer than all else; what was looked at is not read again."""
    before = looks_of(old)
    for name in ("many/7", "many/new"):
        old.write(name, "changed")
    age(old.here)

    old.sync()

    after = looks_of(old)
    assert after[: len(before)] == before
    assert [line.rpartition(" ")[2] for line in after[len(before) + 1 :]] == [
        "./many/7",
        "./many/new",
    ]
    old.write("many/8", "changed")
    old.sync()
    old.assert_same()
    assert old.shell.scripts == [SURVEY, RECEIVE] * 2


def test_a_file_that_was_read_there_is_looked_at(old: Both) -> None:
    """Touched, with the content that it had: it is read once, not before each sync from now on."""
    time.sleep(1.1)  # what stat tells are whole seconds
    for number in range(10):
        (old.there / "many" / f"{number}").chmod(0o600)
        (old.there / "many" / f"{number}").chmod(0o644)

    for turn in range(2):
        old.write("many/39", f"turn {turn}")
        age(old.here)
        old.sync()

    old.assert_same()
    assert old.shell.scripts == [SURVEY, HASH, RECEIVE, SURVEY, RECEIVE]


def test_all_is_looked_at_when_much_is_new(old: Both) -> None:
    """Before it knows more looks than half as many again as there are files, it forgets them."""
    for turn in range(20):
        for number in range(10):
            old.write(f"many/{number}", f"turn {turn}")
        age(old.here)
        old.sync()
        assert len(looks_of(old)) < 1.5 * 43

    old.assert_same()
    assert old.shell.scripts == [SURVEY, RECEIVE] * 20


def test_a_name_forges_no_look(old: Both) -> None:
    """What follows a line feed in a name is no line: nobody's change is hidden by it."""
    look = "81a4 1 1 1 1 ./many/1"
    old.write(f"x\n{look}", "forged")
    age(old.here)

    old.sync()

    old.assert_same()
    assert look not in looks_of(old)
    assert looks_of(old)[-1].isdigit()


def test_an_edited_memory_is_told(both: Both) -> None:
    """What the last sync left was edited into nonsense: one line says how to mend it."""
    (both.volume / ".codexctl" / "shop" / "synced").write_bytes(b"nonsense\0")

    with pytest.raises(ClusterError, match=r"not understood.*--overwrite"):
        both.sync()


def test_a_missing_tool_is_named(both: Both) -> None:
    """An image without tar is told as such."""
    (both.tools / "sh").symlink_to("/bin/sh")
    both.shell._tools = both.tools  # noqa: SLF001 - the only tools there are
    environ = os.environ["PATH"]
    os.environ["PATH"] = ""
    try:
        with pytest.raises(ClusterError, match="find is missing"):
            both.sync()
    finally:
        os.environ["PATH"] = environ


def test_a_file_that_may_not_be_read_is_named(both: Both) -> None:
    """A file that vanished behind a broken .git is an error of this side."""
    (both.here / ".git").mkdir()

    with pytest.raises(ConfigurationError, match="git ls-files failed"):
        both.sync()


def run_git(folder: Path, *words: str) -> str:
    """Run git, which may clone from folders and commits as somebody; return what it printed."""
    settings = ("protocol.file.allow=always", "user.name=Ann", "user.email=ann@example.com")
    given = [word for each in settings for word in ("-c", each)]
    return subprocess.check_output(["git", *given, *words], cwd=folder, text=True)


def make_checkout(folder: Path) -> None:
    """Make a checkout with one commit."""
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text("content\n")
    run_git(folder, "init", "--quiet", "--initial-branch", "main")
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "--message", f"of {folder.name}")


def test_a_submodule_is_a_checkout_there_as_well(tmp_path: Path) -> None:
    """Its files and its history arrive, nothing is changed, and a second sync sends nothing."""
    both = Both(tmp_path)
    make_checkout(tmp_path / "library")
    make_checkout(both.here)
    run_git(both.here, "submodule", "--quiet", "add", str(tmp_path / "library"), "lib/deep")
    run_git(both.here, "commit", "--quiet", "--message", "with a library")

    done, again = both.sync(), both.sync()

    assert (done.warnings, again.sent, again.work) == ((), 0, ())
    assert run_git(both.there, "status", "--short") == ""
    assert run_git(both.there / "lib" / "deep", "log", "--format=%s") == "of library\n"
    assert run_git(both.there / "lib" / "deep", "status", "--short") == ""
    assert run_git(both.there, "submodule", "status").split()[1] == "lib/deep"


def test_a_worktree_comes_without_its_history(tmp_path: Path) -> None:
    """Its .git leads out of the folder: it stays here, and a warning says so."""
    both = Both(tmp_path)
    make_checkout(tmp_path / "main")
    run_git(tmp_path / "main", "worktree", "add", "--quiet", str(both.here), "-b", "side")
    both.write(".gitignore", "built\n")
    both.write("built", "not sent")

    done = both.sync()

    assert done.warnings == (".: its history is not sent: it is kept outside of this folder",)
    assert sorted(path.name for path in both.there.iterdir()) == [".gitignore", "file"]


def test_a_configuration_is_made_anew_without_credentials(tmp_path: Path) -> None:
    """What describes the repository stays; users, passwords, headers, programs do not."""
    config = tmp_path / "config"
    config.write_text(
        """[core]
  bare = false
  sshCommand = ssh -i /key
[remote "a\\"b"]
  url = https://user:secret@example.com/a?token=secret
  pushurl = ssh://git:secret@example.com/a
  fetch = +refs/heads/*:refs/remotes/a/*
[remote "short"]
  url = git@example.com:a.git
[http]
  extraheader = secret
[credential "https://example.com"]
  helper = !secret
[includeIf "gitdir:/"]
  path = /secret
[alias]
  x = !secret
"""
    )

    made = plain_config(os.fsencode(config), dict(os.environ))

    copy = tmp_path / "copy"
    copy.write_bytes(made)
    listed = subprocess.check_output(["git", "config", "--file", copy, "--list"], text=True)
    assert listed.splitlines() == [
        "core.bare=false",
        'remote.a"b.url=https://example.com/a',
        'remote.a"b.pushurl=ssh://git@example.com/a',
        'remote.a"b.fetch=+refs/heads/*:refs/remotes/a/*',
        "remote.short.url=git@example.com:a.git",
    ]
