"""The hooks by themselves: list them, and run one without a deploy."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import DONE, CombinedError, ConfigurationError, Location, UsageError
from codexctl_tasks.flows.environment import load_applicable
from codexctl_tasks.flows.hooking import setting_of
from codexctl_tasks.hooks.contract import Hook
from codexctl_tasks.hooks.reference import list_data, list_lines
from codexctl_tasks.hooks.registry import Broken, Registry
from codexctl_tasks.hooks.running import Hooks
from codexctl_tasks.hooks.steps import Prepared, read_parameters
from codexctl_tasks.stack.documents import read_documents
from codexctl_tasks.stack.steps import Point, Step, steps_of

if TYPE_CHECKING:
    from codexctl_tasks.hooks.contract import Parameters
    from codexctl_tasks.requests.runs import HooksRequest
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside


def hooks(request: HooksRequest, outside: Outside) -> int:
    """List the hooks with their parameters, or run one."""
    registry = Registry()
    for warning in registry.warnings:
        outside.console.warn(warning)
    if request.run:
        return _run(request, registry, outside)
    if request.show and registry.find(request.show) is None:
        if request.show == "run":
            raise UsageError("hooks run", "names no hook", f"known are {', '.join(registry.names)}")
        raise _unknown(request.show, registry)
    if request.output == "json":
        outside.console.result_as_json(list_data(registry))
    else:
        outside.console.result(list_lines(registry, request.show))
    return DONE


def _run(request: HooksRequest, registry: Registry, outside: Outside) -> int:
    """Run one hook as a step of a stack would."""
    hook = registry.find(request.run)
    if not isinstance(hook, Hook):
        raise _unknown(request.run, registry, hook)
    outside.console.hide(request.source.secrets)
    given = _parameters(hook, request)
    desired = load_applicable(request.source, outside.console) if request.source.env else None
    steps = steps_of(desired.loaded) if desired and desired.loaded else []
    if desired:
        request = request.with_defaults(desired.defaults)

    @cache
    def connect() -> Cluster:
        return outside.connect(request.cluster, outside.clock, outside.console.retrying)

    step = Step(
        point=Point.ALONE,
        item="",
        name=hook.name,
        location=Location("hooks run"),
        timeout_s=request.timeout_s,
        use=hook.name,
        locate=lambda _: Location("--with"),
    )
    setting = setting_of(request.source, request.cluster, desired, connect)
    setting = replace(setting, steps=tuple(steps))
    runner = Hooks([Prepared(step, hook, given)], setting, outside)
    runner.run(Point.ALONE)
    return DONE


def _parameters(hook: Hook[Any], request: HooksRequest) -> Parameters:
    texts = {name: _value(name, text) for name, text in request.given.items()}
    given, problems = read_parameters(hook, texts, lambda _: "--with")
    if given is None:
        raise CombinedError([UsageError(p.where, p.what, p.fix) for p in problems])
    return given


def _value(name: str, text: str) -> Any:
    """Read a value as it would be written in ``services.yaml``; blanks alone are a text."""
    if not text.strip():
        return text
    try:
        [document] = read_documents(text, "--with", keep_spelling=True)
    except (ConfigurationError, ValueError):
        what = f"the value of {name} is no YAML"
        raise UsageError("--with", what, "put it in quotes") from None
    return document.value


def _unknown(name: str, registry: Registry, found: Any = None) -> UsageError:
    if isinstance(found, Broken):
        return UsageError("hooks", f"{name!r} cannot be used: {found.reason}", "mend the package")
    return UsageError("hooks", f"there is no hook {name!r}", registry.suggest(name))
