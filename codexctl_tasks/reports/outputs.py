"""What later steps of a GitHub workflow read: the outputs of this one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codexctl_tasks.reports.story import Story
    from codexctl_tasks.stack.manifests import Manifest

_LONGEST_CAUSE = 300
_MOST_CAUSES = 20
"""GitHub allows 1 MiB for all outputs of a job, and people read these in a chat message."""


def step_outputs(story: Story) -> dict[str, str]:
    """
    Return ``result``, ``failed``, ``exit-code`` and ``report``.

    ``failed`` has names, one in a line, timed out ones too; ``report`` is a short JSON document.
    """
    causes = {each.name: each.reason[:_LONGEST_CAUSE] for each in story.broken[:_MOST_CAUSES]}
    report = {
        "result": story.word.replace(" ", "-"),
        "exitCode": story.exit_code,
        "seconds": round(story.elapsed_s, 1),
        "workloads": story.counts,
        "failed": causes,
        "problems": [note.text[:_LONGEST_CAUSE] for note in story.problems[:_MOST_CAUSES]],
    }
    return {
        "result": story.word.replace(" ", "-"),
        "failed": "\n".join(workload.name for workload in story.broken),
        "exit-code": str(story.exit_code),
        "report": json.dumps(report, ensure_ascii=False),
    }


def public_address(manifests: Iterable[Manifest]) -> str:
    """Return the address of the first Ingress that names a host; empty: there is none."""
    for manifest in manifests:
        if manifest.name.kind != "Ingress":
            continue
        spec = manifest.body.get("spec") or {}
        secure = {host for tls in spec.get("tls") or () for host in tls.get("hosts") or ()}
        for host in filter(None, (rule.get("host") for rule in spec.get("rules") or ())):
            if "*" not in host:
                return f"{'https' if host in secure else 'http'}://{host}"
    return ""


def in_github_syntax(outputs: dict[str, str], delimiter: str) -> str:
    """Return the lines for ``GITHUB_OUTPUT``; *delimiter* must be one that nobody can guess."""
    return "".join(
        f"{name}<<{delimiter}\n{value}\n{delimiter}\n" for name, value in outputs.items()
    )
