"""
Install the codexctl that came with this action, once for each commit and interpreter.

What is installed is kept in the runner's tool cache, so that later jobs on the same machine find
it. Jobs that come at the same time wait for the first; what nobody used for two weeks goes.

An entry of the cache holds installations of one content, each in a folder of its own that is never
changed: one that is broken is replaced by another beside it, so that running jobs keep theirs.

This file has to be understood by the Pythons that it refuses: nothing before the check of the
version, annotations included, is newer than 3.6.
"""

import errno
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
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
COMPLETE = ".complete"
"""Mark of an installation that was made to the end, and started."""
EXIT_CODE = 5
"""Something on this machine failed: as codexctl itself says it."""


class SetupError(Exception):
    """Why codexctl cannot be installed, and how to mend it."""


def main() -> int:
    """Install codexctl unless it is there, and tell the runner where it is."""
    try:
        check_machine()
        os.umask(os.umask(0) | 0o022)  # what others may write to is not trusted, see claim_folder
        source = Path(__file__).resolve().parents[3]
        with claimed_entry(source) as entry:
            # The workspace is as the last job left it: nothing there is to be run, or to be read.
            os.chdir(tempfile.mkdtemp(dir=entry))
            found = find_installation(entry)
            place = found or install(source, entry)
            (entry / ".used").touch()
        forget_unused(entry.parent)
        publish(place, is_there=found is not None)
    except (SetupError, OSError) as error:
        print(f"::error::setup: {describe(error)}", flush=True)
        return EXIT_CODE
    return 0


def describe(error: Exception) -> str:
    """Say in a line what went wrong, and with which file."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


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


def key_of(source: Path, root: Path) -> str:
    """Return a name that differs whenever the files, the interpreter or the place do."""
    # Scripts hold the path they were made for, which a container may see elsewhere.
    digest = hashlib.sha256(f"{sys.version}\n{sys.base_prefix}\n{root}\n".encode())
    digest.update(Path(__file__).read_bytes())
    for name in PARTS:
        part = source / name
        for path in sorted(part.rglob("*")) if part.is_dir() else [part]:
            if path.is_file() and path.suffix != ".pyc":
                content = path.read_bytes()
                digest.update(f"{path.relative_to(source)}\n{len(content)}\n".encode() + content)
    version = f"py{sys.version_info[0]}{sys.version_info[1]}"
    return f"{digest.hexdigest()[:16]}-{version}-{sysconfig.get_platform()}"


def cache_roots() -> "Iterator[Path]":
    """Return the folders for installations, the best one first."""
    named = os.environ.get("CODEXCTL_CACHE_ROOT")
    if named and not Path(named).is_absolute():
        raise SetupError(f"cache-root {named} is no absolute path: a checkout would remove it")
    kept = named or os.environ.get("RUNNER_TOOL_CACHE")
    if kept:
        yield Path(os.path.realpath(kept)) / "codexctl"
    if not named:
        yield Path(tempfile.mkdtemp(prefix="codexctl-", dir=os.environ.get("RUNNER_TEMP") or None))


@contextmanager
def claimed_entry(source: Path) -> "Iterator[Path]":
    """Hold the first entry for this installation that can be used; no other job has it then."""
    for root in cache_roots():
        entry = root / key_of(source, root)
        with ExitStack() as stack:
            try:
                claim_folder(root)
                stack.enter_context(locked(root / f".{entry.name}.lock"))
                claim_folder(entry)
            except OSError as error:
                print(f"::warning::setup: {root} is passed over: {describe(error)}")
            else:
                stack.callback(remove_unfinished, entry)
                yield entry
                return
    raise SetupError("no folder can be used: name one of your own with the input cache-root")


def claim_folder(folder: Path) -> None:
    """Make a folder unless it is there; raise `OSError` unless we, and only we, can write to it."""
    folder.mkdir(parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise OSError(errno.EPERM, "it belongs to another user", str(folder))
    if status.st_mode & 0o022:
        raise OSError(errno.EPERM, "others may write to it", str(folder))
    tempfile.TemporaryFile(dir=folder).close()


@contextmanager
def locked(path: Path, *, waits: bool = True) -> "Iterator[None]":
    """Hold a lock; without *waits* raise `OSError` if somebody else does."""
    import fcntl  # not on Windows

    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waits:
                    raise
                print("setup: another job installs codexctl, waiting for it", flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
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


def remove_unfinished(entry: Path) -> None:
    """Remove what is no complete installation; nobody has it as long as the entry is claimed."""
    for folder in entry.iterdir():
        if folder.is_dir() and not (folder / COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)


def find_installation(entry: Path) -> "Path | None":
    """Return an installation that is complete, and starts."""
    for mark in entry.glob(f"*/{COMPLETE}"):
        with suppress(OSError):  # its interpreter is gone
            if execute(str(command_of(mark.parent)), "--version", output=subprocess.DEVNULL) == 0:
                return mark.parent
        print(f"setup: {mark.parent} is broken, another one takes its place")
    return None


def command_of(place: Path) -> Path:
    """Return the command of an installation, alone in a folder that goes on PATH."""
    return place / "path" / "codexctl"


def install(source: Path, entry: Path) -> Path:
    """Make an installation; its mark is written last, so that a half one is never used."""
    place, copy = (Path(tempfile.mkdtemp(dir=entry)) for _ in range(2))
    python = str(place / "bin" / "python")
    uv = shutil.which("uv")
    if uv:
        run(uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(place))
        pip = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    else:
        pip = [*venv_with_pip(place, python), "install", "--quiet", "--disable-pip-version-check"]
    for name in PARTS:  # a build writes beside the sources
        copy_part(source / name, copy / name)
    locks = [word for name in PARTS if name.endswith(".txt") for word in ("-r", copy / name)]
    hint = "; can this runner reach its package index?"
    run(*pip, "--require-hashes", *map(str, locks), hint=hint)
    run(*pip, "--no-deps", "--no-build-isolation", str(copy), hint=hint)
    # Only the command itself goes on PATH: the caller's python stays the caller's.
    command_of(place).parent.mkdir()
    command_of(place).symlink_to(Path("..", "bin", "codexctl"))
    run(str(command_of(place)), "--version")
    (place / COMPLETE).touch()
    return place


def venv_with_pip(place: Path, python: str) -> "list[str]":
    """Make a virtual environment and return the pip that installs into it."""
    has_venv, has_ensurepip, has_pip = (
        importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip", "pip")
    )
    if has_venv and has_ensurepip:
        run(sys.executable, "-I", "-m", "venv", str(place))
        return [python, "-I", "-m", "pip"]
    if has_venv and has_pip:
        run(sys.executable, "-I", "-m", "venv", "--without-pip", str(place))
        return [sys.executable, "-I", "-m", "pip", "--python", python]
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


def run(*command: str, hint: str = "") -> None:
    """Run a program; raise `SetupError` if it fails, after it has said why."""
    exit_code = execute(*command)
    if exit_code:
        program = " ".join(Path(word).name for word in command[:4])
        raise SetupError(
            f"{program} ended with exit code {exit_code}: what it said is in the log above{hint}"
        )


def execute(*command: str, output: "int | None" = None) -> int:
    """Run a program without the job's settings of Python; return its exit code."""
    theirs = ("PYTHON", "VIRTUAL_ENV")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    shown = sys.stderr if output is None else output
    done = subprocess.run(command, env=environ, stdout=shown, stderr=shown, check=False)
    return done.returncode


def forget_unused(root: Path) -> None:
    """Remove installations that no job has used for long; what resists stays."""
    for lock in root.glob(".*.lock"):
        entry = root / lock.name[1 : -len(".lock")]
        with suppress(OSError):
            if last_use_s(entry, lock) < time.time() - KEPT_S:
                with locked(lock, waits=False):
                    if last_use_s(entry, lock) < time.time() - KEPT_S:
                        for mark in entry.glob(f"*/{COMPLETE}"):
                            mark.unlink()
                        shutil.rmtree(entry, ignore_errors=True)
                        lock.unlink()


def last_use_s(entry: Path, lock: Path) -> float:
    """Return when an entry was used, in seconds since the epoch."""
    used = entry / ".used"
    return (used if used.exists() else lock).stat().st_mtime


def publish(place: Path, *, is_there: bool) -> None:
    """Put the command on PATH of later steps, and set the outputs of this one."""
    folder = command_of(place).parent
    state = "found" if is_there else "installed"
    print(f"setup: codexctl {state} in {place}")
    append("GITHUB_PATH", f"{folder}\n")
    hit = "true" if is_there else "false"
    append("GITHUB_OUTPUT", f"bin={folder}\nkey={place.parent.name}\ncache-hit={hit}\n")


def append(variable: str, text: str) -> None:
    """Append to one of the runner's files; outside of a runner there is none."""
    path = os.environ.get(variable)
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    sys.exit(main())
