"""
YAML documents with the line each part stands in.

Scalars follow YAML 1.2, as every Kubernetes client in Go reads them; PyYAML's own rules are
those of YAML 1.1, where ``12:30`` is 750 and ``yes`` is true.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from codexctl_tasks.errors import ConfigurationError, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"(?:~|null|Null|NULL|)$")
_MERGE = re.compile(r"<<$")
_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
)
_DEEPEST = 100
"""Levels; real manifests have a dozen."""
_MOST_VALUES = 1_000_000
"""In one document, aliases written out: etcd takes no object that comes near."""
_JSON_TYPES = {"null", "bool", "int", "float", "str", "seq", "map"}
_EXACT_INTEGERS = 2**53
"""Up to here every whole number has a float of its own, so 1e3 may become 1000."""


class _Loader(yaml.CSafeLoader):
    """Reads scalars by YAML 1.2; its values are those that JSON has."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own attribute

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct a value; a tag or number that makes no sense is a problem with a line."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, KeyError) as error:
            raise _problem(f"not a {node.tag.rpartition(':')[2]}", node) from error


class _TextLoader(_Loader):
    """Keeps the spelling of every scalar, so that a version 1.10 stays "1.10"."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own attribute


class _Dumper(yaml.CSafeDumper):
    """Writes what both YAML 1.1 and YAML 1.2 readers read back as it was."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _construct_float(_: yaml.Loader, node: yaml.ScalarNode) -> float | int | str:
    value = float(node.value.replace("_", ""))
    if not math.isfinite(value):  # JSON has no infinity
        return str(node.value)
    return int(value) if value.is_integer() and abs(value) <= _EXACT_INTEGERS else value


def _set_up() -> None:
    for loader in (_Loader, _TextLoader):
        loader.yaml_constructors = {
            tag: constructor
            for tag, constructor in yaml.CSafeLoader.yaml_constructors.items()
            if tag is None or tag.rpartition(":")[2] in _JSON_TYPES
        }
        loader.add_implicit_resolver("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""])
        loader.add_implicit_resolver("tag:yaml.org,2002:merge", _MERGE, ["<"])
    _Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tTfF"))
    _Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
    for reader in (_Loader, _Dumper):
        reader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
        reader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


_set_up()


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document and the way back to the file it was written in."""

    value: Any
    _node: yaml.Node = field(repr=False)
    _source_place: Callable[[int], Location] = field(repr=False)

    def location(self, path: Sequence[str | int] = ()) -> Location:
        """Return the place of *path* (keys and indexes), or of the deepest part that exists."""
        node, mark = self._node, self._node.start_mark
        for step in path:
            if (found := _child(node, step)) is None:
                break
            node, mark = found
        return self._source_place(mark.line + 1)


def read_documents(
    text: str,
    file: str,
    *,
    keep_spelling: bool = False,
    source_place: Callable[[int], Location] | None = None,
) -> Iterator[Document]:
    """
    Yield the documents of a YAML text; empty ones are left out.

    Args:
        text: The YAML, after any templating.
        file: Its name, for messages.
        keep_spelling: Leave every scalar but null as the text that stands in the file.
        source_place: Tells where a line of *text*, from 1, was written; None: there, in *file*.

    Raises:
        ConfigurationError: The text is no YAML; names the line.
    """
    place_of = source_place or (lambda line: Location(file, line))
    loader = (_TextLoader if keep_spelling else _Loader)(text)
    try:
        _refuse_depth(text, place_of)
        while loader.check_node():
            if (node := loader.get_node()) is None:
                continue
            _expanded_size(node, {})
            value = loader.construct_document(node)
            if value not in (None, {}):
                yield Document(value, node, place_of)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = place_of(mark.line + 1) if mark else Location(file)
        raise ConfigurationError(
            place,
            f"is not valid YAML: {error.problem or error.context}",
            "check indentation, colons and quotes there and on the line above",
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        # An unprintable character, or brackets without end: without a place.
        raise ConfigurationError(
            Location(file), f"is not valid YAML: {error}", "save it as UTF-8 text"
        ) from error
    finally:
        loader.dispose()


def write_documents(values: Sequence[Any]) -> str:
    """Return *values* as YAML with sorted keys; every reader gets back the same strings."""
    return "".join(
        "---\n" + yaml.dump(value, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=1000)
        for value in values
    )


def _refuse_depth(text: str, place_of: Callable[[int], Location]) -> None:
    """
    Refuse what would exhaust the stack of the composer, which is written in C and just dies.

    Reading the events costs a third of the whole work, so only a text that has what it takes to
    be so deep is looked at: many brackets, or a very wide indentation.
    """
    brackets = text.count("[") + text.count("{") + text.count("- -")
    if brackets <= _DEEPEST and " " * _DEEPEST not in text:
        return
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST and event.start_mark:
            raise ConfigurationError(
                place_of(event.start_mark.line + 1),
                f"is nested more than {_DEEPEST} levels deep",
                "make it flatter",
            )


def _expanded_size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """
    Count the values of a node with every alias written out.

    Refuses what PyYAML accepts and JSON cannot say: a key that stands twice, an alias that
    contains itself. *sizes* holds what was counted before, 0 for nodes being counted.
    """
    known = sizes.get(id(node))
    if known == 0:
        raise _problem("an alias contains itself", node)
    if known is not None:
        return known
    sizes[id(node)] = 0
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _refuse_double_keys(node)
        inner = [value for _, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        inner = node.value
    size = 1 + sum(_expanded_size(part, sizes) for part in inner)
    if size > _MOST_VALUES:
        raise _problem("aliases make it larger than any manifest", node)
    sizes[id(node)] = size
    return size


def _refuse_double_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                raise _problem(f"the key {key.value!r} stands twice", key)
            seen.add(key.value)


def _problem(text: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark)


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Mark] | None:
    """Return the value at a key or index, and where a person looks for it: at the key."""
    if isinstance(node, yaml.MappingNode):
        # The last one: the keys that `<<` merges in stand before those that override them.
        for key, value in reversed(node.value):
            if key.value == step:
                return value, key.start_mark
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark
    return None
