"""What the hooks and their parameters are, made of their models: the list and the page of docs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codexctl_tasks.hooks.contract import Hook
from codexctl_tasks.hooks.registry import BUILT_IN, Broken, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "object": "mapping",
}


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    """One parameter of a hook, for people."""

    name: str
    kind: str
    """Such as ``duration`` or ``list of texts``."""
    default: str
    """As one writes it; empty: what it is then, the meaning says."""
    is_required: bool
    meaning: str

    @property
    def need(self) -> str:
        """Whether it must be given, and what it is otherwise."""
        if self.is_required:
            return "required"
        return f"default `{self.default}`" if self.default else ""


def describe_parameters(hook: Hook[Any]) -> list[ParameterDescription]:
    """Return the parameters of a hook in the order of its model."""
    schema = hook.parameters.model_json_schema()
    required, definitions = schema.get("required", ()), schema.get("$defs", {})
    return [
        ParameterDescription(
            name=name,
            kind=_kind(entry, definitions),
            default=_default(entry),
            is_required=name in required,
            meaning=" ".join(str(entry.get("description", "")).split()),
        )
        for name, entry in schema.get("properties", {}).items()
    ]


def list_lines(registry: Registry, only: str = "") -> Iterator[tuple[str, str]]:
    """Yield the hooks as a person reads them in a terminal; each line with what colours it."""
    for name in [only] if only else registry.names:
        found = registry.find(name)
        if found is None:
            continue
        if isinstance(found, Broken):
            yield "failed", f"{name}  cannot be used: {found.reason}"
            continue
        yield "ready", f"{name}"
        yield "", f"    {_plain(found.summary)}"
        for each in describe_parameters(found):
            notes = ", ".join(filter(None, (_plain(each.kind), _plain(each.need))))
            yield "", f"    {each.name:<16} {_plain(each.meaning)} ({notes})"
        for line in found.example.splitlines():
            yield "", f"        {line}".rstrip()
        yield "", ""


def list_data(registry: Registry) -> list[dict[str, Any]]:
    """Return the hooks as data; docs/output.md describes it."""
    return [
        {"name": name, "problem": found.reason}
        if isinstance(found, Broken)
        else {
            "name": name,
            "summary": found.summary,
            "example": found.example,
            "parameters": found.parameters.model_json_schema(),
        }
        for name in registry.names
        if (found := registry.find(name)) is not None
    ]


def reference() -> str:
    """Return the page that documents the built-in hooks, in Markdown."""
    registry = Registry(lambda: ())
    hooks = [found for name in BUILT_IN if isinstance(found := registry.find(name), Hook)]
    return "\n".join(
        [_INTRODUCTION, *_overview(hooks), *(line for h in hooks for line in _page(h))]
    )


_INTRODUCTION = """\
# Hooks

<!-- Made from codexctl_tasks/hooks by `make docs`. -->

A step of `services.yaml` either runs a script (`run:`) or uses one of these hooks (`use:`, with its
parameters under `with:`). [stack.md](stack.md#hooks) tells when steps run and what they may say;
[writing-hooks.md](writing-hooks.md) how a team adds hooks of its own. `codexctl hooks` prints this
page for what is installed; `codexctl hooks run NAME --with KEY=VALUE` runs one alone.

All of them can be run again at any time, also by two runs at once. Parameters are checked, with
file and line, before anything is applied.
"""


def _overview(hooks: list[Hook[Any]]) -> Iterator[str]:
    yield from ("| hook | does |", "|---|---|")
    for hook in hooks:
        yield f"| [`{hook.name}`](#{hook.name.replace('.', '')}) | {hook.summary} |"
    yield ""


def _page(hook: Hook[Any]) -> Iterator[str]:
    yield from (f"## {hook.name}", "", hook.description, "")
    if parameters := describe_parameters(hook):
        yield from ("| parameter | value | meaning |", "|---|---|---|")
        for each in parameters:
            value = ", ".join(filter(None, (each.kind, each.need)))
            yield f"| `{each.name}` | {value} | {each.meaning} |".replace("||", "\\|\\|")
        yield ""
    if hook.example:
        yield from ("```yaml", hook.example, "```", "")
    if hook.replaces:
        yield from ("It replaces:", "", "```bash", hook.replaces, "```", "")


def _kind(entry: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Say what a value is, in words."""
    if choices := [each for each in entry.get("anyOf", ()) if each.get("type") != "null"]:
        return " or ".join(dict.fromkeys(_kind(each, definitions) for each in choices))
    if "$ref" in entry:
        return _kind(definitions[entry["$ref"].rpartition("/")[2]], definitions)
    if "enum" in entry:
        return " or ".join(f"`{choice}`" for choice in entry["enum"])
    if entry.get("format") == "duration":
        return "duration"
    if entry.get("type") == "array":
        items = entry.get("items", {})
        inner = _kind(items, definitions)
        return (
            f"list out of {inner.replace(' or ', ', ')}" if "enum" in items else f"list of {inner}s"
        )
    return _KINDS.get(str(entry.get("type")), "text")


def _default(entry: Mapping[str, Any]) -> str:
    value = entry.get("default")
    if value in (None, "", [], {}):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return _duration(value) if entry.get("format") == "duration" else str(value)


def _duration(seconds: float) -> str:
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (left, "s"))
    return "".join(f"{number:g}{unit}" for number, unit in parts if number)


def _plain(text: str) -> str:
    return text.replace("`", "")
