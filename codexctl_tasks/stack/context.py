"""The names that templates can refer to, and where each value came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from codexctl_tasks.stack.gotemplate.values import StringMap, Struct
from codexctl_tasks.stack.model import Codex
from codexctl_tasks.stack.sealing import sealed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codexctl_tasks.stack.gotemplate.times import Time
    from codexctl_tasks.stack.model import Stack
    from codexctl_tasks.stack.variables import Variable, Variables

_INITIALISMS = {"mcp": "MCP", "toml": "TOML", "reviewMcpEnabled": "ReviewMCPEnabled"}
"""Where Go's name of a field is more than its key with a capital letter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What a stack is rendered with."""

    env: str
    project: str
    namespace: str
    project_root: str
    slot: int
    now: Time
    variables: Variables = field(repr=False)
    versions: Mapping[str, str]
    base_domain: Mapping[str, str]
    stack: Stack | None = None
    """The rendered ``services.yaml``; None while that is being rendered itself."""
    images: StringMap = field(default_factory=StringMap)
    """Where each image of the stack is, by its key under ``images``."""
    asked: set[str] = field(default_factory=set)
    """Names of variables that templates have looked up so far."""

    def names(self) -> dict[str, Any]:
        """Return the names that templates refer to, with values for both dialects."""
        stack = self.stack
        seal = stack is None  # what is being rendered is rendered in part once more
        texts = {
            "Env": self.env,
            "Namespace": self.namespace,
            "Project": self.project,
            "ProjectRoot": self.project_root,
        }
        return {
            **{name: sealed(text) if seal else text for name, text in texts.items()},
            "Slot": self.slot,
            "Now": self.now,
            "Vars": _values(self.variables.vars, seal=seal),
            "UserVars": _values(self.variables.user_vars, seal=seal),
            "EnvMap": _NotedMap(_values(self.variables.env_map, seal=seal), self.asked),
            "Versions": StringMap(stack.versions if stack else self.versions),
            "BaseDomain": StringMap(stack.base_domain if stack else self.base_domain),
            "Codex": _fields(stack.codex if stack else Codex()),
            "Images": self.images,
            "Storage": _fields(stack.storage) if stack and stack.storage else None,
            "IssueComments": [],
            "ReviewComments": [],
        }


class _NotedMap(StringMap):
    """Notes what is looked up in it."""

    def __init__(self, values: Mapping[str, str], asked: set[str]) -> None:
        super().__init__(values)
        self._asked = asked

    def __getitem__(self, name: str) -> str:
        self._asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or *default*."""
        self._asked.add(name)
        return super().get(name, default)


def _values(variables: Mapping[str, Variable], *, seal: bool) -> StringMap:
    values = {name: variable.value for name, variable in variables.items()}
    return StringMap({n: sealed(v) for n, v in values.items()} if seal else values)


def _fields(value: Any) -> Any:
    """Return a part of ``services.yaml`` as the struct that Go templates know."""
    if isinstance(value, BaseModel):
        return Struct(
            {_field_name(n): _fields(getattr(value, n)) for n in type(value).model_fields}
        )
    if isinstance(value, tuple):
        return [_fields(each) for each in value]
    if isinstance(value, dict):
        return {key: _fields(each) for key, each in value.items()}
    return value


def _field_name(name: str) -> str:
    camel = to_camel(name)
    return _INITIALISMS.get(camel, camel[:1].upper() + camel[1:])
