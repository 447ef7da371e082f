"""
Workflows without GitHub: act runs a caller's workflow against the files of this checkout.

Nothing is fetched: the caller's ``uses:`` of this repository and the actions that it uses lead to
folders. act knows no ``$/``, no ``concurrency``, ``permissions`` and ``environment``, and nobody
starts runs by ``types:`` or ``branches:``: docs/workflows/staging-deploy.md says what is untested.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.shell import BIN, ROOT, SLOW_S

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "org/codexctl"
STAND_INS = {
    "actions/checkout": ROOT / "tests/workflows/checkout",
    "actions/upload-artifact": ROOT / "tests/workflows/artifacts/upload",
    "actions/download-artifact": ROOT / "tests/workflows/artifacts/download",
}
"""Folders that do what these do, by what callers and our workflows use."""
EXPORTED = ("pyproject.toml", "README.md", "requirements.txt", "requirements-build.txt")
USES = re.compile(r"""^(\s*(?:-\s+)?uses:\s*["']?)([^\s"'#]+)""", re.MULTILINE)
SELF = re.compile(r"(uses: )\$/(\S+)")
LABELS = ("ubuntu-latest", "self-hosted")
"""Jobs of one of these run on this machine; act leaves out any other, and calls that a success."""
UNKNOWN = re.compile(r"^cache-mode:.*\n", re.MULTILINE)
"""What GitHub takes, and act does not."""
PUSH = {"ref": "refs/heads/main", "head_commit": {"message": "Change the page"}}
_INHERITED = re.compile(
    r"PIP_|UV_|SSL_CERT|REQUESTS_CA|CURL_CA|HTTPS?_PROXY|NO_PROXY", re.IGNORECASE
)
"""What package clients need on this machine; nothing else of the developer's reaches a step."""


@dataclass(frozen=True)
class Run:
    """A run that has ended."""

    exit_code: int
    records: list[dict[str, Any]] = field(repr=False)
    log: str

    @property
    def lines(self) -> list[str]:
        """What the steps wrote."""
        return [str(r["msg"]).rstrip("\n") for r in self.records if r.get("raw_output")]

    @property
    def tail(self) -> str:
        """The last of that, for who has to find out why a test failed."""
        return "\n".join(self.lines[-50:])

    @property
    def steps(self) -> dict[str, str]:
        """The result of each step that ran, by its name."""
        return {str(r["step"]): r["stepResult"] for r in self.records if r.get("stepResult")}

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of all steps."""
        found = (r for r in self.records if r.get("command") == "set-output")
        return {str(r["name"]): str(r["arg"]) for r in found}

    @property
    def errors(self) -> list[tuple[str, dict[str, str]]]:
        """The error annotations: text, and file and line."""
        found = (r for r in self.records if r.get("command") == "error")
        return [(str(r["arg"]), r.get("kvPairs") or {}) for r in found]

    @property
    def summary(self) -> str:
        """The job summary."""
        return "".join(str(r["content"]) for r in self.records if r.get("command") == "summary")


class Forge:
    """Repositories in a folder, ours among them, and a runner."""

    def __init__(self, folder: Path, cache: Path) -> None:
        """
        Export what is in this checkout.

        Args:
            folder: For everything of this forge.
            cache: The runner's tool cache, which may be shared.
        """
        self.folder = folder
        self.repositories = folder / "repositories"
        for each in (folder / "home", folder / "cache/act"):
            each.mkdir(parents=True)
        (folder / "cache/act/tool_cache").symlink_to(cache)  # act has it there, and nowhere else
        self._export(self.repositories / OURS)

    def add_caller(self, name: str, source: Path, files: dict[str, str] | None = None) -> Path:
        """Add a repository with the files of a folder and further ones, by path."""
        place = self.repositories / name
        shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__", "pins.json"))
        for path, text in (files or {}).items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(text)
        for workflow in place.glob(".github/workflows/*.yml"):
            workflow.write_text(UNKNOWN.sub("", workflow.read_text()))
        self._commit(place, name)
        return place

    def command(
        self,
        workflow: str,
        event: str,
        payload: dict[str, Any] | None,
        *,
        secrets: dict[str, str],
        variables: dict[str, str],
        env: dict[str, str],
        actor: str = "somebody",
        shows_secrets: bool = False,
    ) -> list[str]:
        """Return the command that runs a workflow of a caller; *actor*: whoever started it."""
        event_file = self.folder / "event.json"
        event_file.write_text(json.dumps(payload or PUSH))
        artifacts = str(self.folder / "artifacts")
        env = {"CHECKOUT_ROOT": str(self.repositories), "ARTIFACT_ROOT": artifacts, **env}
        files = {"secret": secrets, "env": env, "var": variables, "input": {}}
        flags = ["--insecure-secrets"] if shows_secrets else []
        for kind, values in files.items():
            path = self.folder / f"{kind}.env"
            lines = (f"{k}={json.dumps(v)}\n" for k, v in values.items())
            path.write_text("".join(lines).replace("$", r"\$"))  # else act puts variables there
            path.chmod(0o600)
            flags += [f"--{kind}-file", str(path)]
        for label in LABELS:
            flags += ["--platform", f"{label}=-self-hosted"]
        for reference, place in self._stand_ins().items():
            flags += ["--local-repository", f"{reference}={place}"]
        return [
            *(str(BIN / "act"), event, "--json", "--rm", "--no-cache-server"),
            *("--workflows", f".github/workflows/{workflow}", "--eventpath", str(event_file)),
            *("--defaultbranch", "main", "--actor", actor, *flags),
        ]

    @contextmanager
    def started(self, caller: Path, command: list[str]) -> Iterator[subprocess.Popen[str]]:
        """Start a run, and end it if the block does not."""
        with subprocess.Popen(
            command,
            cwd=caller,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise

    def run(
        self,
        caller: Path,
        workflow: str,
        event: str = "push",
        payload: dict[str, Any] | None = None,
        *,
        secrets: dict[str, str] | None = None,
        variables: dict[str, str] | None = None,
        env: dict[str, str] | None = None,
    ) -> Run:
        """Run a workflow of a caller to its end."""
        command = self.command(
            *(workflow, event, payload),
            secrets=secrets or {},
            variables=variables or {},
            env=env or {},
        )
        with self.started(caller, command) as process:
            log, _ = process.communicate(timeout=SLOW_S * 2)
        return ended_run(process.returncode, log)

    def _export(self, place: Path) -> None:
        """Copy what users of our workflows get, and write ``$/`` so that act can follow it."""
        place.mkdir(parents=True)
        for name in EXPORTED:
            shutil.copy(ROOT / name, place)
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("codexctl_tasks", ".github"):
            shutil.copytree(ROOT / name, place / name, ignore=ignored)
        for path in place.glob(".github/**/*.yml"):
            path.write_text(SELF.sub(rf"\1{OURS}/\2@main", path.read_text()))
        self._commit(place, OURS)

    def _stand_ins(self) -> dict[str, Path]:
        """Return the folder for each ``owner/name@ref`` that any workflow or action uses."""
        found: dict[str, Path] = {}
        for path in self.repositories.glob("*/*/.github/**/*.yml"):
            for _, use in USES.findall(path.read_text()):
                name, _, ref = use.partition("@")
                repository = "/".join(name.split("/")[:2])
                if repository == OURS:
                    found[f"{OURS}@{ref}"] = self.repositories / OURS
                elif repository in STAND_INS:
                    found[f"{repository}@{ref}"] = STAND_INS[repository]
                elif not use.startswith("./"):
                    raise LookupError(f"{path}: nothing stands in for {use}")
        return found

    def _environment(self) -> dict[str, str]:
        inherited = {name: v for name, v in os.environ.items() if _INHERITED.match(name)}
        return {
            **inherited,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "DOCKER_HOST": "unix:///nonexistent",
        }

    def _commit(self, place: Path, name: str) -> None:
        author = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
        for arguments in (
            ("init", "--quiet", "--initial-branch", "main"),
            ("remote", "add", "origin", f"https://github.com/{name}.git"),
            ("add", "--all"),
            (*author, "commit", "--quiet", "--message", "Everything"),
        ):
            subprocess.run(["git", "-C", place, *arguments], check=True, env=self._environment())


def ended_run(exit_code: int, log: str) -> Run:
    """Read what act wrote."""
    records = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return Run(exit_code, records, log)
