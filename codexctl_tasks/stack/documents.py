"""
YAML documents with the line each part stands in.

Scalars follow YAML 1.2, as every Kubernetes client in Go reads them; PyYAML's own rules are
those of YAML 1.1, where ``12:30`` is 750 and ``yes`` is true.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import yaml

from codexctl_tasks.errors import ConfigurationError, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"(?:~|null|Null|NULL|)$")
_MERGE = re.compile(r"<<$")
_INT = re.compile(r"[-+]?(?:0[bB][01_]+|0[oO]?[0-7_]+|0|[1-9][0-9_]*|0[xX][0-9a-fA-F_]+)$")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
    r"|[-+]?0[0-9_]*[89][0-9_]*$"  # 08 is no octal number, but a number all the same
)
_DEEPEST = 100
"""Levels; real manifests have a dozen."""
_MOST_VALUES = 1_000_000
"""In one document, aliases written out: etcd takes no object that comes near."""
_JSON_TYPES = {"null", "bool", "int", "float", "str", "seq", "map"}
_NULL_TAG = "tag:yaml.org,2002:null"
_LARGEST_PLAIN = 1e21
"""From here on Go writes a whole float with an exponent; below, 1e3 reaches the server as 1000."""


class _Loader(yaml.CSafeLoader):
    """Reads scalars by YAML 1.2; its values are those that JSON has."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own attribute

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct a value; a tag or number that makes no sense is a problem with a line."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, KeyError) as error:
            raise _problem(f"not a {node.tag.rpartition(':')[2]}", node) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping whose keys are texts, as those of JSON are: 1 becomes "1"."""
        self.flatten_mapping(node)
        found = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (list, dict)):
                raise _problem("a list or mapping cannot be a key", key_node)
            found[key if isinstance(key, str) else json.dumps(key)] = self.construct_object(
                value_node, deep=deep
            )
        return found


class _TextLoader(_Loader):
    """Keeps the spelling of every scalar, so that a version 1.10 stays "1.10"."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own attribute


class _Dumper(yaml.CSafeDumper):
    """Writes what both YAML 1.1 and YAML 1.2 readers read back as it was."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Write several lines as several lines; PyYAML quotes them where that would change them."""
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _construct_int(_: yaml.Loader, node: yaml.ScalarNode) -> int:
    text = node.value.replace("_", "").lower()
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    octal = digits.startswith("0") and not digits.startswith(("0b", "0o", "0x"))
    return sign * int(digits, 8 if octal else 0)


def _construct_float(_: yaml.Loader, node: yaml.ScalarNode) -> float | int | str:
    value = float(node.value.replace("_", ""))
    if not math.isfinite(value):  # JSON has no infinity
        return str(node.value)
    if value.is_integer() and abs(value) < _LARGEST_PLAIN:
        return int(Decimal(repr(value)))
    return value


def _set_up() -> None:
    for loader in (_Loader, _TextLoader):
        loader.yaml_constructors = {
            tag: constructor
            for tag, constructor in yaml.CSafeLoader.yaml_constructors.items()
            if tag is None or tag.rpartition(":")[2] in _JSON_TYPES
        }
        loader.add_implicit_resolver(_NULL_TAG, _NULL, ["~", "n", "N", ""])
        loader.add_implicit_resolver("tag:yaml.org,2002:merge", _MERGE, ["<"])
    _Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tTfF"))
    _Dumper.add_representer(str, _represent_text)
    _Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
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
        mark = _mark(error)
        place = place_of(mark.line + 1) if mark else Location(file)
        raise ConfigurationError(place, *_words(error)) from error
    except (yaml.YAMLError, RecursionError) as error:
        # An unprintable character, or brackets without end: without a place.
        raise ConfigurationError(
            Location(file), f"is not valid YAML: {error}", "save it as UTF-8 text"
        ) from error
    finally:
        loader.dispose()


@dataclass(frozen=True, slots=True)
class Outline:
    """The tree of one YAML document whose values are looked at one by one, as text."""

    _node: yaml.MappingNode = field(repr=False)
    _file: str

    def location(self, path: Sequence[str | int]) -> Location:
        """Return the place of *path*, or of the deepest part of it that exists."""
        return Document(None, self._node, lambda line: Location(self._file, line)).location(path)

    def texts(self, path: Sequence[str]) -> dict[str, str]:
        """Return the scalars of a mapping by their keys; what is nested in it is left out."""
        node = self._find(path)
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        return {
            str(key.value): "" if value.tag == _NULL_TAG else value.value
            for key, value in pairs
            if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
        }

    def items(self, path: Sequence[str]) -> list[str]:
        """Return the scalars of a list."""
        node = self._find(path)
        values = node.value if isinstance(node, yaml.SequenceNode) else []
        return [str(value.value) for value in values if isinstance(value, yaml.ScalarNode)]

    def _find(self, path: Sequence[str]) -> yaml.Node | None:
        node: yaml.Node = self._node
        for step in path:
            found = _child(node, step)
            if found is None:
                return None
            node = found[0]
        return node


def read_outline(text: str, file: str) -> Outline | None:
    """
    Return the outline of a YAML text that need not make sense as a whole: a template, say.

    Returns:
        None if the text is not one mapping.

    Raises:
        ConfigurationError: The text is no YAML; names the line.
    """
    loader = _TextLoader(text)
    try:
        _refuse_depth(text, lambda line: Location(file, line))
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = _mark(error)
        if error.context == "expected a single document in the stream":
            return None
        raise ConfigurationError(
            Location(file, mark.line + 1 if mark else None),
            f"is not valid YAML before rendering: {error.problem or error.context}",
            "put templates in quotes, or check indentation, colons and quotes",
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(
            Location(file), f"is not valid YAML: {error}", "save it as UTF-8 text"
        ) from error
    finally:
        loader.dispose()
    return Outline(node, file) if isinstance(node, yaml.MappingNode) else None


def write_documents(documents: Iterable[tuple[Any, str]]) -> str:
    """
    Return values as YAML, keys in the order they have; every reader gets back the same strings.

    Args:
        documents: Each value with a comment to put above it; empty for none.
    """
    return "".join(
        "---\n"
        + (f"# {comment}\n" if comment else "")
        + yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
        for value, comment in documents
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


def _words(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    if error.problem == "second occurrence":  # allowed by YAML, and by nobody's eyes
        return "an anchor of this name exists already", "give one of them another name"
    return (
        f"is not valid YAML: {error.problem or error.context}",
        "check indentation, colons and quotes there and on the line above",
    )


def _mark(error: yaml.MarkedYAMLError) -> yaml.Mark | None:
    """Return where to look: a key without a colon is noticed only on the next line."""
    if error.context == "while scanning a simple key":
        return error.context_mark or error.problem_mark
    return error.problem_mark or error.context_mark


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
