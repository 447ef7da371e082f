"""The work of an agent, out of its workspace and into a repository of ours, by real git."""

from __future__ import annotations

import io
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.agent.work.bundle import WorkError
from codexctl_tasks.agent.work.pack import BadBundleError, Bounds
from codexctl_tasks.agent.work.policy import Policy, judge
from codexctl_tasks.agent.work.verification import Work, verify_work
from codexctl_tasks.flows.agent.carrying import BlockedError, Carrier
from codexctl_tasks.world.repository import GitError, RejectedError, Remote, Repository, Said
from tests.agent.conftest import NAME
from tests.support.fakes import FakeClock, FakeCluster, fake_outside
from tests.support.git_server import git_server, run_git
from tests.support.workspaces import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.git_server import GitServer

MEGABYTE = 10**6


class Desk:
    """Our side: a repository of our own, and the server."""

    def __init__(self, folder: Path, forge: GitServer) -> None:
        self.folder, self.forge = folder, forge
        self.remote = Remote(f"{forge.url}/{NAME}.git", "secret-token")
        self.repository = self.fresh()

    def fresh(self) -> Repository:
        """Make another repository."""
        place = self.folder / f"desk-{len(list(self.folder.iterdir()))}"
        place.mkdir()
        self.repository = Repository(place, os.environ)
        return self.repository

    def verify(self, file: Path, base: str, **more: int) -> Work:
        """Look at a bundle."""
        bounds = Bounds(**more)
        arguments = (file, base, self.repository, self.remote)
        return verify_work(*arguments, largest_text=5 * MEGABYTE, bounds=bounds)

    def refused(self, file: Path, base: str, **more: int) -> str:
        """Look at a bundle that is refused; return why."""
        with pytest.raises(BadBundleError) as caught:
            self.verify(file, base, **more)
        return str(caught.value)


@pytest.fixture
def desk(tmp_path: Path, forge: GitServer) -> Desk:
    folder = tmp_path / "desks"
    folder.mkdir()
    return Desk(folder, forge)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "work.bundle"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """Give a file that whatever must not run would make."""
    return tmp_path / "canary"


def test_commits_and_what_was_left(workspace: Workspace, desk: Desk, file: Path) -> None:
    """Both arrive; the workspace is as it was, and nothing of ours is left there."""
    first = workspace.write("src/app.py", "print('better')\n") and workspace.commit()
    workspace.write("src/new.py")
    workspace.write("logo.png", b"\x89PNG\0\0")
    workspace.write("run.sh").chmod(0o755)
    (workspace.folder / "README.md").unlink()

    assert workspace.fetch(file) == file
    work = desk.verify(file, workspace.base)

    assert (work.base, work.commits, work.files) == (workspace.base, 2, 5)
    assert desk.repository.ask("rev-parse", f"{work.commit}^").decode().strip() == first
    told = desk.repository.ask("log", "-1", "--format=%s|%an|%ae", work.commit).decode().strip()
    assert told == "What was left|codexctl agent|codexctl-agent@users.noreply.github.com"
    final = {change.path: change for change in work.changes if change.is_final}
    assert {path: change.new_mode for path, change in final.items()} == {
        b"README.md": 0,
        b"logo.png": 0o100644,
        b"run.sh": 0o100755,
        b"src/app.py": 0o100644,
        b"src/new.py": 0o100644,
    }
    assert [path for path, change in final.items() if change.is_binary] == [b"logo.png"]
    assert final[b"logo.png"].size == 6
    assert workspace.git("rev-parse", "HEAD") == first
    assert workspace.git("status", "--porcelain").count("\n") == 3
    assert list((workspace.volume / ".codexctl").iterdir()) == []


def test_no_work(workspace: Workspace, file: Path) -> None:
    """There is no file then, nor one of an earlier time."""
    file.write_text("old")
    assert workspace.fetch(file) is None
    assert not file.exists()


def test_ignored_files_stay(workspace: Workspace, desk: Desk, file: Path) -> None:
    """Also what codexctl keeps on the volume, where the workspace is all of it."""
    workspace.write(".gitignore", "build/\n")
    workspace.write("build/app")
    workspace.write(".codexctl/state")
    workspace.fetch(file)
    work = desk.verify(file, workspace.base)
    assert [change.path for change in work.changes] == [b".gitignore"]


def test_a_shallow_checkout(tmp_path: Path, forge: GitServer, desk: Desk, file: Path) -> None:
    """Runners fetch one commit alone."""
    workspace = Workspace(tmp_path / "shallow", forge.root / f"{NAME}.git", "--depth=1")
    workspace.write("src/new.py")
    workspace.fetch(file)
    assert desk.verify(file, workspace.base).files == 1


def test_a_merge_of_older_work(workspace: Workspace, desk: Desk, file: Path) -> None:
    """What the base descends from is fetched as well if the agent has built on it."""
    workspace.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    workspace.write("side.txt")
    workspace.commit()
    workspace.git("checkout", "--quiet", "main")
    workspace.git("merge", "--quiet", "--no-edit", "side")
    workspace.fetch(file)
    work = desk.verify(file, workspace.base)
    assert (work.commits, work.files) == (2, 1)


def test_a_file_that_only_passed_by(workspace: Workspace, desk: Desk, file: Path) -> None:
    """What one commit adds and the next removes is seen: it stays in the history."""
    workspace.write(".github/workflows/evil.yml", "on: push\n")
    workspace.commit()
    (workspace.folder / ".github/workflows/evil.yml").unlink()
    workspace.write("fine.txt")
    workspace.commit()
    workspace.fetch(file)
    work = desk.verify(file, workspace.base)
    assert work.files == 1
    [why] = judge(work.changes, Policy()).blocked
    assert why == ".github/workflows/evil.yml: the policy blocks .github/"


def test_a_merge_with_conflicts(workspace: Workspace, file: Path) -> None:
    """Nobody gets the marks of conflicts as work."""
    workspace.git("checkout", "--quiet", "-b", "side")
    workspace.write("README.md", "one\n")
    workspace.commit()
    workspace.git("checkout", "--quiet", "main")
    workspace.write("README.md", "two\n")
    workspace.commit()
    blobs = [workspace.git("rev-parse", f"{ref}:README.md") for ref in ("HEAD~1", "main", "side")]
    lines = "".join(f"100644 {blob} {at}\tREADME.md\n" for at, blob in enumerate(blobs, 1))
    workspace.git(
        "update-index", "--index-info", given=f"0 {'0' * 40}\tREADME.md\n{lines}".encode()
    )
    with pytest.raises(WorkError, match="a merge with conflicts"):
        workspace.fetch(file)


def test_a_base_that_is_gone(workspace: Workspace, file: Path) -> None:
    """An agent that made the repository anew has no work that could be published."""
    (workspace.folder / ".git").rename(workspace.volume / "old")
    workspace.git("init", "--quiet")
    workspace.commit()
    with pytest.raises(WorkError, match="is gone, where the agent began"):
        workspace.fetch(file)


def test_work_that_is_too_large(workspace: Workspace, file: Path) -> None:
    """The stream is ended; no half of it is left."""
    workspace.write("large.bin", os.urandom(300_000))
    with pytest.raises(WorkError, match="too large"):
        workspace.fetch(file, most_bytes=100_000)
    assert [each.name for each in file.parent.iterdir() if "bundle" in each.name] == []


def test_settings_of_the_agent_are_not_run(
    workspace: Workspace, desk: Desk, file: Path, canary: Path
) -> None:
    """Neither hooks nor programs of its configuration run while its work is taken and looked at."""
    evil = f"touch {canary}"
    hooks = workspace.folder / ".git" / "hooks"
    for name in ("pre-commit", "post-index-change", "reference-transaction", "post-commit"):
        (hooks / name).write_text(f"#!/bin/sh\n{evil}\n")
        (hooks / name).chmod(0o755)
    included = workspace.volume / "included"
    included.write_text(f'[core]\n\tfsmonitor = "{evil}; false"\n')
    (workspace.folder / ".git" / "config").write_text(
        f"""[core]
\trepositoryformatversion = 0
\tfsmonitor = "{evil}; false"
\tpager = "{evil}"
\teditor = "{evil}"
\tsshCommand = "{evil}"
\tattributesFile = {workspace.volume}/attributes
[filter "evil"]
\tclean = "{evil}; cat"
\tsmudge = "{evil}; cat"
\tprocess = "{evil}"
\trequired = true
[diff "evil"]
\ttextconv = "{evil}; cat"
\tcommand = "{evil}"
[credential]
\thelper = "!{evil}"
[url "ext::sh -c {evil} "]
\tinsteadOf = http://
[includeIf "gitdir:**"]
\tpath = {included}
[include]
\tpath = {included}
[uploadpack]
\tpackObjectsHook = "{evil}"
"""
    )
    workspace.write(".gitattributes", "* filter=evil diff=evil\n")
    workspace.write("fine.txt")

    assert workspace.fetch(file)
    work = desk.verify(file, workspace.base)

    assert not canary.exists()
    assert {change.path for change in work.changes} == {b".gitattributes", b"fine.txt"}


def test_settings_of_the_runner_are_not_used(
    workspace: Workspace, desk: Desk, file: Path, canary: Path, tmp_path: Path
) -> None:
    """Whatever the home of this machine says: git here has an empty one."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[url "ext::touch {canary} "]\n\tinsteadOf = http://\n[core]\n\tfsmonitor = "{canary}"\n'
        f'[credential]\n\thelper = "!touch {canary}"\n'
    )
    workspace.write("fine.txt")
    workspace.fetch(file)
    place = tmp_path / "place"
    place.mkdir()
    desk.repository = Repository(place, {**os.environ, "HOME": str(home), "GIT_DIR": "/nowhere"})

    work = desk.verify(file, workspace.base)
    desk.repository.push(desk.remote, work.commit, "codex/issue-12")

    assert desk.forge.tip(NAME, "codex/issue-12") == work.commit
    assert not canary.exists()


def test_bundles_that_are_none(workspace: Workspace, desk: Desk, file: Path) -> None:
    """Damaged, cut, empty, or something else: told in words."""
    workspace.write("new.txt", os.urandom(50_000).hex())
    workspace.fetch(file)
    whole = file.read_bytes()
    header = whole.index(b"\n\n") + 2
    cases = {
        whole[:100]: "it is no bundle, or was cut",
        whole[: len(whole) // 2]: "it is damaged, or was cut",
        whole[:-1]: "it is damaged, or was cut",
        whole + b"more": "it is damaged, or was cut",
        whole[: header + 30] + b"\xff" * 40 + whole[header + 70 :]: "it is damaged, or was cut",
        whole[:-1] + bytes([whole[-1] ^ 1]): "git does not take its objects",
        b"": "it is no bundle",
        b"hello\n\n": "it is no bundle",
        whole[:header]: "it holds no pack",
        whole.replace(b"# v2 git bundle\n", b"# v3 git bundle\n@filter=blob:none\n"): "its header",
        whole.replace(b"refs/heads/", b"refs/tags/"): "instead of one branch",
    }
    for data, said in cases.items():
        file.write_bytes(data)
        desk.fresh()
        assert said in desk.refused(file, workspace.base), data[:80]


def test_two_branches(workspace: Workspace, desk: Desk, file: Path) -> None:
    """Nothing comes along with the work."""
    workspace.write("new.txt")
    workspace.commit()
    workspace.git("branch", "second")
    workspace.bundle(file, "main", "second", f"^{workspace.base}")
    assert "refs/heads/main, refs/heads/second instead of one" in desk.refused(file, workspace.base)


def test_work_that_does_not_descend(workspace: Workspace, desk: Desk, file: Path) -> None:
    """A history made anew would undo what others did."""
    workspace.git("checkout", "--quiet", "--orphan", "fresh")
    workspace.commit()
    workspace.bundle(file, "fresh")
    assert "does not descend" in desk.refused(file, workspace.base)

    workspace.git("checkout", "--quiet", "-b", "older", "main~1")
    workspace.write("new.txt")
    workspace.commit()
    workspace.bundle(file, "older", "^main~1")
    desk.fresh()
    assert "does not descend" in desk.refused(file, workspace.base)


def test_a_bundle_that_leaves_objects_out(workspace: Workspace, desk: Desk, file: Path) -> None:
    """A branch with holes never reaches the server."""
    workspace.write("new.txt", "one")
    middle = workspace.commit()
    workspace.write("new.txt", "two")
    workspace.commit()
    workspace.bundle(file, "main", f"^{middle}")
    data = file.read_bytes().replace(middle.encode(), workspace.base.encode())
    file.write_bytes(data)
    assert "git does not take its objects" in desk.refused(file, workspace.base)


@pytest.mark.parametrize(
    ("mode", "name", "content"),
    [
        ("40000", ".git", b""),
        ("100644", ".GIT", b"x"),
        ("100644", "git~1", b"x"),
        ("100644", ".g\u200cit", b"x"),
        ("100644", ".git.", b"x"),
        ("100644", ".git::$INDEX_ALLOCATION", b"x"),
        ("100644", "..", b"x"),
        ("100644", "a/../../b", b"x"),
        ("120000", ".gitmodules", b"elsewhere"),
        ("120000", "link", b"/etc/passwd"),
        ("160000", "module", b""),
        ("100644", ".GitHub", b"x"),
        ("100644", "AGENTS.md\u202e", b"x"),
        ("100644", "name\udcff", b"x"),
        ("100644", "back\\slash", b"x"),
    ],
)
def test_odd_trees(  # noqa: PLR0917 - fixtures and cases
    workspace: Workspace, desk: Desk, file: Path, mode: str, name: str, content: bytes
) -> None:
    """Names and kinds that do harm on a checkout are refused, by git or by us."""
    inner = workspace.git("mktree", given=b"")
    commit = workspace.commit_tree((mode, name, inner.encode() if mode == "40000" else content))
    workspace.git("update-ref", "refs/heads/odd", commit)
    workspace.bundle(file, "odd", f"^{workspace.base}")
    try:
        work = desk.verify(file, workspace.base)
    except BadBundleError as error:
        assert "git does not take its objects" in str(error)  # noqa: PT017 - either is fine
        return
    assert [why for why in judge(work.changes, Policy()).blocked if "README" not in why]


def test_a_file_of_200_megabytes(workspace: Workspace, desk: Desk, file: Path) -> None:
    """It is named with its size; nobody has to guess which one it was."""
    with workspace.write("huge.img").open("wb") as opened:
        opened.truncate(200 * MEGABYTE)
    workspace.fetch(file)
    assert file.stat().st_size < MEGABYTE
    blocked = judge(desk.verify(file, workspace.base).changes, Policy()).blocked
    assert "huge.img: 200,000,000 bytes, more than 5,000,000" in blocked


def test_bombs(workspace: Workspace, desk: Desk, file: Path) -> None:
    """Small files that become large ones are found out before git unpacks them."""
    workspace.write("zeros", bytes(3 * MEGABYTE))
    workspace.fetch(file)
    size = f"an object of {3 * MEGABYTE:,} bytes, more than {MEGABYTE:,}"
    assert size in desk.refused(file, workspace.base, object_bytes=MEGABYTE)
    assert "unpacked it is more" in desk.refused(file, workspace.base, total_bytes=MEGABYTE)
    assert "objects, more than 2" in desk.refused(file, workspace.base, objects=2)


@pytest.mark.parametrize("levels", [7, 12, 400])
def test_a_bomb_of_folders(workspace: Workspace, desk: Desk, file: Path, levels: int) -> None:
    """Some hundred bytes of folders that hold one another are no billion of files to look at."""
    inner = workspace.git("hash-object", "-w", "--stdin", given=b"boom")
    kind = "100644 blob"
    for _ in range(levels):
        lines = "".join(f"{kind} {inner}\t{name}\n" for name in range(10))
        inner, kind = workspace.git("mktree", given=lines.encode()), "040000 tree"
    commit = workspace.git("commit-tree", inner, "-p", workspace.base, "-m", "boom")
    workspace.git("update-ref", "refs/heads/boom", commit)
    workspace.bundle(file, "boom", f"^{workspace.base}")
    assert file.stat().st_size < 100 * levels + 1000
    assert "more files than can be looked at" in desk.refused(file, workspace.base)


def test_a_bomb_in_a_commit_that_is_taken_back(
    workspace: Workspace, desk: Desk, file: Path
) -> None:
    """It is refused as well: each commit is looked at."""
    inner = workspace.git("hash-object", "-w", "--stdin", given=b"boom")
    kind = "100644 blob"
    for _ in range(8):
        lines = "".join(f"{kind} {inner}\t{name}\n" for name in range(10))
        inner, kind = workspace.git("mktree", given=lines.encode()), "040000 tree"
    boom = workspace.git("commit-tree", inner, "-p", workspace.base, "-m", "boom")
    tree = workspace.git("rev-parse", f"{workspace.base}^{{tree}}")
    commit = workspace.git("commit-tree", tree, "-p", boom, "-m", "back")
    workspace.git("update-ref", "refs/heads/boom", commit)
    workspace.bundle(file, "boom", f"^{workspace.base}")
    assert "more files than can be looked at" in desk.refused(file, workspace.base)


def test_folders_without_an_end(workspace: Workspace, desk: Desk, file: Path) -> None:
    """A path that no system takes is not followed."""
    inner = workspace.git("mktree", given=b"")
    for _ in range(40):
        inner = workspace.git("mktree", given=f"040000 tree {inner}\t{'x' * 200}\n".encode())
    commit = workspace.git("commit-tree", inner, "-p", workspace.base, "-m", "deep")
    workspace.git("update-ref", "refs/heads/deep", commit)
    workspace.bundle(file, "deep", f"^{workspace.base}")
    assert "a path of more than 4,096 bytes" in desk.refused(file, workspace.base)


def test_a_file_that_becomes_a_folder(workspace: Workspace, desk: Desk, file: Path) -> None:
    """And the other way round: both sides are told, as git tells them."""
    (workspace.folder / "README.md").unlink()
    workspace.write("README.md/part.md")
    (workspace.folder / "src/app.py").unlink()
    (workspace.folder / "src").rmdir()
    workspace.write("src")
    workspace.fetch(file)
    work = desk.verify(file, workspace.base)
    found = [(each.path, each.old_mode, each.new_mode) for each in work.changes]
    assert found == [
        (b"README.md", 0o100644, 0),
        (b"README.md/part.md", 0, 0o100644),
        (b"src", 0, 0o100644),
        (b"src/app.py", 0o100644, 0),
    ]


class _Slow(Repository):
    """Its git never gets ready with objects of strangers."""

    unpacked = 0

    def run(self, *words: str, **more: Any) -> Said:
        if words[0] != "index-pack":
            return super().run(*words, **more)
        self.unpacked += 1
        return super().run("version", timeout_s=0)


def test_a_bundle_that_takes_git_too_long(
    workspace: Workspace, desk: Desk, file: Path, tmp_path: Path
) -> None:
    """It blocks, and is not tried again: the next time would be as long."""
    workspace.write("new.txt")
    workspace.fetch(file)
    place = tmp_path / "slow"
    place.mkdir()
    repository = _Slow(place, os.environ)
    stream = io.StringIO()
    outside = fake_outside(FakeCluster(), FakeClock(), stream)
    carrier = Carrier(repository, desk.remote, outside.clock, outside.console)
    with pytest.raises(BlockedError, match="git version: took longer than 0 s"):
        carrier.verify(file, workspace.base, MEGABYTE)
    assert (repository.unpacked, stream.getvalue()) == (1, "")


def test_a_bomb_of_deltas(workspace: Workspace, desk: Desk, file: Path) -> None:
    """A delta of some bytes that copies one piece a thousand times counts as what it makes."""
    blob = bytes(0x10000)
    copies = b"\x80" * 2000  # each copies the first 64 KiB
    delta = _number(len(blob)) + _number(len(blob) * 2000) + copies
    entries = [_entry(3, blob), _entry(6, delta, _offset(len(_entry(3, blob))))]
    pack = b"PACK" + struct.pack(">II", 2, len(entries)) + b"".join(entries) + bytes(20)
    workspace.git("branch", "any")
    header = f"# v2 git bundle\n-{workspace.base} base\n{workspace.base} refs/heads/any\n\n"
    file.write_bytes(header.encode() + pack)
    said = desk.refused(file, workspace.base, object_bytes=100 * MEGABYTE)
    assert f"an object of {len(blob) * 2000:,} bytes" in said


def test_an_object_that_lies_about_its_size(workspace: Workspace, desk: Desk, file: Path) -> None:
    """Nothing is inflated beyond what it claims."""
    entry = _entry(3, b"x" * 10)[:1] + zlib.compress(bytes(50 * MEGABYTE))
    pack = b"PACK" + struct.pack(">II", 2, 1) + entry + bytes(20)
    header = f"# v2 git bundle\n-{workspace.base} base\n{workspace.base} refs/heads/any\n\n"
    file.write_bytes(header.encode() + pack)
    assert "larger than it claims" in desk.refused(file, workspace.base)


def test_pushing(workspace: Workspace, desk: Desk, forge: GitServer, file: Path) -> None:
    """The branch arrives; the token is in no argument, address or file."""
    workspace.write("new.txt")
    workspace.fetch(file)
    work = desk.verify(file, workspace.base)
    assert desk.repository.tip(desk.remote, "codex/issue-12") == ""
    desk.repository.push(desk.remote, work.commit, "codex/issue-12")
    assert desk.repository.tip(desk.remote, "codex/issue-12") == work.commit
    assert forge.branches(NAME) == ["codex/issue-12", "main"]
    for path in desk.folder.rglob("*"):
        assert not path.is_file() or b"secret-token" not in path.read_bytes()
    assert "secret-token" not in repr(desk.remote)


def _moved(workspace: Workspace, forge: GitServer) -> str:
    """Let somebody else push to the branch."""
    bare = forge.root / f"{NAME}.git"
    tree = run_git(bare, "rev-parse", f"{workspace.base}^{{tree}}")
    other = run_git(bare, "commit-tree", tree, "-p", workspace.base, "-m", "other")
    run_git(bare, "update-ref", "refs/heads/codex/issue-12", other)
    return other


def _protected(_: Workspace, forge: GitServer) -> str:
    forge.protect(NAME, "codex/*")
    return ""


@pytest.mark.parametrize(
    ("change", "said"), [(_moved, "fetch first"), (_protected, "is protected")]
)
def test_pushes_that_are_rejected(
    workspace: Workspace,
    desk: Desk,
    file: Path,
    change: Callable[[Workspace, GitServer], str],
    said: str,
) -> None:
    """Nothing is forced: what others pushed stays."""
    workspace.write("new.txt")
    workspace.fetch(file)
    work = desk.verify(file, workspace.base)
    before = change(workspace, desk.forge)
    with pytest.raises(RejectedError, match=said):
        desk.repository.push(desk.remote, work.commit, "codex/issue-12")
    assert desk.forge.tip(NAME, "codex/issue-12") == before


@pytest.mark.parametrize("token", ["wrong-token", "read-token", ""])
def test_tokens_that_may_not_push(
    workspace: Workspace, desk: Desk, forge: GitServer, token: str
) -> None:
    """The line says what the token needs; the token is not in it."""
    forge.tokens["read-token"] = False
    remote = Remote(desk.remote.url, token)
    desk.repository.fetch(desk.remote, workspace.base, whole=True)
    with pytest.raises(GitError) as caught:
        desk.repository.push(remote, workspace.base, "codex/issue-12")
    assert "the token needs the permission contents: write" in str(caught.value)
    assert not token or token not in str(caught.value)


def _number(value: int) -> bytes:
    """Return a number as deltas have it."""
    said = bytearray()
    while value > 0x7F:
        said.append(0x80 | value & 0x7F)
        value >>= 7
    return bytes([*said, value])


def _offset(value: int) -> bytes:
    """Return how far before a delta its base is, as packs have it."""
    said = [value & 0x7F]
    while value := value >> 7:
        value -= 1
        said.append(0x80 | value & 0x7F)
    return bytes(reversed(said))


def _entry(kind: int, content: bytes, before: bytes = b"") -> bytes:
    """Return an object as packs have it."""
    size = len(content)
    head = bytearray([kind << 4 | size & 15])
    size >>= 4
    while size:
        head[-1] |= 0x80
        head.append(size & 0x7F)
        size >>= 7
    return bytes(head) + before + zlib.compress(content)


def test_a_repository_of_longer_hashes(tmp_path: Path, file: Path) -> None:
    """SHA-256 works as well, from the workspace to the server."""
    with git_server(tmp_path / "longer") as running:
        bare = running.create(NAME, "--object-format=sha256")
        developer = tmp_path / "developer-256"
        run_git(tmp_path, "init", "--quiet", "--object-format=sha256", str(developer))
        run_git(developer, "commit", "--quiet", "--allow-empty", "--message", "first")
        run_git(developer, "push", "--quiet", str(bare), "HEAD:main")
        workspace = Workspace(tmp_path / "volume-256", bare)
        workspace.write("new.txt")
        workspace.fetch(file)
        place = tmp_path / "place"
        place.mkdir()
        repository = Repository(place, os.environ, object_format="sha256")
        remote = Remote(f"{running.url}/{NAME}.git", "secret-token")
        work = verify_work(file, workspace.base, repository, remote, largest_text=MEGABYTE)
        repository.push(remote, work.commit, "codex/issue-12")
        assert running.tip(NAME, "codex/issue-12") == work.commit
        assert len(work.commit) == 64


@pytest.mark.parametrize(
    "url", ["http://example.com/x.git", "ssh://x/y", "/etc", "https://a:hunter2@x.example/y"]
)
def test_addresses_that_are_not_used(desk: Desk, url: str) -> None:
    """The token goes over HTTPS alone; an address that holds a password is not printed."""
    with pytest.raises(GitError, match="write https://HOST") as caught:
        desk.repository.tip(Remote(url, "secret-token"), "main")
    assert "hunter2" not in str(caught.value)


def test_no_git(tmp_path: Path) -> None:
    """One line says what is missing."""
    with pytest.raises(GitError, match="install git"):
        Repository(tmp_path, {"PATH": str(tmp_path)})
