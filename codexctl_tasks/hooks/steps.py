"""
Check the steps of a run before anything is applied: which hooks they name, and with what.

Nothing here runs a hook.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from codexctl_tasks.errors import CombinedError, ConfigurationError, did_you_mean
from codexctl_tasks.hooks.contract import Hook
from codexctl_tasks.hooks.registry import Broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from codexctl_tasks.errors import CodexctlError, Location
    from codexctl_tasks.hooks.contract import Parameters
    from codexctl_tasks.hooks.registry import Registry
    from codexctl_tasks.stack.steps import Step
    from codexctl_tasks.stack.validation import KeyPath


@dataclass(frozen=True, slots=True)
class Prepared:
    """A step that can run."""

    step: Step
    hook: Hook[Any] | None = None
    """None: it is a script."""
    given: Parameters | None = None
    """Of *hook*."""


def prepare(steps: Sequence[Step], registry: Registry) -> list[Prepared]:
    """
    Return the steps with their hooks and parameters.

    Raises:
        CombinedError: Every hook that is unknown and every parameter that is wrong.
    """
    prepared: list[Prepared] = []
    problems: list[CodexctlError] = []
    for step in steps:
        if step.script:
            prepared.append(Prepared(step))
            continue
        found = registry.find(step.use)
        if isinstance(found, Hook):
            given, mistakes = read_parameters(found, step.given, step.locate)
            problems += mistakes
            if given is not None:
                prepared.append(Prepared(step, found, given))
            continue
        what, fix = f"there is no hook {step.use!r}", registry.suggest(step.use)
        if isinstance(found, Broken):
            what, fix = f"hook {step.use!r} cannot be used: {found.reason}", "mend the package"
        problems.append(ConfigurationError(step.location, what, fix))
    if problems:
        raise CombinedError(problems)
    return prepared


def read_parameters(
    hook: Hook[Any], given: Mapping[str, Any], locate: Callable[[KeyPath], Location | str]
) -> tuple[Parameters | None, list[ConfigurationError]]:
    """Return the parameters of a hook, or every mistake in them; *locate* finds a key's place."""
    try:
        found: Parameters = hook.parameters.model_validate(given)
    except ValidationError as error:
        return None, list(_mistakes(hook, error, locate))
    except Exception as error:  # noqa: BLE001 - a validator of a foreign package
        # Its text is not repeated: it may hold the value.
        what = f"{hook.name}: its parameters cannot be checked: {type(error).__name__}"
        return None, [ConfigurationError(locate(()), what, "a defect of the hook")]
    return found, []


def parameter_names(hook: Hook[Any]) -> list[str]:
    """Return the keys that a hook knows, as they are written."""
    return [field.alias or name for name, field in hook.parameters.model_fields.items()]


def _mistakes(
    hook: Hook[Any], error: ValidationError, locate: Callable[[KeyPath], Location | str]
) -> Iterator[ConfigurationError]:
    for details in error.errors(include_url=False):
        # Beside the keys, pydantic names the branch of a union it has tried: no key of the file.
        path: KeyPath = tuple(step for step in details["loc"] if _is_key(step))
        name = ".".join(str(step) for step in path)
        what, fix = _words(hook, name, details)
        subject = f"{hook.name}: {name}" if name else hook.name
        yield ConfigurationError(locate(path), f"{subject} {what}", fix)


def _is_key(step: str | int) -> bool:
    return isinstance(step, int) or not ("[" in step or step.startswith("function-"))


def _words(hook: Hook[Any], name: str, details: Any) -> tuple[str, str]:
    """Say what is wrong; the value itself is not shown: it may be a secret."""
    known = parameter_names(hook)
    listed = f"it takes {', '.join(known)}" if known else "it takes no parameters"
    kind, message = details["type"], str(details["msg"])
    if kind == "extra_forbidden":
        return "is no parameter of it", did_you_mean(name, known, listed)
    if kind == "missing":
        return "is missing", f"add {name}: to with"
    reason = message.removeprefix("Value error, ")
    fixes = {
        "not a duration": "write 90s, 10m or 1h30m",
        "neither true nor false": "write true or false",
        "not a whole number": "write digits only",
    }
    reason = reason[:1].lower() + reason[1:]
    return f"is wrong: {reason}", fixes.get(reason, f"see codexctl hooks, {hook.name}")
