"""
The built-in hooks, and what a package needs to add its own: see ``docs/writing-hooks.md``.

What is exported here is a public interface: it stays as it is within a major version.
"""

from codexctl_tasks.hooks.contract import (
    Flag,
    Hook,
    HookContext,
    HookError,
    Parameters,
    Seconds,
    Text,
    Texts,
    Whole,
    hook,
)

__all__ = (
    "Flag",
    "Hook",
    "HookContext",
    "HookError",
    "Parameters",
    "Seconds",
    "Text",
    "Texts",
    "Whole",
    "hook",
)
