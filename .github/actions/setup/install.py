"""
Install the codexctl that came with this action, once for each commit and interpreter.

What is installed is kept in the runner's tool cache, so that later jobs on the same machine find
it. Jobs that come at the same time wait for the first; what nobody used for two weeks goes.

This file has to be understood by the Pythons that it refuses: nothing before the check of the
version, annotations included, is newer than 3.6.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST_PYTHON = (3, 11)
KEPT_S = 14 * 24 * 3600
"""No job runs that long: what was used longer ago is used no more."""
PARTS = (
    *("pyproject.toml", "README.md", "requirements.txt", "requirements-build.txt"),
    "codexctl_tasks",
)
"""All that is needed to install codexctl."""
EXIT_CODE = 5
"""Something on this machine failed: as codexctl itself says it."""


class SetupError(Exception):
    """Why codexctl cannot be installed, and how to mend it."""


def main() -> int:
    """Install codexctl unless it is there, and tell the runner where it is."""
    try:
        check_machine()
        source = Path(__file__).resolve().parents[3]
        key = key_of(source)
        root = cache_root()
        with locked(root / f".{key}.lock"):
            is_there = works(root / key)
            if not is_there:
                install(source, root / key)
            (root / key / ".used").touch()
    except SetupError as error:
        print(f"::error::setup: {error}", flush=True)
        return EXIT_CODE
    forget_unused(root)
    publish(root / key, is_there)
    return 0


def check_machine() -> None:
    """Refuse a system or an interpreter that cannot do, before anything is made with it."""
    if sys.platform == "win32":
        raise SetupError("codexctl does not run on Windows: use a runner with Linux")
    if tuple(sys.version_info[:2]) < OLDEST_PYTHON:
        version = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(
            f"{sys.executable} is Python {version}, codexctl needs 3.11 or newer: install "
            "python3.11 or newer beside it on this runner, or let uv do it: uv python install 3.13"
        )


def key_of(source: Path) -> str:
    """Return a name that differs whenever the files or the interpreter do."""
    digest = hashlib.sha256(f"{sys.version}\n{sys.base_prefix}\n".encode())
    for name in PARTS:
        part = source / name
        for path in sorted(part.rglob("*")) if part.is_dir() else [part]:
            if path.is_file() and path.suffix != ".pyc":
                content = path.read_bytes()
                digest.update(f"{path.relative_to(source)}\n{len(content)}\n".encode() + content)
    version = f"py{sys.version_info[0]}{sys.version_info[1]}"
    return f"{digest.hexdigest()[:16]}-{version}-{sysconfig.get_platform()}"


def cache_root() -> Path:
    """Return the first folder for installations that can be written to."""
    named = os.environ.get("CODEXCTL_CACHE_ROOT")
    places = [os.environ.get("RUNNER_TOOL_CACHE"), os.environ.get("RUNNER_TEMP")]
    for place in [named] if named else [*places, tempfile.gettempdir()]:
        if not place:
            continue
        root = Path(place) / "codexctl"
        try:
            root.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=root).close()
        except OSError as error:
            print(f"setup: {root} cannot be written to ({error.strerror})")
        else:
            return root
    raise SetupError("no folder can be written to: name one with the input cache-root")


@contextmanager
def locked(path: Path, *, waits: bool = True) -> "Iterator[None]":
    """Hold a lock; without *waits* raise `OSError` if somebody else does."""
    import fcntl  # not on Windows

    while True:
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
            if not is_at(path, file.fileno()):  # the clean-up of another job removed it meanwhile
                continue
            yield
            return


def is_at(path: Path, descriptor: int) -> bool:
    """Tell whether an open file is still the one that a path leads to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def works(place: Path) -> bool:
    """Tell whether an installation is complete, and starts."""
    if not (place / ".complete").exists():
        return False
    try:
        done = subprocess.run(
            [str(place / "path" / "codexctl"), "--version"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:  # its interpreter is gone
        return False
    return done.returncode == 0


def install(source: Path, place: Path) -> None:
    """Make an installation; its mark is written last, so that a half one is never used."""
    shutil.rmtree(str(place), ignore_errors=True)
    python = str(place / "bin" / "python")
    uv = shutil.which("uv")
    if uv:
        run(uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(place))
        pip = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    else:
        pip = [*venv_with_pip(place, python), "install", "--quiet", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as folder:  # a build writes beside the sources
        copy = Path(folder)
        for name in PARTS:
            copy_part(source / name, copy / name)
        locks = [word for name in PARTS if name.endswith(".txt") for word in ("-r", copy / name)]
        run(*pip, "--require-hashes", *map(str, locks))
        run(*pip, "--no-deps", "--no-build-isolation", str(copy))
    # Only the command itself goes on PATH: the caller's python stays the caller's.
    (place / "path").mkdir()
    (place / "path" / "codexctl").symlink_to(Path("..", "bin", "codexctl"))
    (place / ".complete").touch()


def venv_with_pip(place: Path, python: str) -> "list[str]":
    """Make a virtual environment and return the pip that installs into it."""
    has_venv, has_ensurepip, has_pip = (
        importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip", "pip")
    )
    if has_venv and has_ensurepip:
        run(sys.executable, "-m", "venv", str(place))
        return [python, "-m", "pip"]
    if has_venv and has_pip:
        run(sys.executable, "-m", "venv", "--without-pip", str(place))
        return [sys.executable, "-m", "pip", "--python", python]
    raise SetupError(
        f"{sys.executable} can make no virtual environment: "
        "install the package python3-venv, or uv, on this runner"
    )


def copy_part(source: Path, target: Path) -> None:
    """Copy a file or a folder."""
    if source.is_dir():
        shutil.copytree(str(source), str(target), ignore=shutil.ignore_patterns("*.pyc"))
    elif source.exists():
        shutil.copyfile(str(source), str(target))


def run(*command: str) -> None:
    """Run a program; raise `SetupError` if it fails, after it has said why."""
    theirs = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environ = {name: value for name, value in os.environ.items() if name not in theirs}
    done = subprocess.run(command, env=environ, stdout=sys.stderr, check=False)
    if done.returncode:
        program = " ".join(Path(word).name for word in command[:3])
        raise SetupError(
            f"{program} ended with exit code {done.returncode}: what it said is in the log above; "
            "can this runner reach its package index?"
        )


def forget_unused(root: Path) -> None:
    """Remove installations that no job has used for long; what resists stays."""
    for lock in root.glob(".*.lock"):
        place = root / lock.name[1 : -len(".lock")]
        with suppress(OSError):
            if last_use_s(place, lock) < time.time() - KEPT_S:
                with locked(lock, waits=False):
                    if last_use_s(place, lock) < time.time() - KEPT_S:
                        (place / ".complete").unlink(missing_ok=True)
                        shutil.rmtree(str(place), ignore_errors=True)
                        lock.unlink()


def last_use_s(place: Path, lock: Path) -> float:
    """Return when an installation was used, in seconds since the epoch."""
    used = place / ".used"
    return (used if used.exists() else lock).stat().st_mtime


def publish(place: Path, is_there: bool) -> None:
    """Put the command on PATH of later steps, and set the outputs of this one."""
    folder = place / "path"
    state = "found" if is_there else "installed"
    print(f"setup: codexctl {state} in {place}")
    append("GITHUB_PATH", f"{folder}\n")
    hit = "true" if is_there else "false"
    append("GITHUB_OUTPUT", f"bin={folder}\nkey={place.name}\ncache-hit={hit}\n")


def append(variable: str, text: str) -> None:
    """Append to one of the runner's files; outside of a runner there is none."""
    path = os.environ.get(variable)
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    sys.exit(main())
