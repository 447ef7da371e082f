"""Programs that the work needs: those that are named, bash for scripts, and what scripts call."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from codexctl_tasks.checks.finding import Finding, State, doubt, ok

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.checks.subject import Subject

_KNOWN = (
    *("aws", "az", "buildah", "crane", "curl", "docker", "doctl", "envsubst", "flux", "gcloud"),
    *("gh", "git", "helm", "jq", "kubectl", "kustomize", "make", "mysql", "node", "npm", "openssl"),
    *("podman", "psql", "python3", "redis-cli", "rsync", "skopeo", "ssh", "terraform", "wget"),
    "yq",
)
"""What hooks of stacks usually call; other words may be functions or files of the team's own."""
_NAME = rf"(?:{'|'.join(map(re.escape, _KNOWN))})(?![\w./-])"
_BEFORE = (
    r"(?:^|[|;&(`]|\{ |\b(?:then|do|else|elif|if|while|until|exec|sudo|env|time|xargs)[ \t])"
    r"[ \t!]*(?:[A-Za-z_]\w*=\S*[ \t]+)*"
)
"""Where a command begins, with variables that are set for it alone."""
_COMMAND = re.compile(_BEFORE + rf"(?P<name>{_NAME})", re.MULTILINE)
_OWN = re.compile(
    rf"(?:\b(?:command[ \t]+-v|type|which|hash)[ \t]+|\bfunction[ \t]+)(?P<asked>{_NAME})"
    rf"|(?P<function>{_NAME})[ \t]*\(\)"
)
"""A script that looks for the program itself, or brings a function of that name."""
_NO_CODE = re.compile(r"(?:^|(?<=\s))#.*$|'[^']*'", re.MULTILINE)
"""Comments, and texts in single quotes."""
BASH_VERSION = 4
"""Of 2009, and the oldest that any Linux still has."""
BASH_TIMEOUT_S = 5.0


def check_programs(subject: Subject) -> Iterator[Finding]:
    """Look for programs on the PATH of the scripts; what these only seem to call is a warning."""
    scripts = subject.scripts
    needed = dict.fromkeys(subject.programs, "named as needed")
    if scripts:
        needed.setdefault("bash", f"it runs {next(iter(scripts))}")
    for name, why in needed.items():
        if path := _find(name, subject):
            yield ok(name, path)
            yield from _old_bash(path, subject) if name == "bash" else ()
        else:
            yield Finding(
                state=State.FAILED,
                where=name,
                what=f"is not on PATH; {why}",
                fix="install it, or correct PATH",
            )
    for name, place in _called(scripts).items():
        if name not in needed and not _find(name, subject):
            yield doubt(name, f"is not on PATH; {place} seems to call it", "install it")
    if not needed:
        yield ok("scripts", "none that would need a program")


def _old_bash(path: str, subject: Subject) -> Iterator[Finding]:
    """Warn of the bash of macOS: arrays with names, `mapfile` and `${x,,}` fail in it."""
    said: list[str] = []
    if subject.run is not None:
        subject.run(
            [path, "-c", "echo ${BASH_VERSINFO[0]}"],
            folder=subject.folder,
            environ={},
            timeout_s=min(BASH_TIMEOUT_S, max(subject.left_s, 0.1)),
            tell=said.append,
        )
    if said and said[0].isdecimal() and int(said[0]) < BASH_VERSION:
        what = f"is version {said[0]}: scripts that were written for {BASH_VERSION} may fail"
        yield doubt("bash", what, "install a newer one, and put it first on PATH")


def called_programs(script: str) -> list[str]:
    """Return which of the usual programs a script calls, unless it looks for them itself."""
    code = _NO_CODE.sub("", script.replace("\\\n", " "))
    own = {found["asked"] or found["function"] for found in _OWN.finditer(code)}
    called = dict.fromkeys(found["name"] for found in _COMMAND.finditer(code))
    return [name for name in called if name not in own]


def _called(scripts: Mapping[str, str]) -> dict[str, str]:
    """Return each program with the first step that calls it."""
    first: dict[str, str] = {}
    for place, script in scripts.items():
        for name in called_programs(script):
            first.setdefault(name, place)
    return first


def _find(name: str, subject: Subject) -> str:
    """Return the path of a program; empty: there is none."""
    wanted = str(subject.folder / name) if "/" in name else name
    return shutil.which(wanted, path=subject.variables.get("PATH")) or ""
