"""
YAML documents with the line each part stands in.

Scalars follow YAML 1.2, as every Kubernetes client in Go reads them; PyYAML's own rules are
those of YAML 1.1, where ``12:30`` is 750 and ``yes`` is true.
"""

from __future__ import annotations

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
_EXACT_INTEGERS = 2**53
"""Up to here every whole number has a float of its own, so 1e3 may become 1000."""


class _Loader(yaml.CSafeLoader):
    """Reads scalars by YAML 1.2 and refuses a key that stands twice."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own attribute

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


class _TextLoader(_Loader):
    """Keeps the spelling of every scalar, so that a version 1.10 stays "1.10"."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own attribute


class _Dumper(yaml.CSafeDumper):
    """Writes what both YAML 1.1 and YAML 1.2 readers read back as it was."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _construct_float(_: yaml.Loader, node: yaml.ScalarNode) -> float | int:
    value = float(node.value.replace("_", ""))
    return int(value) if value.is_integer() and abs(value) <= _EXACT_INTEGERS else value


def _set_up() -> None:
    for loader in (_Loader, _TextLoader):
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
    file: str
    _node: yaml.Node = field(repr=False)
    _source_line: Callable[[int], int] = field(repr=False)

    def location(self, path: Sequence[str | int] = ()) -> Location:
        """Return the place of *path* (keys and indexes), or of the deepest part that exists."""
        node = self._node
        for step in path:
            if (inner := _child(node, step)) is None:
                break
            node = inner
        return Location(self.file, self._source_line(node.start_mark.line + 1))


def read_documents(
    text: str,
    file: str,
    *,
    keep_spelling: bool = False,
    source_line: Callable[[int], int] = lambda line: line,
) -> Iterator[Document]:
    """
    Yield the documents of a YAML text; empty ones are left out.

    Args:
        text: The YAML, after any templating.
        file: Its name, for messages.
        keep_spelling: Leave every scalar but null as the text that stands in the file.
        source_line: Turns a line of *text* into one of *file*, both from 1.

    Raises:
        ConfigurationError: The text is no YAML; names the line.
    """
    loader = (_TextLoader if keep_spelling else _Loader)(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            value = loader.construct_document(node)
            if node is not None and value not in (None, {}):
                yield Document(value, file, node, source_line)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = source_line(mark.line + 1) if mark else None
        raise ConfigurationError(
            Location(file, line),
            f"is not valid YAML: {error.problem or error.context}",
            "check indentation, colons and quotes there and on the line above",
        ) from error
    except yaml.YAMLError as error:  # an unprintable character: without a mark, text on two lines
        raise ConfigurationError(
            Location(file), f"is not valid YAML: {error}", "save the file as UTF-8 text"
        ) from error
    finally:
        loader.dispose()


def write_documents(values: Sequence[Any]) -> str:
    """Return *values* as YAML with sorted keys; every reader gets back the same strings."""
    return "".join(
        "---\n" + yaml.dump(value, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=1000)
        for value in values
    )


def _child(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        inner: yaml.Node = node.value[step]
        return inner
    return None
