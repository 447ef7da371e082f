"""What the process environment says; only this package reads it."""

from __future__ import annotations

import getpass
import json
import os
import socket
import tempfile
from pathlib import Path


def step_files() -> tuple[Path | None, Path | None]:
    """Return the files of a step of GitHub Actions for its summary and its outputs."""
    summary, outputs = (os.environ.get(f"GITHUB_{name}", "") for name in ("STEP_SUMMARY", "OUTPUT"))
    return path_of(summary), path_of(outputs)


def value(flag: str, given: str, default: str = "") -> str:
    """Return a flag, else its ``CODEXCTL_*``, else *default*; trimmed."""
    variable = "CODEXCTL_" + flag.upper().replace("-", "_")
    return (given or os.environ.get(variable, "") or default).strip()


def switch(variable: str) -> bool:
    """Tell whether a variable switches something on."""
    return os.environ.get(variable, "").strip().lower() in ("1", "true", "yes", "on")


def paths_in(variable: str) -> list[str]:
    """Return the paths in a variable, separated as in PATH."""
    return [part for part in os.environ.get(variable, "").split(os.pathsep) if part]


def path_of(text: str) -> Path | None:
    """Return a path; None of an empty text."""
    return Path(text) if text else None


def in_github_actions() -> bool:
    """Tell whether annotations and log groups will be understood."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def github_workspace() -> Path | None:
    """Return the folder of the repository in GitHub Actions, to which annotations are relative."""
    return path_of(os.environ.get("GITHUB_WORKSPACE", ""))


def colour_wanted() -> bool:
    """Follow https://no-color.org: any non-empty value switches colours off."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def debugging() -> bool:
    """Tell whether the user wants tracebacks of internal errors, as a re-run in debug mode does."""
    return switch("CODEXCTL_DEBUG") or (in_github_actions() and switch("RUNNER_DEBUG"))


def this_run() -> str:
    """Return a text by which people find this run: its page on GitHub, or user, host, process."""
    environ = os.environ
    if not _run_page():
        return f"{this_holder()} (process {os.getpid()})"
    attempt = environ.get("GITHUB_RUN_ATTEMPT", "1")
    job = environ.get("GITHUB_JOB", "")
    return f"{_run_page()} (attempt {attempt}, job {job}, process {os.getpid()})"


def this_holder() -> str:
    """Return what all jobs and attempts of a workflow run have in common; elsewhere user@host."""
    if page := _run_page():
        return page
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = f"user {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _run_page() -> str:
    """Return the page of this workflow run; empty: it is none."""
    environ = os.environ
    run = environ.get("GITHUB_RUN_ID", "")
    if not in_github_actions() or not run:
        return ""
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    return f"{server}/{environ.get('GITHUB_REPOSITORY', '')}/actions/runs/{run}"


def this_repository(given: str = "") -> str:
    """Return ``owner/name``: what was given, or whose workflow this is; empty: unknown."""
    return value("repo", given, os.environ.get("GITHUB_REPOSITORY", ""))


def event_subject() -> tuple[str, int]:
    """Return ``issue`` or ``pr`` and the number of what started this run; 0: neither."""
    try:
        event = json.loads(Path(os.environ.get("GITHUB_EVENT_PATH", "")).read_bytes())
        pull, issue = event.get("pull_request"), event.get("issue") or {}
        if pull or issue.get("pull_request"):
            return "pr", int((pull or issue)["number"])
        return "issue", int(issue.get("number") or 0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no event, or a strange one
        return "issue", 0


def usual_logs() -> Path:
    """Return a folder for logs that no other user has."""
    place = os.environ.get("RUNNER_TEMP") or tempfile.gettempdir()
    return Path(place) / f"codexctl-builds-{os.getuid()}"
