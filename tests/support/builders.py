"""What tests of builders need: a registry, orders, programs that only seem to be builders."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.images.backend import BuildOrder
from codexctl_tasks.images.backends.workshop import Workshop
from codexctl_tasks.references import parse_reference
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.process import Ended, run_program
from sandbox import prerequisites
from tests.support.shell import QUICK_S, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from codexctl_tasks.images.backend import Backend

PACKAGES = {"buildah": "buildah", "busybox-static": "busybox"}
"""Debian's packages, each with a program that it brings."""


def install_builders() -> None:
    """Install what is missing, if we may."""
    missing = [package for package, program in PACKAGES.items() if not shutil.which(program)]
    if missing and os.geteuid() != 0:
        pytest.skip(f"missing packages: {' '.join(missing)}; only root can install them")
    if missing:
        prerequisites.install(*missing)


@dataclass
class Project:
    """A folder with something to build."""

    folder: Path
    host: str
    """Of the registry to which is pushed."""
    said: list[str] = field(default_factory=list)
    """What builders have told."""

    def write(self, path: str, text: str) -> Path:
        """Write a file below the folder."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def order(self, dockerfile: str, **more: Any) -> BuildOrder:
        """Return the order to build this Dockerfile, with the folder as its context."""
        return BuildOrder(
            **{
                "name": "app",
                "dockerfile": self.write("Dockerfile", dockerfile),
                "context": self.folder,
                "target": parse_reference(f"{self.host}/app:1"),
                **more,
            }
        )

    def build(
        self,
        backend: Backend,
        order: BuildOrder,
        *,
        tell: Callable[[str], None] = lambda _: None,
        timeout_s: float = QUICK_S,
    ) -> str:
        """Let a builder work; return the digest."""

        def listen(line: str) -> None:
            self.said.append(line)
            tell(line)

        deadline_s = SystemClock().now() + timeout_s
        return backend.build(order, tell=listen, deadline_s=deadline_s)


def workshop(run: Any = run_program, plain_http: Sequence[str] = (), **environ: str) -> Workshop:
    """Return a machine with these variables alone, and its real clock."""
    return Workshop(run=run, clock=SystemClock(), environ=environ, plain_http=frozenset(plain_http))


@dataclass
class FakeRun:
    """Answers in place of programs; what is asked for is matched by a part of the command."""

    answers: Mapping[str, tuple[int, str] | Ended | OSError] = field(default_factory=dict)
    """Exit code and output by a part of the command; a command without one succeeds in silence."""
    asked: list[str] = field(default_factory=list)
    """All commands."""
    timeouts_s: list[float] = field(default_factory=list)

    def __call__(
        self, command: Sequence[str], *, tell: Callable[[str], None], timeout_s: float, **_: Any
    ) -> Ended:
        """See `run_program`."""
        text = " ".join(command)
        self.asked.append(text)
        self.timeouts_s.append(timeout_s)
        answer = next((each for part, each in self.answers.items() if part in text), (0, ""))
        if isinstance(answer, OSError):
            raise answer
        if isinstance(answer, Ended):
            return answer
        for line in answer[1].splitlines():
            tell(line)
        return Ended(answer[0])


def put_programs(folder: Path, *names: str) -> str:
    """Make programs that do nothing; return the PATH on which they, and nothing else, are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/false\n")
        (folder / name).chmod(0o755)
    return str(folder)


@dataclass
class StandIns:
    """Programs that take the place of builders: they note what they get, and push an image."""

    folder: Path

    def put(self, *names: str, **answers: str) -> str:
        """Make programs; return the PATH on which they are, before everything else."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "answers.json").write_text(json.dumps(answers))
        for name in names:
            script = self.folder / name
            script.write_text(
                f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
                f"from tests.support.stand_in import act\nsys.exit(act({str(self.folder)!r}))\n"
            )
            script.chmod(0o755)
        return f"{self.folder}:{os.environ['PATH']}"

    def forget(self) -> None:
        """Forget all calls until now."""
        (self.folder / "calls.jsonl").unlink()

    @property
    def calls(self) -> list[tuple[list[str], dict[str, str]]]:
        """Program and arguments of each call, with its environment, in their order."""
        notes = (self.folder / "calls.jsonl").read_text().splitlines()
        return [(call["argv"], call["environ"]) for call in map(json.loads, notes)]

    def call(self, *words: str) -> tuple[list[str], dict[str, str]]:
        """Return the only call in which all these words are arguments."""
        found = [call for call in self.calls if set(words) <= set(call[0])]
        assert len(found) == 1, [argv for argv, _ in self.calls]
        return found[0]
