"""When a job runs: GitHub's rules for ``if`` and ``needs``, as far as our workflows use them."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RESULTS = ("success", "failure", "cancelled", "skipped")
_REMOVAL = re.compile(r"ai-cleanup\.yml|/gc\.yml|codexctl (ci )?(cleanup|gc|destroy)\b")
_STATUS = re.compile(r"\b(always|success|failure|cancelled)\(\)")
_WORDS = {"&&": " and ", "||": " or ", "true": "True", "false": "False"}
_TOKEN = re.compile(r"&&|\|\||!(?!=)|\btrue\b|\bfalse\b|needs\.([\w-]+)\.result")


def would_run(job: Mapping[str, Any], results: Mapping[str, str], *, is_cancelled: bool) -> bool:
    """
    Tell whether a job runs; what it says of anything but its needs is taken for true.

    Args:
        job: As in the workflow's file.
        results: Of the jobs that it needs.
        is_cancelled: Somebody has cancelled the run.
    """
    condition = str(job.get("if", "")).strip()
    condition = condition.removeprefix("${{").removesuffix("}}").strip()
    if not _STATUS.search(condition):
        condition = f"success() && ({condition or 'true'})"
    status = {
        "always": True,
        "success": not is_cancelled and all(each == "success" for each in results.values()),
        "failure": not is_cancelled and "failure" in results.values(),
        "cancelled": is_cancelled,
    }
    text = _STATUS.sub(lambda found: str(status[found[1]]), condition)
    text = re.sub(r"(github|inputs)[\w.-]* *[!=]= *'[^']*'", "True", text)

    def translated(found: re.Match[str]) -> str:
        if found[1]:
            return repr(results[found[1]])
        return " not " if found[0] == "!" else _WORDS[found[0]]

    return bool(eval(_TOKEN.sub(translated, text), {"__builtins__": {}}))  # noqa: S307 - our own


def removes(job: Mapping[str, Any]) -> bool:
    """Tell whether a job takes environments down."""
    return bool(_REMOVAL.search(str(job.get("uses", "")))) or any(_removing_steps(job))


def unwanted_removals(workflow: Mapping[Any, Any]) -> Iterator[str]:
    """
    Yield how a workflow could remove something although what it builds upon did not succeed.

    Each combination of results of the jobs that are needed is tried, in a run that goes on and in
    one that is cancelled.
    """
    for name, job in workflow["jobs"].items():
        if not removes(job):
            continue
        # YAML reads the key ``on`` as true. Such a run begins whatever became of the other one.
        if "workflow_run" in str(workflow.get(True)):
            yield f"{name}: because another workflow has ended"
        needs = job.get("needs", [])
        names = [needs] if isinstance(needs, str) else needs
        for results in itertools.product(RESULTS, repeat=len(names)):
            known = dict(zip(names, results, strict=True))
            if would_run(job, known, is_cancelled=True):
                yield f"{name}: in a cancelled run, after {', '.join(results) or 'nothing'}"
            is_success = all(each == "success" for each in results)
            if not is_success and would_run(job, known, is_cancelled=False):
                yield f"{name}: after {', '.join(results)}"
        for step in _removing_steps(job):
            if _STATUS.search(str(step.get("if", ""))):
                yield f"{name}: step with if: {step['if']}"


def _removing_steps(job: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the steps that take environments down."""
    for step in job.get("steps", []):
        if _REMOVAL.search(str(step.get("run", ""))):
            yield step
