"""The syntax tree of a Go template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Dot:
    """``.``: the current value."""


@dataclass(frozen=True, slots=True)
class Nil:
    """``nil``, which stands only for an argument."""


@dataclass(frozen=True, slots=True)
class Bool:
    """``true`` or ``false``."""

    value: bool


@dataclass(frozen=True, slots=True)
class String:
    """A string in double or back quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number or character, which Go gives a type only where it is used."""

    text: str
    integer: int | None
    """As an argument that must be an int; None if it is not integral or too large."""
    untyped: int | float | None
    """Where any type will do; None if it is too large for an int."""


@dataclass(frozen=True, slots=True)
class Field:
    """``.A.B``: fields of the current value."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """``$name`` or ``$name.A.B``."""

    name: str
    """With the dollar sign."""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function."""

    name: str


@dataclass(frozen=True, slots=True)
class Chain:
    """``(...).A.B`` or ``function.A.B``."""

    operand: Function | Pipeline
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """An operand with arguments: the arguments make it a call."""

    operand: Operand
    arguments: tuple[Operand, ...]
    source: str
    """The operand as it is written."""

    def pipelines(self) -> Iterator[Pipeline]:
        """Yield the pipelines that stand in parentheses in it."""
        for operand in (self.operand, *self.arguments):
            inner = operand.operand if isinstance(operand, Chain) else operand
            if isinstance(inner, Pipeline):
                yield inner


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each of which is the last argument of the next."""

    line: int
    commands: tuple[Command, ...]
    variables: tuple[str, ...]
    """That get the value."""
    assigns: bool
    """Whether they exist already (`=`), rather than being declared here (`:=`)."""
    source: str
    """The pipeline as it is written."""

    def declares(self) -> bool:
        """Say whether it may leave behind a variable; a piped operand of `and` is kept in one."""
        if self.variables and not self.assigns:
            return True
        return any(_is_shortcut(command) for command in self.commands[1:]) or any(
            inner.declares() for inner in self._inner()
        )

    def height(self) -> int:
        """Return how many calls are inside each other when it is written as calls."""
        height = 0
        for command in self.commands:
            inner = max((pipeline.height() for pipeline in command.pipelines()), default=0)
            own = inner + len(command.arguments) if _is_shortcut(command) else inner
            height = max(height, own) + 1
        return height

    def _inner(self) -> Iterator[Pipeline]:
        for command in self.commands:
            yield from command.pipelines()


def _is_shortcut(command: Command) -> bool:
    return isinstance(command.operand, Function) and command.operand.name in ("and", "or")


Operand: TypeAlias = (
    Dot | Nil | Bool | String | Number | Field | Variable | Function | Chain | Pipeline
)


@dataclass(frozen=True, slots=True)
class Text:
    """Text outside of actions, after trimming."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose value is printed, unless variables get it."""

    line: int
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Branch:
    """A condition and what depends on it."""

    line: int
    condition: Pipeline
    body: Body


@dataclass(frozen=True, slots=True)
class If:
    """``if`` with its ``else if`` branches."""

    line: int
    branches: tuple[Branch, ...]
    orelse: Body


@dataclass(frozen=True, slots=True)
class With:
    """``with``; an ``else with`` is the only node of *orelse*."""

    line: int
    pipeline: Pipeline
    body: Body
    orelse: Body


@dataclass(frozen=True, slots=True)
class Range:
    """A loop."""

    line: int
    pipeline: Pipeline
    body: Body
    orelse: Body


@dataclass(frozen=True, slots=True)
class Include:
    """``template``, and ``block`` where it stands."""

    line: int
    name: str
    pipeline: Pipeline | None


@dataclass(frozen=True, slots=True)
class Break:
    """``break``."""

    line: int


@dataclass(frozen=True, slots=True)
class Continue:
    """``continue``."""

    line: int


Node: TypeAlias = Text | Action | If | With | Range | Include | Break | Continue
Body: TypeAlias = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template with the templates that it defines."""

    name: str
    """Its own name among *definitions*."""
    definitions: Mapping[str, Body]
