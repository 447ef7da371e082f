"""Requests about the end of an agent's run: flags into objects."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from codexctl_tasks.errors import UsageError
from codexctl_tasks.requests.agents import BRANCH_PREFIX, KINDS
from codexctl_tasks.requests.basis import ReportFiles
from codexctl_tasks.requests.publishing import FinishRequest, PublishRequest
from codexctl_tasks.settings.comments import LANGUAGES
from codexctl_tasks.settings.environment import (
    event_subject,
    in_github_actions,
    step_files,
    switch,
    this_holder,
    this_repository,
    value,
)
from codexctl_tasks.settings.prompt_runs import DEFAULT_RESULT
from codexctl_tasks.settings.slots import zero_given
from codexctl_tasks.settings.sources import source
from codexctl_tasks.settings.values import choice, count, output_of

DEFAULT_ENV = "ai"
DEFAULT_SERVER = "https://github.com"


def publish_request(
    *,
    result_dir: str = "",
    base_branch: str = "",
    branch_prefix: str = "",
    dry_run: bool = False,
    kind: str = "",
    issue: str = "",
    pr: str = "",
    repo: str = "",
    output: str = "",
    env: str = "",
    **given: Any,
) -> PublishRequest:
    """Combine flags and ``CODEXCTL_*``; *given* are those of `source`."""
    return PublishRequest(
        **_subject(kind, issue, pr, repo, output=output, result_dir=result_dir),
        source=source(env=value("env", env, DEFAULT_ENV), **given),
        base_branch=value("base-branch", base_branch),
        branch_prefix=value("branch-prefix", branch_prefix, BRANCH_PREFIX),
        server=os.environ.get("GITHUB_SERVER_URL", "").strip().rstrip("/") or DEFAULT_SERVER,
        dry_run=dry_run or switch("CODEXCTL_DRY_RUN"),
    )


def finish_request(
    *,
    result_dir: str = "",
    lang: str = "",
    no_comment: bool = False,
    kind: str = "",
    issue: str = "",
    pr: str = "",
    repo: str = "",
    output: str = "",
) -> FinishRequest:
    """Combine flags and ``CODEXCTL_*``; the jobs before are told of by ``CODEXCTL_NEEDS`` alone."""
    language = value("lang", lang, "en").lower()
    return FinishRequest(
        **_subject(kind, issue, pr, repo, output=output, result_dir=result_dir),
        needs=os.environ.get("CODEXCTL_NEEDS", ""),
        language=choice("lang", language.partition("-")[0], LANGUAGES),
        comments=not (no_comment or switch("CODEXCTL_NO_COMMENT")),
        environ=dict(os.environ),
    )


def _subject(
    kind: str, issue: str, pr: str, repo: str, *, output: str, result_dir: str
) -> dict[str, Any]:
    """Return what the run is about: by flags, by ``CODEXCTL_*``, or by what started it."""
    summary, outputs = step_files()
    number, pr_number = count("issue", issue), count("pr", pr)
    if number and pr_number:
        raise UsageError("--issue", "cannot be combined with --pr", "give what the run is about")
    if not (number or pr_number):
        name, found = event_subject()
        number, pr_number = (found, 0) if name == "issue" else (0, found)
    repository = this_repository(repo)
    if not (number or pr_number) or not repository:
        what = "is required, because no event tells what the run is about"
        fix = "give --issue N or --pr N, and --repo owner/name"
        raise zero_given(issue=issue, pr=pr) or UsageError("--issue", what, fix)
    if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*", repository):
        raise UsageError("--repo", f"{repository!r} is no repository", "write owner/name")
    return {
        "kind": choice("kind", value("kind", kind, "dev"), KINDS),
        "repo": repository,
        "issue": number,
        "pr": pr_number,
        "run": this_holder(),
        "in_workflow": in_github_actions(),
        "result_dir": Path(value("result-dir", result_dir, DEFAULT_RESULT)),
        "output": output_of(output),
        "files": ReportFiles(step_summary=summary, step_outputs=outputs),
    }
