"""Sandboxes of their own for the tests: beside the developer's, sharing what is built."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import prerequisites
from sandbox.addresses import CHOICES, Addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Snapshot = dict[str, list[str]]
"""What could be left behind, in lines, by its kind."""

ROOT = Path(__file__).resolve().parents[2]
# Where the components keep things when they are not told otherwise.
_USUAL_FOLDERS = ["/etc", "/opt", "/run", "/usr/libexec", "/var/lib", "/var/log", "/var/run/netns"]
_USUAL_FILES = ["/tmp/hostpath_pv", "/run/xtables.lock", "/etc/cni/net.d", "/opt/containerd"]  # noqa: S108 - only looked at
_SETTINGS = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"]


class Sandbox:
    """A sandbox under test, used through its command line as a person would."""

    def __init__(self, states: Path, name: str) -> None:
        self.environment = os.environ | {
            "CODEXCTL_SANDBOX_STATE": str(states),
            "CODEXCTL_SANDBOX_CHECKOUT": f"/checkouts/{name}-{uuid.uuid4().hex[:8]}",
        }
        self.environment.pop("SANDBOX", None)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and return at once."""
        return subprocess.Popen(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def try_run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def run(self, *arguments: str) -> str:
        """Run a command that must succeed; return what it prints."""
        done = self.try_run(*arguments)
        assert done.returncode == 0, f"{' '.join(arguments)}:\n{done.stderr}"
        return done.stdout

    def status(self) -> dict[str, dict[str, Any]]:
        """Return the components by name."""
        shown = self.try_run("status", "--json").stdout
        return {component["name"]: component for component in json.loads(shown)}

    def variables(self) -> dict[str, str]:
        """Return what ``env`` tells a shell to export."""
        lines = [shlex.split(line) for line in self.run("env").splitlines()]
        return dict(word.split("=", 1) for _, word in lines)

    @property
    def state(self) -> Path:
        """Return the state folder."""
        return Path(self.variables()["KUBECONFIG"]).parent

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl against the sandbox; return what it prints."""
        variables = self.variables()
        done = subprocess.run(
            [variables["SANDBOX_KUBECTL"], *arguments],
            check=False,
            env=self.environment | variables,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def make_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Sandbox]]:
    """Make sandboxes that are ended and wiped after the module's tests."""
    problems = prerequisites.find_problems(prerequisites.examine())
    if problems:
        pytest.skip("; ".join(map(str, problems)))
    states = tmp_path_factory.mktemp("states")
    made: list[Sandbox] = []

    def make(name: str) -> Sandbox:
        made.append(Sandbox(states, name))
        return made[-1]

    yield make
    for sandbox in made:
        sandbox.run("down", "--wipe")


@pytest.fixture(scope="module")
def running(make_sandbox: Callable[[str], Sandbox]) -> Sandbox:
    """Return a full sandbox shared by the tests of a module, each of which leaves it running."""
    sandbox = make_sandbox("running")
    sandbox.run("up")
    return sandbox


@pytest.fixture
def snapshot() -> Callable[[], Snapshot]:
    """Return a function that describes what could be left behind on the machine."""
    return _snapshot


@pytest.fixture
def without_others() -> Callable[[Snapshot, Addresses], Snapshot]:
    """Return a function that takes out of a snapshot what belongs to other sandboxes than one."""
    return _without_others


@pytest.fixture
def processes_in() -> Callable[[str], list[str]]:
    """Return a function that lists the processes in a process namespace."""
    return _processes_in


def _snapshot() -> Snapshot:
    """Describe the machine; equal snapshots mean that nothing was left behind."""
    return {
        "mounts": Path("/proc/self/mounts").read_text().splitlines(),
        "links": _list("/sys/class/net"),
        "routes": _run("ip", "route", "show", "table", "all"),
        "firewall": _run("iptables-save", "-t", "filter") + _run("iptables-save", "-t", "nat"),
        "settings": [f"{name} {(Path('/proc/sys') / name).read_text()}" for name in _SETTINGS],
        "cgroups": _list_cgroups(),
        "ports": _list_ports(),
        "files": [f"{folder}/{name}" for folder in _USUAL_FOLDERS for name in _list(folder)]
        + [file for file in _USUAL_FILES if Path(file).exists()],
    }


def _without_others(found: Snapshot, own: Addresses) -> Snapshot:
    """Other tests start and end sandboxes meanwhile, each with a number in all of its names."""
    others = [Addresses(number) for number in range(CHOICES) if number != own.number]
    names = [n for o in others for n in (o.link, o.cgroup, f"port {o.registry_port}")]
    theirs = re.compile(rf"\b({'|'.join(names)})\b")  # a route names the link that it leads to
    return {part: [e for e in entries if not theirs.search(e)] for part, entries in found.items()}


def _processes_in(namespace: str) -> list[str]:
    """Return the processes in a process namespace (``pid:[4026531836]``)."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str((entry / "ns/pid").readlink()) == namespace:
                dead = (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
                found += [] if dead else [(entry / "cmdline").read_text()]
        except OSError:
            continue
    return found


def _run(*command: str) -> list[str]:
    if not shutil.which(command[0]):
        return []
    lines = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    return [line for line in lines.splitlines() if not line.startswith("#")]


def _list(folder: str) -> list[str]:
    path = Path(folder)
    return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []


def _list_cgroups() -> list[str]:
    roots = Path("/sys/fs/cgroup")
    return sorted(
        str(path) for depth in ("*", "*/*") for path in roots.glob(depth) if path.is_dir()
    )


def _list_ports() -> list[str]:
    """List ports that somebody chose; those the kernel hands out belong to other tests."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = "0A"
    handed_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    chosen = sorted(int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == listening)
    return [f"port {port}" for port in chosen if port < handed_out]
