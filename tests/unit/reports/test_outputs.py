"""What later steps of a workflow read."""

from __future__ import annotations

from codexctl_tasks.reports.outputs import in_github_syntax, step_outputs
from tests.support import stories


def test_later_steps_know_what_happened() -> None:
    """Result, names of what broke and exit code, without reading any log."""
    assert step_outputs(stories.broken()) == {
        "result": "failed",
        "failed": "Deployment shop/web\nStatefulSet shop/worker\nDeployment shop/search",
        "exit-code": "1",
    }
    assert step_outputs(stories.healthy()) == {"result": "healthy", "failed": "", "exit-code": "0"}
    assert step_outputs(stories.story(stories.LATE, exit_code=70))["result"] == "timed-out"


def test_values_of_several_lines_stay_one_value() -> None:
    """GitHub's syntax with a delimiter, also for empty values."""
    assert (
        in_github_syntax({"a": "x\ny=1", "b": ""}, "end") == "a<<end\nx\ny=1\nend\nb<<end\n\nend\n"
    )
