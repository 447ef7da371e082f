"""Call a hook in a test of the package that brings it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codexctl_tasks.console import Console
from codexctl_tasks.errors import CombinedError, UsageError
from codexctl_tasks.hooks.setting import Setting
from codexctl_tasks.hooks.steps import read_parameters
from codexctl_tasks.stack.model import Stack
from codexctl_tasks.world.outside import real_outside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.hooks.contract import Hook
    from codexctl_tasks.world.cluster import Cluster


def call_hook(
    hook: Hook[Any],
    given: Mapping[str, Any],
    *,
    env: str = "staging",
    slot: int = 0,
    namespace: str = "shop-staging",
    stack: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
    cluster: Cluster | None = None,
    timeout_s: float = 30.0,
) -> str:
    """
    Call a hook as a step does, and return what it told.

    Args:
        hook: The hook.
        given: What stands under ``with:``, with the keys of the file.
        env: Name of the environment.
        slot: 0: none.
        namespace: Of the environment.
        stack: What ``services.yaml`` holds; None: a project called ``shop``.
        variables: What a hook finds in `HookContext.variables`.
        cluster: What `HookContext.connect` returns; None: connecting is an error.
        timeout_s: How long it may take.

    Raises:
        ConfigurationError, CombinedError: The parameters are wrong.
        CodexctlError: What the hook itself raises.
    """
    parameters, problems = read_parameters(hook, given, lambda _: "with")
    if parameters is None:
        raise CombinedError(problems)

    def connect() -> Cluster:
        if cluster is None:
            raise UsageError("test", "there is no cluster", "hand one over: cluster=...")
        return cluster

    stream = io.StringIO()
    outside = real_outside(Console(stream))
    model = Stack.model_validate({"project": "shop", **(stack or {})})
    setting = Setting(
        env=env,
        slot=slot,
        project=model.project,
        namespace=namespace,
        folder=Path.cwd(),
        stack=model,
        variables=variables or {},
        connect=connect,
    )
    deadline_s = outside.clock.now() + timeout_s
    hook(parameters, setting.context(hook.name, outside, connect, deadline_s))
    return stream.getvalue()
