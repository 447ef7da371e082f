"""When a job runs: GitHub's rules for ``if`` and ``needs``, as far as our workflows use them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

RESULTS = ("success", "failure", "cancelled", "skipped")
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
