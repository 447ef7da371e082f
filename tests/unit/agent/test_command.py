"""What is run in the pod, word by word."""

from __future__ import annotations

import shlex

from codexctl_tasks.agent.command import (
    Invocation,
    arguments,
    as_shell,
    expected_version,
    variables,
)
from codexctl_tasks.stack.model import Agent

FOLDER = "/workspace/my shop"


def test_a_new_thread() -> None:
    """Events as JSON, no question asked, the prompt on stdin."""
    words = arguments(Agent(), Invocation(folder=FOLDER))
    assert as_shell(words) == (
        "codex exec --json --strict-config --skip-git-repo-check --color never"
        " -C '/workspace/my shop' -s danger-full-access"
        ' -o "$CODEXCTL_RUN_FOLDER"/last.md -'
    )


def test_a_thread_that_goes_on() -> None:
    """The flags stand before `resume`, which knows only some of them; never `--last`."""
    words = arguments(
        Agent(sandbox="read-only"),
        Invocation(folder="/w", has_schema=True, model="m-1", effort="high", thread="t-1"),
    )
    assert words[words.index("-s") :] == [
        *("-s", "read-only", "-o", "$CODEXCTL_RUN_FOLDER/last.md"),
        *("--output-schema", "$CODEXCTL_RUN_FOLDER/schema.json"),
        *("-m", "m-1", "-c", 'model_reasoning_effort="high"', "resume", "t-1", "-"),
    ]


def test_another_program() -> None:
    """A command of the project is run as it is written, and told the rest by its environment."""
    agent = Agent(command=("my agent", "--fast", "$HOME"))
    invocation = Invocation(folder="/w", model="m", thread="t")
    assert shlex.split(as_shell(arguments(agent, invocation))) == ["my agent", "--fast", "$HOME"]
    told = variables(invocation, model_url="http://proxy/v1")
    assert told["CODEXCTL_LAST_MESSAGE"] == "$CODEXCTL_RUN_FOLDER/last.md"
    assert (told["CODEXCTL_MODEL"], told["CODEXCTL_THREAD_ID"]) == ("m", "t")
    assert (told["CODEXCTL_OUTPUT_SCHEMA"], told["CODEXCTL_MODEL_URL"]) == ("", "http://proxy/v1")


def test_the_version_that_has_to_be_there() -> None:
    """The tested one, or what the project says; another program has none."""
    assert expected_version(Agent()) == "0.169.0"
    assert expected_version(Agent(version="0.170.1")) == "0.170.1"
    assert expected_version(Agent(version="any")) == ""
    assert expected_version(Agent(command=("x",), version="1")) == ""
