"""The setup action, run as the runner runs it: its step in bash, on machines with and without."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.shell import BIN, ROOT, SLOW_S, clean_environment

ACTION = ROOT / ".github/actions/setup"
PYTHON = Path(sys.base_prefix, "bin", "python3")
LACKING = """#!{bash}
shift
exec {python} -I -c '
import runpy, sys
{change}
if sys.argv[1] == "-c":
    exec(sys.argv[2])
else:
    runpy.run_path(sys.argv[1], run_name="__main__")
' "$@"
"""
"""A Python that lacks something, as far as the action can see."""
PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["codexctl_tasks"]
"""
BACKEND = """
from pathlib import Path
from zipfile import ZipFile

CONTENT = {
    "METADATA": "Metadata-Version: 2.1\\nName: codexctl-tasks\\nVersion: 1\\n",
    "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "entry_points.txt": "[console_scripts]\\ncodexctl = codexctl_tasks.__main__:main\\n",
}

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "codexctl_tasks-1-py3-none-any.whl"
    with ZipFile(Path(folder, name), "w") as wheel:
        for path in Path("codexctl_tasks").glob("*.py"):
            wheel.write(path)
        for part, text in CONTENT.items():
            wheel.writestr(f"codexctl_tasks-1.dist-info/{part}", text)
        record = "".join(f"{each},,\\n" for each in wheel.namelist())
        wheel.writestr("codexctl_tasks-1.dist-info/RECORD", record)
    return name
"""
"""Packs a codexctl of two files in no time; the real one is packed in a test of its own."""
MAIN = "def main() -> None:\n    print('codexctl in its first version')\n"


@dataclass
class Runner:
    """A machine with a tool cache, and the action in a folder as the runner downloads it."""

    folder: Path

    def __post_init__(self) -> None:
        self.source, self.bin = self.folder / "action", self.folder / "bin"
        self.tool_cache, self.temp = self.folder / "tool-cache", self.folder / "temp"
        self.workspace = self.folder / "workspace"
        for each in (self.bin, self.temp, self.workspace, self.source / "codexctl_tasks"):
            each.mkdir(parents=True)
        shutil.copytree(ACTION, self.source / ".github/actions/setup")
        for name in ("README.md", "requirements.txt", "requirements-build.txt"):
            (self.source / name).touch()
        (self.source / "pyproject.toml").write_text(PYPROJECT)
        (self.source / "codexctl_tasks/__init__.py").touch()
        (self.source / "codexctl_tasks/backend.py").write_text(BACKEND)
        (self.source / "codexctl_tasks/__main__.py").write_text(MAIN)
        self.offer("bash", Path(shutil.which("bash") or "/bin/bash"))
        self.offer("python3", PYTHON)
        self.offer("uv", BIN / "uv")

    def offer(self, name: str, program: Path) -> None:
        """Put a program on PATH; nothing else is there."""
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).symlink_to(program)

    def lack_uv(self) -> None:
        """Make it a machine without uv, as most are."""
        (self.bin / "uv").unlink()

    def offer_python_with(self, change: str) -> None:
        """Put a python3 on PATH in which something is different."""
        (self.bin / "python3").unlink()
        script = LACKING.format(bash=shutil.which("bash"), python=PYTHON, change=change)
        (self.bin / "python3").write_text(script)
        (self.bin / "python3").chmod(0o755)

    def start(self, job: str = "job", **env: str) -> subprocess.Popen[str]:
        """Start the step of the action."""
        step = yaml.safe_load((ACTION / "action.yml").read_text())["runs"]["steps"][0]
        files = {"GITHUB_OUTPUT": f"{job}.outputs", "GITHUB_PATH": f"{job}.path"}
        action = self.source / ".github/actions/setup"
        return subprocess.Popen(
            [self.bin / "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            env=clean_environment(
                **{
                    **{name: str(self.folder / file) for name, file in files.items()},
                    "PATH": str(self.bin),
                    "GITHUB_ACTION_PATH": str(action),
                    "RUNNER_TOOL_CACHE": str(self.tool_cache),
                    "RUNNER_TEMP": str(self.temp),
                    "UV_PYTHON_INSTALL_DIR": str(self.folder / "uv-pythons"),
                    "CODEXCTL_PYTHON": "",
                    "CODEXCTL_CACHE_ROOT": "",
                    **env,
                },
            ),
            cwd=self.workspace,
            umask=0o002,  # as on machines where each user has a group
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, job: str = "job", **env: str) -> tuple[int, str]:
        """Run the step of the action; returns its exit code and its log."""
        with self.start(job, **env) as process:
            log, _ = process.communicate(timeout=SLOW_S)
            return process.returncode, log

    def outputs(self, job: str = "job") -> dict[str, str]:
        """Return the outputs of the last run of a job."""
        lines = (self.folder / f"{job}.outputs").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def installed(self, job: str = "job") -> Path:
        """Return the folder of the installation that a job was given."""
        return Path(self.outputs(job)["bin"]).parent

    def codexctl(self, job: str = "job", *flags: str) -> str:
        """Run the command that later steps of the job find on PATH."""
        folder = (self.folder / f"{job}.path").read_text().splitlines()[-1]
        command = [f"{folder}/codexctl", *flags]
        env = clean_environment()
        return subprocess.check_output(command, text=True, cwd=self.workspace, env=env)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_the_first_run_installs_and_the_next_finds_it(runner: Runner) -> None:
    """Only the first job on a machine waits for the installation."""
    assert [runner.run(job)[0] for job in ("first", "second")] == [0, 0]
    hits = [runner.outputs(job)["cache-hit"] for job in ("first", "second")]
    assert hits == ["false", "true"]
    assert runner.codexctl("second") == "codexctl in its first version\n"


def test_what_is_installed_is_codexctl_with_its_pinned_packages(runner: Runner) -> None:
    """Later steps can type codexctl; the packages are those whose hashes are in the lock."""
    shutil.rmtree(runner.source / "codexctl_tasks")
    shutil.copytree(ROOT / "codexctl_tasks", runner.source / "codexctl_tasks")
    for name in ("pyproject.toml", "README.md", "requirements.txt", "requirements-build.txt"):
        shutil.copy(ROOT / name, runner.source)
    code, log = runner.run()
    assert code == 0, log
    assert "apply-wait" in runner.codexctl("job", "--list")
    shutil.rmtree(runner.source)  # as the runner does at the end of a job
    assert "apply-wait" in runner.codexctl("job", "--list")


def test_only_the_command_is_put_on_path(runner: Runner) -> None:
    """The python and pip of the caller's own steps stay what they were."""
    assert runner.run()[0] == 0
    assert [p.name for p in Path(runner.outputs()["bin"]).iterdir()] == ["codexctl"]


def test_files_of_the_caller_shadow_nothing(runner: Runner) -> None:
    """A repository with a file yaml.py or a folder codexctl_tasks of its own can be deployed."""
    assert runner.run()[0] == 0
    (runner.workspace / "codexctl_tasks.py").write_text("raise SystemExit('the wrong one')\n")
    assert runner.codexctl() == "codexctl in its first version\n"


@pytest.mark.parametrize("has_uv", [True, False], ids=["uv", "no-uv"])
def test_what_the_last_job_left_is_not_run(runner: Runner, has_uv: bool) -> None:
    """Until the checkout, a self-hosted runner's workspace is that of another job.

    Without uv, a Python with its venv is all that is needed.
    """
    if not has_uv:
        runner.lack_uv()
    for name in ("sitecustomize", "logging", "venv", "ensurepip", "pip"):
        (runner.workspace / f"{name}.py").write_text("raise SystemExit('the wrong one')\n")
    (runner.workspace / "uv.toml").write_text("of another program\n")
    code, log = runner.run(PYTHONPATH=str(runner.workspace))
    assert code == 0, log
    assert runner.codexctl() == "codexctl in its first version\n"


def test_a_package_of_another_content_is_refused(runner: Runner) -> None:
    """Nothing is installed that is not what the lock of this commit says."""
    runner.lack_uv()
    lock = "invoke==3.0.3 --hash=sha256:" + "0" * 64 + "\n"
    (runner.source / "requirements.txt").write_text(lock)
    code, log = runner.run()
    assert code == 5
    assert "HASH" in log
    assert "::error::setup: python -I -m pip ended with exit code 1" in log


def test_what_was_installed_has_to_start(runner: Runner) -> None:
    """A job that spoils its own installation leaves nothing for others to find."""
    main = runner.source / "codexctl_tasks/__main__.py"
    main.write_text("raise SystemExit('it is spoilt')\n")
    code, log = runner.run()
    assert code == 5
    assert "it is spoilt" in log
    assert "::error::setup: codexctl --version ended with exit code 1" in log
    assert not list(runner.tool_cache.rglob(".complete"))


def test_four_first_runs_at_once_install_once(runner: Runner) -> None:
    """Parallel jobs on one self-hosted runner do not disturb each other."""
    jobs = [f"job-{number}" for number in range(4)]
    started = [runner.start(job) for job in jobs]
    logs = [process.communicate(timeout=SLOW_S)[0] for process in started]
    assert [process.returncode for process in started] == [0] * 4, logs
    hits = sorted(runner.outputs(job)["cache-hit"] for job in jobs)
    assert hits == ["false", "true", "true", "true"]
    assert {runner.codexctl(job) for job in jobs} == {"codexctl in its first version\n"}
    assert "setup: another job installs codexctl, waiting for it" in "".join(logs)


def test_another_commit_gets_an_installation_of_its_own(runner: Runner) -> None:
    """Two versions in use on one machine stay apart."""
    runner.run("old")
    main = runner.source / "codexctl_tasks/__main__.py"
    main.write_text(MAIN.replace("first", "second"))
    runner.run("new")
    assert runner.outputs("new")["cache-hit"] == "false"
    assert [runner.codexctl(job).split()[-2] for job in ("old", "new")] == ["first", "second"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: (place / ".complete").unlink(),
        lambda place: shutil.rmtree(place / "lib"),
        lambda place: (place / "bin/python").unlink(),
        lambda place: (place / "path/codexctl").unlink(),
    ],
    ids=["installation-cut-off", "no-packages", "no-interpreter", "no-command"],
)
def test_a_broken_entry_is_made_anew(runner: Runner, damage: Any) -> None:
    """Nobody has to log in to a runner to clean its cache."""
    runner.run("first")
    damage(runner.installed("first"))
    assert runner.run("second")[0] == 0
    assert runner.outputs("second")["cache-hit"] == "false"
    assert runner.codexctl("second") == "codexctl in its first version\n"
    assert runner.run("third")[0] == 0
    assert runner.outputs("third")["cache-hit"] == "true"


def test_what_a_running_job_has_stays_when_it_is_replaced(runner: Runner) -> None:
    """A deploy that is under way still finds its modules."""
    runner.run("first")
    first = runner.installed("first")
    (first / "path/codexctl").unlink()
    runner.run("second")
    assert runner.installed("second") != first
    subprocess.run([first / "bin/python", "-I", "-c", "import codexctl_tasks"], check=True)


def test_the_environment_of_a_job_breaks_nothing_for_others(runner: Runner) -> None:
    """A PYTHONHOME that is wrong concerns the job that has it, and only that."""
    runner.run("first")
    code, log = runner.run("second", PYTHONHOME="/nowhere", PYTHONSTARTUP="/nowhere")
    assert code == 0, log
    assert runner.outputs("second") == {**runner.outputs("first"), "cache-hit": "true"}


def test_a_cache_at_two_paths_has_two_installations(runner: Runner) -> None:
    """Containers that see a machine's cache elsewhere do not undo what the machine installs."""
    elsewhere = runner.folder / "elsewhere"
    runner.run("machine")
    runner.tool_cache.rename(elsewhere)
    runner.run("container", RUNNER_TOOL_CACHE=str(elsewhere))
    elsewhere.rename(runner.tool_cache)
    runner.run("machine")
    hits = [runner.outputs(job)["cache-hit"] for job in ("container", "machine")]
    assert hits == ["false", "true"]
    assert runner.codexctl("machine") == "codexctl in its first version\n"


def test_what_was_cut_off_is_removed(runner: Runner) -> None:
    """A job that is stopped while it installs leaves no half installation for good."""
    runner.run("first")
    (runner.installed("first") / ".complete").unlink()
    runner.run("second")
    assert not runner.installed("first").exists()


def test_what_nobody_used_for_two_weeks_goes(runner: Runner) -> None:
    """A runner's disk does not fill up with old versions."""
    runner.run("old")
    old = runner.installed("old").parent
    (runner.source / "codexctl_tasks/__main__.py").write_text(MAIN.replace("first", "second"))
    runner.run("recent")
    day_s = 24 * 3600
    for days, entry in ((15, old), (13, runner.installed("recent").parent)):
        os.utime(entry / ".used", (time.time() - days * day_s,) * 2)
    (runner.source / "codexctl_tasks/__main__.py").write_text(MAIN.replace("first", "third"))
    runner.run("new")
    left = {path.name for path in old.parent.iterdir()}
    keys = {runner.outputs(job)["key"] for job in ("recent", "new")}
    assert left == keys | {f".{key}.lock" for key in keys}


def test_uv_is_used_where_it_is(runner: Runner) -> None:
    """With uv on PATH, Python needs neither pip nor venv."""
    runner.offer_python_with('sys.modules.update(dict.fromkeys(["venv", "ensurepip", "pip"]))')
    code, log = runner.run()
    assert code == 0, log
    assert runner.codexctl() == "codexctl in its first version\n"


def test_pip_alone_is_enough(runner: Runner) -> None:
    """A Debian without python3-venv has no ensurepip, but often pip."""
    runner.lack_uv()
    runner.offer_python_with('sys.modules["ensurepip"] = None')
    code, log = runner.run()
    assert code == 0, log
    assert runner.codexctl() == "codexctl in its first version\n"


def test_what_is_missing_is_named(runner: Runner) -> None:
    """A runner with neither uv nor venv says which package to install."""
    runner.lack_uv()
    runner.offer_python_with('sys.modules["venv"] = None')
    code, log = runner.run()
    assert code == 5
    assert log.startswith("::error::setup: ")
    assert "can make no virtual environment: install the package python3-venv, or uv" in log


def test_a_newer_python_beside_an_old_one_is_taken(runner: Runner) -> None:
    """Where the system's python3 is old, it is enough to install another one beside it."""
    runner.offer_python_with("sys.version_info = (3, 9, 2)")
    runner.offer("python3.14", Path(shutil.which("false") or "/bin/false"))  # as shims of pyenv
    runner.offer("python3.12", PYTHON)
    code, log = runner.run()
    assert code == 0, log
    assert runner.codexctl() == "codexctl in its first version\n"


def test_a_python_of_uv_is_taken(runner: Runner) -> None:
    """A Python that `uv python install` put there does, without any on PATH."""
    (runner.bin / "python3").unlink()
    machine = f"linux-{platform.machine()}-gnu"
    folder = runner.folder / f"uv-pythons/cpython-{platform.python_version()}-{machine}/bin"
    folder.mkdir(parents=True)
    (folder / "python{}.{}".format(*sys.version_info)).symlink_to(PYTHON)
    code, log = runner.run()
    assert code == 0, log
    assert runner.codexctl() == "codexctl in its first version\n"


def test_an_old_python_is_refused(runner: Runner) -> None:
    """The error names the version that is there and what the runner's owner can do."""
    runner.offer_python_with("sys.version_info = (3, 9, 2)")
    code, log = runner.run()
    assert code == 5
    assert "is Python 3.9.2, codexctl needs 3.11 or newer: install python3.11 or newer" in log
    assert not runner.tool_cache.exists()


def test_a_named_python_is_taken_or_refused(runner: Runner) -> None:
    """Who names an interpreter gets no other."""
    runner.offer("python3.12", PYTHON)
    runner.offer_python_with("sys.version_info = (3, 9, 2)")
    assert runner.run(CODEXCTL_PYTHON="python3")[0] == 5
    code, log = runner.run(CODEXCTL_PYTHON="python3.12")
    assert code == 0, log


@pytest.mark.parametrize("named", ["", "python3.99"])
def test_no_python_at_all_is_said(runner: Runner, named: str) -> None:
    """Instead of the shell's 'command not found'."""
    (runner.bin / "python3").unlink()
    code, log = runner.run(CODEXCTL_PYTHON=named)
    assert code == 5
    expected = (
        f"::error::setup: there is no {named or 'python3'} on this runner: install python3.11"
    )
    assert log.startswith(expected)


def test_windows_is_refused(runner: Runner) -> None:
    """One line says so, where locks and paths would fail."""
    runner.offer_python_with('sys.platform, sys.modules["fcntl"] = "win32", None')
    code, log = runner.run()
    assert code == 5
    assert log == "::error::setup: codexctl does not run on Windows: use a runner with Linux\n"


def test_a_tool_cache_that_cannot_be_written_is_passed_over(runner: Runner) -> None:
    """The job's own folder is used then; it is slower each time, but it works."""
    code, log = runner.run(RUNNER_TOOL_CACHE="/proc/tool-cache")
    assert code == 0, log
    assert (
        "::warning::setup: /proc/tool-cache/codexctl is passed over: /proc/tool-cache: No such file"
        in log
    )
    assert runner.installed().is_relative_to(runner.temp)


@pytest.mark.parametrize("name", [".{key}.lock", "{key}"], ids=["lock", "installation"])
def test_an_entry_that_cannot_be_written_is_passed_over(runner: Runner, name: str) -> None:
    """What another user or a broken disk left costs time, and is no traceback."""
    runner.run("first")
    key = runner.outputs("first")["key"]
    runner.tool_cache.rename(runner.folder / "away")
    obstacle = runner.tool_cache / "codexctl" / name.format(key=key)
    if name == "{key}":
        obstacle.parent.mkdir(parents=True)
        obstacle.touch()
    else:
        obstacle.mkdir(parents=True)
    code, log = runner.run("second")
    assert code == 0, log
    assert f"::warning::setup: {obstacle.parent} is passed over: {obstacle}: " in log
    assert runner.installed("second").is_relative_to(runner.temp)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("codexctl", 0o775), ("codexctl/{key}", 0o757)],
    ids=["group-root", "others-installation"],
)
def test_what_others_may_write_to_is_not_run(runner: Runner, name: str, mode: int) -> None:
    """A cache that somebody else could have planted is passed over, and said."""
    runner.run("first")
    planted = runner.tool_cache / name.format(key=runner.outputs("first")["key"])
    planted.chmod(mode)
    code, log = runner.run("second")
    assert code == 0, log
    assert "::warning::setup: " in log
    assert f" is passed over: {planted}: others may write to it" in log
    assert runner.installed("second").is_relative_to(runner.temp)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize("name", ["codexctl", "codexctl/{key}"], ids=["root", "installation"])
def test_what_belongs_to_others_is_not_run(runner: Runner, name: str) -> None:
    """Accounts that share a tool cache do not run each other's files."""
    runner.run("first")
    planted = runner.tool_cache / name.format(key=runner.outputs("first")["key"])
    os.chown(planted, 65534, -1)
    code, log = runner.run("second")
    assert code == 0, log
    assert "::warning::setup: " in log
    assert f" is passed over: {planted}: it belongs to another user" in log
    assert runner.installed("second").is_relative_to(runner.temp)


def test_without_folders_of_a_runner_a_private_one_is_made(runner: Runner) -> None:
    """Nothing is looked for in the temporary folder that all users share."""
    folders = {"RUNNER_TOOL_CACHE": "", "RUNNER_TEMP": "", "TMPDIR": str(runner.temp)}
    for job in ("first", "second"):
        code, log = runner.run(job, **folders)
        assert code == 0, log
    first, second = (runner.installed(job).parents[1] for job in ("first", "second"))
    assert first != second
    assert {path.stat().st_mode & 0o777 for path in (first, second)} == {0o700}


def test_a_named_cache_that_cannot_be_written_is_an_error(runner: Runner) -> None:
    """Who names a folder wants that one."""
    (runner.temp / "file").touch()
    code, log = runner.run(CODEXCTL_CACHE_ROOT=str(runner.temp / "file"))
    assert code == 5
    assert "::error::setup: no folder can be used: name one of your own" in log


def test_a_cache_in_the_workspace_is_refused(runner: Runner) -> None:
    """The checkout that comes next would remove it."""
    code, log = runner.run(CODEXCTL_CACHE_ROOT="cache")
    assert code == 5
    assert "::error::setup: cache-root cache is no absolute path" in log


def test_a_disk_that_is_full_is_one_line(runner: Runner) -> None:
    """Whatever the machine refuses is said without a traceback."""
    code, log = runner.run(GITHUB_OUTPUT="/dev/full")
    assert code == 5
    assert "Traceback" not in log
    assert "::error::setup: [Errno 28] No space left on device" in log
