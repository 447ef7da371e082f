"""What later steps of a GitHub workflow read: the outputs of this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codexctl_tasks.reports.story import Story


def step_outputs(story: Story) -> dict[str, str]:
    """Return ``result``, ``failed`` (names, one in a line; timed out ones too), ``exit-code``."""
    return {
        "result": story.word.replace(" ", "-"),
        "failed": "\n".join(workload.name for workload in story.broken),
        "exit-code": str(story.exit_code),
    }


def in_github_syntax(outputs: dict[str, str], delimiter: str) -> str:
    """Return the lines for ``GITHUB_OUTPUT``; *delimiter* must be one that nobody can guess."""
    return "".join(
        f"{name}<<{delimiter}\n{value}\n{delimiter}\n" for name, value in outputs.items()
    )
