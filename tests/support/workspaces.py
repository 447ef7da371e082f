"""The workspace of an agent on this machine in place of a pod."""

from __future__ import annotations

import math
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from codexctl_tasks.agent.work import bundle
from codexctl_tasks.world.execution import Executed
from tests.support.git_server import run_git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from codexctl_tasks.world.cluster import Cluster


@dataclass(frozen=True)
class LocalPlace:
    """Where the workspace is."""

    folder: str
    state: str
    namespace: str = "shop-dev-3"
    pod: str = "agent"
    container: str = ""


class Shell:
    """Runs here what is to be run in a pod."""

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
        done = subprocess.run(command, input=b"".join(stdin), capture_output=True, check=False)
        for start in range(0, len(done.stdout), 2**20):
            take(done.stdout[start : start + 2**20])
        return Executed(done.returncode, done.stderr.decode(errors="replace"))


class Workspace:
    """A clone in which an agent works."""

    def __init__(self, folder: Path, origin: Path, *clone: str) -> None:
        self.folder, self.volume = folder / "shop", folder
        folder.mkdir()
        run_git(folder, "clone", "--quiet", *clone, origin.as_uri(), "shop")
        self.base = self.git("rev-parse", "HEAD")

    def git(self, *words: str, given: bytes = b"") -> str:
        """Run git as the agent would."""
        return run_git(self.folder, *words, given=given)

    def write(self, name: str, content: str | bytes = "made by the agent\n") -> Path:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def commit(self, message: str = "Work") -> str:
        """Commit everything; return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, *entries: tuple[str, str, bytes]) -> str:
        """
        Commit a tree that git itself would not make, on top of the base; return the commit.

        *entries*: mode, name (whatever it is) and content, or the target of a link.
        """
        tree = b""
        for mode, name, content in entries:
            if mode == "160000":
                sha = self.base
            elif mode == "40000":
                sha = content.decode()
            else:
                sha = self.git("hash-object", "-w", "--stdin", given=content)
            tree += f"{mode} ".encode() + name.encode("utf-8", "surrogateescape") + b"\0"
            tree += bytes.fromhex(sha)
        made = self.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", given=tree)
        return self.git("commit-tree", made, "-p", self.base, "-m", "odd")

    def fetch(self, file: Path, **more: Any) -> Path | None:
        """Take the work out, as codexctl does."""
        place = LocalPlace(str(self.folder), str(self.volume / ".codexctl" / "shop"))
        arguments = (place, cast("Cluster", Shell()), self.base, "codex/issue-12", "What was left")
        return bundle.fetch(*arguments, file=file, **more)

    def bundle(self, file: Path, *revisions: str) -> Path:
        """Make a bundle as a pod in the agent's hands might."""
        self.git("bundle", "create", "--quiet", str(file), *revisions)
        return file
