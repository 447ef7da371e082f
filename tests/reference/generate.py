"""
What a stack in the Go template dialect renders to, according to Go itself.

``python3 tests/reference/generate.py`` builds the program beside this file, renders every case
with it and writes the results to ``expected/``. It needs Go 1.24 or newer; nothing else does: the
tests compare with the files. A case without an environment of its own sees no variables at all.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HERE = Path(__file__).resolve().parent
MARKET = HERE.parents[1] / "examples" / "market"
EXPECTED = HERE / "expected"
NOW = "2024-05-06T07:08:09Z"
ROOT_MARK = "<ProjectRoot>"
"""Stands for the folder of a stack, which is somewhere else on every machine."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One stack, rendered once."""

    name: str
    """Of the file in ``expected``."""
    folder: Path
    """Where the ``services.yaml`` is."""
    env: str = "staging"
    slot: int = 0
    namespace: str = ""
    vars: str = ""
    var_file: str = ""
    """Relative to *folder*."""
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """The ``services.yaml``."""
        return self.folder / "services.yaml"

    @property
    def expected(self) -> Path:
        """What Go makes of it: objects, or ``{"error": STAGE}``."""
        return EXPECTED / f"{self.name}.json"


def _market() -> Iterable[Case]:
    def case(name: str, env: str, slot: int = 0, **rest: str) -> Case:
        variables = {"GITHUB_SHA": "0123456789abcdef0123456789abcdef01234567"}
        return Case(
            name=f"market-{name}", folder=MARKET, env=env, slot=slot, environ=variables, **rest
        )

    yield case("dev", "dev")
    yield case("staging", "staging")
    yield case("ai-1", "ai", 1)
    yield case("ai-2", "ai", 2)
    yield case("ai-repair", "ai-repair")
    yield case("staging-release", "staging", vars="MARKET_VERSION=2.4.0, MARKET_REPLICAS=5")
    yield case("staging-other-registry", "staging", vars="MARKET_REGISTRY=registry.example.com/m")
    yield case("ai-1-minimal", "ai", 1, vars="MARKET_MAIL=no,AGENT_MODEL=,DATA_ROOT=/mnt/slots")
    yield case("dev-branch", "dev", vars="GIT_BRANCH=Feature/New_Search,MARKET_LOG_LEVEL=DEBUG")
    yield case("dev-named", "dev", namespace="market-of-somebody")


def _stack(stack: str, variant: str = "", **rest: object) -> Case:
    name = f"{stack}-{variant}" if variant else stack
    return Case(name=name.replace("/", "-"), folder=HERE / "stacks" / stack, **rest)  # type: ignore[arg-type]


def _stacks() -> Iterable[Case]:
    yield from map(_stack, _PLAIN)
    yield _stack("header-swallows-project", "registry", vars="REGISTRY=localhost:5001")
    yield _stack("unquoted-templates", "dear", environ={"STORAGE_CLASS": "1.10"})
    yield _stack("versions-with-templates", "set", vars="APP_VERSION=4.0-rc 1")
    yield _stack("second-rendering", "braces", slot=1, vars="APP_VERSION={{ .Slot }}")
    yield _stack("env-file-wins", environ=_SOURCES)
    yield _stack("env-file-wins", "vars", environ=_SOURCES, vars=_VARS, var_file="vars.env")
    yield _stack("var-file", var_file="values.env")
    yield _stack("var-file", "beaten", var_file="values.env", vars="EQUALS=vars,REPEATED=")
    yield _stack("vars", "odd", vars=" A = 1 ,,B=, C=x=y,D= a  b ,A=last,EMPTY=,")
    yield _stack("namespaces", "built-in-slot", env="ai", slot=3)
    yield _stack("namespaces", "built-in-no-slot", env="ai")
    yield _stack("namespaces", "built-in-repair", env="ai-repair")
    yield _stack("namespaces", "built-in-repair-slot", env="ai-repair", slot=2)
    yield _stack("namespaces", "trimmed", env="trimmed")
    yield _stack("namespaces", "blank", env="blank")
    yield _stack("namespaces", "blank-with-slot", env="blank", slot=1)
    yield _stack("namespaces", "slotted", env="slotted", slot=4)
    yield _stack("namespaces", "slotted-zero", env="slotted")
    yield _stack("namespaces", "versioned", env="versioned")
    yield _stack("namespaces", "flag", env="trimmed", namespace="given")
    yield _stack("namespace-kinds", "none", env="ai")
    yield _stack("image", "sha", environ={"SHA": "fedcba9876543210fedcba98"})
    yield _stack("mounts", "ai", env="ai", slot=2)
    yield _stack("mounts", "dev", env="dev")
    yield _stack("mounts", "elsewhere", env="elsewhere")
    yield _stack("mounts-without-claim", "ai", env="ai", slot=1)
    yield _stack("drop-kinds", "ai", env="ai", slot=1)
    yield _stack("drop-kinds", "dev", env="dev")
    yield _stack("drop-kinds", "dev-slot", env="dev", slot=1)
    yield _stack("drop-kinds", "all", env="all")
    yield _stack("environments", "base", env="base")
    yield _stack("environments", "child", env="child")
    yield _stack("environments", "grandchild", env="grandchild")
    yield _stack("environment-cycle", env="a")
    yield _stack("functions", environ={"SET": "set", "EMPTY": "", "BLANK": " "})
    yield _stack("functions", "ai", env="ai", slot=7, vars="B=2,A=1")
    yield _stack("printing", "ai", env="ai", slot=7, vars="B=2,A=1 %d")
    yield _stack("control", "ai", env="ai", slot=7, vars="B=2,A=1")
    for file in sorted((HERE / "stacks/mistakes/broken").glob("*.yaml")):
        yield _stack("mistakes", file.stem, vars=f"FILE={file.stem}")
    for folder in sorted((HERE / "stacks/mistakes-of-stacks").iterdir()):
        yield _stack(f"mistakes-of-stacks/{folder.name}")
    for name, text in {"no-value": "A", "no-name": "=a", "later": "A=1,,B", "blank": " =a"}.items():
        yield _stack("mistakes-of-variables", name, vars=text)
    yield _stack("mistakes-of-variables", "no-file", var_file="nowhere.env")


_PLAIN = (
    *("anchor-redefined", "anchors", "bom", "control", "crlf", "dotenv", "dotenv-crlf"),
    *("drop-kinds", "empty-documents", "environments", "header-swallows-project"),
    *("header-variants", "image", "keys", "list-in-infrastructure", "metadata-missing"),
    *("mounts", "mounts-without-claim", "multi-line", "namespace-kinds", "namespaces"),
    *("numbers", "numbers-beyond", "numbers-with-zeros", "order", "printing", "scalars"),
    *("second-rendering", "storage-absent", "storage-and-codex", "time", "unknown-keys"),
    *("unquoted-templates", "untouched-text", "vars", "versions-with-templates", "when-values"),
)
"""Stacks that need nothing but an environment."""

_SOURCES = {
    "ONLY_PROCESS": "process",
    "PROCESS_AND_FILE": "process",
    "EMPTY_IN_PROCESS": "",
    "BLANK_IN_PROCESS": " ",
    "EMPTY_IN_FILE": "process",
}
_VARS = "FILE_AND_VARS=vars,VAR_FILE_AND_VARS=vars"

CASES = (*_market(), *_stacks())


def build(go: str, folder: Path) -> Path:
    """Compile the program; raise `subprocess.CalledProcessError` if that fails."""
    program = folder / "reference"
    subprocess.run(
        [go, "build", "-o", program, "."], cwd=HERE, check=True, capture_output=True, text=True
    )
    return program


def render(program: Path, case: Case) -> str:
    """Return what the program makes of a case, as the text of its file."""
    command = [program, "--config", case.config, "--env", case.env, "--slot", str(case.slot)]
    command += ["--namespace", case.namespace, "--vars", case.vars, "--now", NOW]
    command += ["--var-file", case.folder / case.var_file] if case.var_file else []
    done = subprocess.run(
        command, env=dict(case.environ), capture_output=True, text=True, check=False
    )
    if done.returncode:
        # The words are those of one version of Go; the stage says enough.
        return json.dumps({"error": done.stderr.partition(":")[0]}, indent=1) + "\n"
    return done.stdout.replace(str(case.folder), ROOT_MARK)


def main() -> int:
    """Write all files anew."""
    go = shutil.which("go")
    if not go:
        print("generate: go: not on PATH: install Go 1.24 or newer", file=sys.stderr)  # noqa: T201
        return 1
    EXPECTED.mkdir(exist_ok=True)
    stale = set(EXPECTED.glob("*.json")) - {case.expected for case in CASES}
    for file in stale:
        file.unlink()
    with tempfile.TemporaryDirectory() as folder:
        try:
            program = build(go, Path(folder))
        except subprocess.CalledProcessError as error:
            print(f"generate: go build: {error.stderr.strip()}", file=sys.stderr)  # noqa: T201
            return 1
        for case in CASES:
            case.expected.write_text(render(program, case), encoding="utf-8")
    print(f"generate: {len(CASES)} cases in {os.path.relpath(EXPECTED)}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
