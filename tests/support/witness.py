"""Which secrets show up where: in processes while they run, in files, in objects of a cluster."""

from __future__ import annotations

import base64
import os
import re
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PAUSE_S = 0.01
_LARGE_BYTES = 64 * 1024 * 1024


def forms(secret: str) -> set[bytes]:
    """Return what a secret looks like: its lines, and in base64 wherever in a text it stands."""
    found = {line.encode() for line in secret.splitlines()}
    for before in range(3):
        whole = base64.b64encode(b"x" * before + secret.encode())
        found.add(whole[4 if before else 0 : len(whole) - 4])
    return found


def secrets_in(content: bytes, secrets: Mapping[str, str]) -> set[str]:
    """Return the names of the secrets that are in a text."""
    return {name for name, each in secrets.items() if any(form in content for form in forms(each))}


def files_with(secrets: Mapping[str, str], folders: Iterable[Path], since_s: float) -> list[str]:
    """Return the files, written since a moment, that hold any of the secrets."""
    return [
        f"{path}: {', '.join(found)}"
        for path in _files(folders)
        if (found := secrets_in(_content(path, since_s), secrets))
    ]


class Witness:
    """Looks at all processes of this machine again and again, while it is entered."""

    def __init__(self, secrets: Mapping[str, str], programs: Mapping[str, str]) -> None:
        """
        Prepare.

        Args:
            secrets: By names under which they are told.
            programs: Regular expressions for command lines, by names; the first that fits counts.
        """
        self._secrets = {name: forms(each) for name, each in secrets.items()}
        self._programs = {name: re.compile(each) for name, each in programs.items()}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.seen: set[str] = set()
        """Programs that ran."""
        self.in_arguments: dict[str, set[str]] = defaultdict(set)
        """The secrets in the command line of each program."""
        self.in_environment: dict[str, set[str]] = defaultdict(set)
        """The secrets in the environment of each program."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(_PAUSE_S):
            for process in Path("/proc").glob("[0-9]*"):
                if process.name == str(os.getpid()):
                    continue
                environment, arguments = _read(process / "environ"), _read(process / "cmdline")
                # It may have become another program meanwhile: then another look counts.
                if environment == _read(process / "environ"):
                    self._note(arguments, environment)

    def _note(self, arguments: bytes, environment: bytes) -> None:
        line = arguments.replace(b"\0", b" ").decode("utf-8", "replace").strip()
        fitting = (name for name, pattern in self._programs.items() if pattern.search(line))
        program = next(fitting, line[:200])
        self.seen.add(program)
        for name, looks in self._secrets.items():
            if any(look in arguments for look in looks):
                self.in_arguments[program].add(name)
            if any(look in environment for look in looks):
                self.in_environment[program].add(name)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended
        return b""


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        for place, _, names in os.walk(folder):
            yield from (Path(place, name) for name in names)


def _content(path: Path, since_s: float) -> bytes:
    try:
        facts = path.lstat()
        is_wanted = facts.st_mtime >= since_s and facts.st_size < _LARGE_BYTES
        return path.read_bytes() if is_wanted and path.is_file() else b""
    except OSError:  # somebody else's, gone meanwhile
        return b""
