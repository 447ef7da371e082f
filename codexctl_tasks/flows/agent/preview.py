"""What a run would do, shown to people before it does; nothing is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.agent.command import arguments, as_shell
from codexctl_tasks.errors import DONE
from codexctl_tasks.flows.agent.brief import brief
from codexctl_tasks.flows.agent.ending import SCHEMA_VERSION
from codexctl_tasks.flows.agent.way import shown_proxy

if TYPE_CHECKING:
    from codexctl_tasks.agent.result import Result
    from codexctl_tasks.flows.agent.assignment import Assignment
    from codexctl_tasks.world.outside import Outside

_NO_URL = "http://MODEL-PROXY/v1"


def show(assignment: Assignment, subject: Result, outside: Outside) -> int:
    """
    Print the prompt, the configuration, the exact command, and the objects of the proxy.

    *subject*: Its thread is the one that would go on; empty: a new one begins.
    """
    request, loaded = assignment.request, assignment.loaded
    made = assignment.configuration(request.model_url or _NO_URL)
    outside.console.hide(made.environment.values())
    told = brief(assignment, subject, outside)
    words = arguments(
        loaded.stack.codex.agent, assignment.invocation(told.choice, subject.thread_id)
    )
    parts = {"prompt": told.prompt, "configuration": made.text, "command": as_shell(words)}
    proxy = [] if request.model_url else shown_proxy(loaded)
    if request.output == "json":
        about = {"version": SCHEMA_VERSION, "exitCode": DONE}
        outside.console.result_as_json({**about, **parts, "proxy": proxy})
        return DONE
    if proxy:
        parts["model proxy"] = "\n".join(proxy)
    outside.console.result(
        ("", line) for name, text in parts.items() for line in _section(name, text)
    )
    return DONE


def _section(name: str, text: str) -> list[str]:
    return [f"--- {name}", *text.rstrip("\n").split("\n")]
