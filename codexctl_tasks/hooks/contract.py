"""
What a hook is: a function, a model of its parameters, and what it is told about the run.

A hook is called by a step of ``services.yaml`` (``use: NAME`` with ``with:``) or by
``codexctl hooks run``. It may be called again at any time, also beside itself in another run: it
makes things as they should be instead of doing them once more.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from codexctl_tasks.durations import duration_s
from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.stack.model import Flag, Stack, Text, Whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from codexctl_tasks.console import Console
    from codexctl_tasks.stack.manifests import Manifest
    from codexctl_tasks.stack.steps import Step
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside

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


class HookError(CodexctlError):
    """A program that a step runs has failed, or a hook could not do what it is there for."""

    exit_code = 5


class Parameters(BaseModel):
    """
    Base of what stands under ``with:``.

    Keys are camelCase in the file and snake_case in the model; an unknown one is a mistake. The
    docstring below a field is what its documentation says. Values arrive as texts, lists and
    mappings: `Flag`, `Whole`, `Seconds` and `Text` read them.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, given: Any) -> Any:
        """Treat a key without a value as a key that is not there."""
        if isinstance(given, dict):
            return {key: value for key, value in given.items() if value is not None}
        return given


def _seconds(value: Any) -> Any:
    if isinstance(value, str) and (found := duration_s(value.strip())) > 0:
        return found
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise ValueError("not a duration")


Seconds = Annotated[
    float, BeforeValidator(_seconds), Field(json_schema_extra={"format": "duration"})
]
"""A duration above zero, written ``90``, ``90s``, ``10m`` or ``1h30m``."""


def _texts(value: Any) -> Any:
    if isinstance(value, str | int):
        value = str(value).split(",")
    if not isinstance(value, list | tuple):
        raise ValueError("neither a text nor a list")  # noqa: TRY004 - pydantic's contract
    if not all(isinstance(each, str | int) for each in value):
        raise ValueError("not only texts")
    texts = (str(each).strip() for each in value)
    return tuple(text for text in texts if text)


Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
"""A list of texts, also written ``a, b``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What every step of a run is told about it."""

    env: str
    """Name of the environment; empty: none was given (``codexctl hooks run``)."""
    slot: int
    """0: none."""
    project: str
    namespace: str
    """Of the environment; empty: it has none."""
    folder: Path
    """That of ``services.yaml``, absolute."""
    stack: Stack
    """The rendered ``services.yaml``."""
    variables: Mapping[str, str] = field(repr=False)
    """Process environment, env files, ``--var-file`` and ``--vars``; later ones win. Never print
    it: it holds secrets."""
    manifests: tuple[Manifest, ...] = field(default=(), repr=False)
    """The desired objects of the environment."""
    stack_name: str = ""
    """Under which the objects are remembered; empty: they are not."""
    steps: tuple[Step, ...] = field(default=(), repr=False)
    """All steps of the run, whenever they run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HookContext(Surroundings):
    """What a hook is told about the run, and the way to the outside."""

    hook: str
    """Name of the hook, for messages."""
    outside: Outside = field(repr=False)
    connect: Callable[[], Cluster] = field(repr=False)
    """Returns the cluster of the run; connects at the first call."""
    deadline_s: float
    """Moment of the clock at which the step's time is over."""

    @property
    def clock(self) -> Clock:
        """The clock to read and to wait by."""
        return self.outside.clock

    @property
    def console(self) -> Console:
        """What people read; prefer `tell` and `warn`."""
        return self.outside.console

    @property
    def left_s(self) -> float:
        """Seconds until the step's time is over; at least 0."""
        return max(self.deadline_s - self.clock.now(), 0.0)

    def tell(self, line: str) -> None:
        """Tell what was done, one line."""
        self.console.step("hook", line)

    def warn(self, line: str) -> None:
        """Tell of something that is odd but stops nothing, one line."""
        self.console.warn(f"{self.hook}: {line}")

    def hide(self, values: Iterable[str]) -> None:
        """Mask these values in everything that is written from now on."""
        self.console.hide(values)


P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook(Generic[P]):
    """A hook as the registry knows it."""

    name: str
    parameters: type[P]
    act: Callable[[P, HookContext], None]
    """
    Does the work.

    Raises `CodexctlError` for what may go wrong: `HookError` if nothing says it better. It
    respects `HookContext.deadline_s`; a second later it is stopped by force.
    """
    example: str = ""
    """A step that uses it, as YAML."""
    replaces: str = ""
    """The shell that people write without it."""

    @property
    def summary(self) -> str:
        """What it does, in one sentence."""
        return self.description.partition("\n\n")[0].replace("\n", " ")

    @property
    def description(self) -> str:
        """What it does, from the function's docstring, in Markdown."""
        return inspect.cleandoc(self.act.__doc__ or "")

    def __call__(self, given: P, context: HookContext) -> None:
        """Do the work."""
        self.act(given, context)


def hook(
    name: str, parameters: type[P], *, example: str = "", replaces: str = ""
) -> Callable[[Callable[[P, HookContext], None]], Hook[P]]:
    """
    Make a hook of a function; its docstring is the documentation.

    Args:
        name: What stands behind ``use:``; packages put a name of their own before a dot.
        parameters: Model of what stands under ``with:``.
        example: A step that uses it, as YAML.
        replaces: The shell that people write without it.
    """
    return lambda act: Hook(
        name=name,
        parameters=parameters,
        act=act,
        example=inspect.cleandoc(example),
        replaces=inspect.cleandoc(replaces),
    )
