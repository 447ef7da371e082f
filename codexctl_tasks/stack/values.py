"""What templates of an environment can refer to, and where each value came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from codexctl_tasks.stack.variables import PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.stack.variables import Variable


class Value(NamedTuple):
    """One name of templates."""

    name: str
    """As a template writes it: ``Versions.go``."""
    value: Any
    origin: str
    """A flag, a file with its line, or the process environment."""
    is_secret: bool = False


def values_of(loaded: LoadedStack) -> Iterator[Value]:
    """Yield the names of templates; of the process environment only what templates asked for."""
    from codexctl_tasks.stack.gotemplate.formatting import display

    context, source = loaded.context, loaded.source
    patterns = loaded.stack.namespace.patterns
    yield Value("Env", context.env, "--env")
    if source.namespace:
        yield Value("Namespace", context.namespace, "--namespace")
    elif patterns.get(context.env):
        yield Value(
            "Namespace", context.namespace, _place(loaded, "namespace", "patterns", context.env)
        )
    else:
        yield Value("Namespace", context.namespace, "built-in name")
    yield Value("Project", context.project, str(loaded.header.location("project")))
    yield Value("ProjectRoot", context.project_root, "folder of services.yaml")
    yield Value("Slot", context.slot, "--slot" if context.slot else "default")
    yield Value("Now", display(context.now), "clock")
    for key, name in (("versions", "Versions"), ("baseDomain", "BaseDomain")):
        for entry, value in context.names()[name].items():
            yield Value(f"{name}.{entry}", value, _place(loaded, key, entry))
    yield from _variables("Vars", context.variables.vars, loaded)
    shown = {
        name: variable
        for name, variable in context.variables.env_map.items()
        if name not in context.variables.vars
        and (variable.origin != PROCESS or name in context.asked)
    }
    yield from _variables("EnvMap", shown, loaded)


def _place(loaded: LoadedStack, *path: str) -> str:
    return str(loaded.document.location(path))


def _variables(
    holder: str, variables: Mapping[str, Variable], loaded: LoadedStack
) -> Iterator[Value]:
    for name, variable in sorted(variables.items()):
        is_secret = loaded.source.hides(name)
        yield Value(f"{holder}.{name}", variable.value, variable.origin, is_secret)
