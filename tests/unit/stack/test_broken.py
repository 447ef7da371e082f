"""
Broken configurations, one in each file of ``broken/``, and what a user reads about them.

Such a file begins with a sentence about the mistake; parts follow, each behind ``-- NAME --``:

- ``expect``: all the lines of the error, for a user who stands in the folder of ``services.yaml``;
- ``flags`` (absent: ``--env staging``) and ``environment``, a line ``NAME=VALUE`` each;
- every other name is a file. ``NAME crlf`` gets the line ends of Windows, ``NAME bom`` a byte-order
  mark, ``NAME escaped`` is written with escapes as in Python's bytes, ``NAME 11 MiB`` is filled
  with comments up to that size, and ``NAME -> PATH`` is a symbolic link.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from codexctl_tasks.console import Console
from codexctl_tasks.errors import CodexctlError, ConfigurationError
from codexctl_tasks.flows.environment import load_applicable
from codexctl_tasks.settings import deploy_request

CASES = sorted(Path(__file__).with_name("broken").iterdir())
_PART = re.compile(r"^-- (.+) --\n", re.MULTILINE)
_MIB = 1024 * 1024


class Broken(NamedTuple):
    """One broken configuration."""

    mistake: str
    expected: str
    flags: dict[str, Any]
    environment: dict[str, str]
    files: dict[str, str]


def _read(case: Path) -> Broken:
    mistake, *parts = _PART.split(case.read_text(encoding="utf-8"))
    files = dict(zip(parts[::2], parts[1::2], strict=True))
    return Broken(
        mistake=mistake.strip(),
        expected=files.pop("expect").strip(),
        flags=_flags(files.pop("flags", "--env staging")),
        environment=dict(
            line.split("=", 1) for line in files.pop("environment", "").splitlines() if line
        ),
        files=files,
    )


def _flags(text: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for word in text.split():
        if word.startswith("--"):
            name = word.removeprefix("--").replace("-", "_")
            given[name] = True
        else:
            given[name] = [word] if name == "manifests" else word
    return given


def _write(folder: Path, title: str, text: str) -> None:
    name, _, target = title.partition(" -> ")
    name, *options = name.split()
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if target:
        file.symlink_to(target)
        return
    content = text.encode()
    if options == ["crlf"]:
        content = content.replace(b"\n", b"\r\n")
    elif options == ["bom"]:
        content = b"\xef\xbb\xbf" + content
    elif options == ["escaped"]:
        content = text.encode("latin-1").decode("unicode_escape").encode("latin-1")
    elif options:
        content += b"# filling\n" * (int(options[0]) * _MIB // 10)
    file.write_bytes(content)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_error_says_what_is_wrong_where_and_how_to_mend_it(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mistake is one line with the right file and line, all of a run at once."""
    broken = _read(case)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, value in broken.environment.items():
        monkeypatch.setenv(name, value)
    for title, text in broken.files.items():
        _write(folder, title, text)

    with pytest.raises(CodexctlError) as caught:
        load_applicable(deploy_request(**broken.flags).source, Console(io.StringIO()))

    assert str(caught.value).splitlines() == broken.expected.splitlines()
    assert caught.value.exit_code == ConfigurationError.exit_code


def test_every_kind_of_mistake_is_here() -> None:
    """The files are found, each says what is wrong, and no two say the same."""
    mistakes = [_read(case).mistake for case in CASES]

    assert all(mistakes)
    assert len(set(mistakes)) == len(mistakes) >= 70
