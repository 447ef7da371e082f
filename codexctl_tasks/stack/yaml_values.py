"""
Values of YAML 1.2, as every Kubernetes client in Go reads them.

PyYAML's own rules are those of YAML 1.1, where ``12:30`` is 750 and ``yes`` is true. Only its
parser and its emitter are used, both written in C: its constructors take longer than these.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import yaml

from codexctl_tasks.stack.yaml_mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TAG = "tag:yaml.org,2002:"
NULL_TAG = _TAG + "null"
MERGE_TAG = _TAG + "merge"
_STR_TAG = _TAG + "str"
_NUMERIC_TAGS = (_TAG + "bool", _TAG + "int", _TAG + "float")
_COLLECTION_TAGS = {yaml.SequenceNode: _TAG + "seq", yaml.MappingNode: _TAG + "map"}
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"(?:~|null|Null|NULL|)$")
_INT = re.compile(r"[-+]?(?:0[bB][01_]+|0[oO]?[0-7_]+|0|[1-9][0-9_]*|0[xX][0-9a-fA-F_]+)$")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?$"
    r"|[-+]?0[0-9_]*[89][0-9_]*$"  # 08 is no octal number, but a number all the same
)
_MOST_VALUES = 1_000_000
"""In one document, aliases written out: etcd takes no object that comes near."""
_LARGEST_PLAIN = 1e21
"""From here on Go writes a whole float with an exponent; below, 1e3 reaches the server as 1000."""


class Loader(yaml.CSafeLoader):
    """Reads scalars by YAML 1.2."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """Return the tag of a node; a scalar in quotes is a text."""
        if kind is yaml.ScalarNode:
            return _plain_tag(value) if implicit[0] else _STR_TAG
        return _COLLECTION_TAGS[kind]


class TextLoader(Loader):
    """Keeps the spelling of every scalar, so that a version 1.10 stays "1.10"."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """Return the tag of a node: of scalars, only nothing and ``<<`` are no texts."""
        tag = super().resolve(kind, value, implicit)
        return _STR_TAG if tag in _NUMERIC_TAGS else tag


class Dumper(yaml.CSafeDumper):
    """Writes what both YAML 1.1 and YAML 1.2 readers read back as it was; no anchors."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Return the tag that a reader of either version would give to a node."""
        if kind is yaml.ScalarNode and implicit[0] and _plain_tag(value) != _STR_TAG:
            return _plain_tag(value)
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def write(self, value: Any) -> None:
        """Write one document."""
        self.open()
        self.serialize(_node_of(value))
        self.close()


@functools.lru_cache(maxsize=50_000)
def _plain_tag(text: str) -> str:
    """Return the tag of a scalar without quotes; manifests use the same words over and over."""
    if _NULL.match(text):
        return NULL_TAG
    if _BOOL.match(text):
        return _TAG + "bool"
    if text[0] in "-+.0123456789":
        if _INT.match(text):
            return _TAG + "int"
        if _FLOAT.match(text):
            return _TAG + "float"
    return MERGE_TAG if text == "<<" else _STR_TAG


def value_of(node: yaml.Node) -> Any:
    """
    Return the value of a node, made of what JSON has; keys are texts, so 1 becomes "1".

    Raises:
        Mistake: What PyYAML would accept and JSON cannot say: a key that stands twice, an alias
            that contains itself, aliases that multiply, an unknown tag.
    """
    return _Construction().value(node)


class _Construction:
    """The values of one document; what an alias refers to is made once."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Any, int]] = {}
        """Value and size of each collection by node; size 0: it is being made."""
        self._count = 0
        """Values so far, aliases written out."""

    def value(self, node: yaml.Node) -> Any:
        """Return the value of a node."""
        if isinstance(node, yaml.ScalarNode):
            self._count += 1
            return _scalar(node)
        made = self._made.get(id(node))
        if made is not None:
            return self._again(node, *made)
        begin = self._count
        self._made[id(node)] = None, 0
        self._count += 1
        found: Any
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            found = self._mapping(node)
        elif isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            found = [self.value(inner) for inner in node.value]
        else:
            raise _wrong_tag(node)
        size = self._count - begin
        if size > _MOST_VALUES:
            raise Mistake("aliases make it larger than any manifest", "use fewer of them", node)
        self._made[id(node)] = found, size
        return found

    def _again(self, node: yaml.Node, found: Any, size: int) -> Any:
        if not size:
            raise Mistake("an alias contains itself", "remove it", node)
        self._count += size
        return found

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        spellings: set[str] = set()
        for key_node, value_node in node.value:
            if key_node.tag == MERGE_TAG:
                for part in merge_parts(value_node):
                    merged = {**self.value(part), **merged}  # the first one wins
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise Mistake("a list or mapping cannot be a key", "put it in quotes", key_node)
            if key_node.value in spellings:
                what = f"the key {key_node.value!r} stands twice"
                raise Mistake(what, "remove one of them", key_node)
            spellings.add(key_node.value)
            key = _scalar(key_node)
            own[key if isinstance(key, str) else json.dumps(key)] = self.value(value_node)
        return {**merged, **own} if merged else own


def merge_parts(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    """Yield the mappings that ``<<`` merges into another, the strongest first."""
    for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if not isinstance(part, yaml.MappingNode):
            raise Mistake("'<<' merges what is no mapping", "name the alias of a mapping", node)
        yield part


def _scalar(node: yaml.ScalarNode) -> Any:
    try:
        return _SCALARS[node.tag](node.value)
    except (KeyError, ValueError) as error:
        raise _wrong_tag(node) from error


def _wrong_tag(node: yaml.Node) -> Mistake:
    kind = node.tag.removeprefix(_TAG)
    if kind in ("null", "bool", "int", "float", "str", "seq", "map"):
        return Mistake(f"the value is no !!{kind}", "correct it, or remove the tag", node)
    return Mistake("its tag means nothing here", "remove the tag", node)


def _bool(text: str) -> bool:
    if not _BOOL.match(text):
        raise ValueError(text)
    return text.lower() == "true"


def _int(text: str) -> int:
    text = text.replace("_", "").lower()
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    octal = digits.startswith("0") and not digits.startswith(("0b", "0o", "0x"))
    return sign * int(digits, 8 if octal else 0)


def _float(text: str) -> float | int | str:
    value = float(text.replace("_", ""))
    if not math.isfinite(value):  # JSON has no infinity
        return text
    if value.is_integer() and abs(value) < _LARGEST_PLAIN:
        return int(Decimal(repr(value)))
    return value


_SCALARS: dict[str, Callable[[str], Any]] = {
    NULL_TAG: lambda _: None,
    _TAG + "bool": _bool,
    _TAG + "int": _int,
    _TAG + "float": _float,
    _TAG + "str": str,
}


def _node_of(value: Any) -> yaml.Node:
    """Return the node that writes a value; PyYAML's own representers take twice as long."""
    if isinstance(value, str):
        # Several lines as several lines; the emitter quotes them where that would change them.
        return yaml.ScalarNode(_STR_TAG, value, style="|" if "\n" in value else None)
    if isinstance(value, Mapping):
        pairs = [(_node_of(key), _node_of(inner)) for key, inner in value.items()]
        return yaml.MappingNode(_TAG + "map", pairs, flow_style=False)
    if isinstance(value, (list, tuple)):
        return yaml.SequenceNode(_TAG + "seq", [_node_of(each) for each in value], flow_style=False)
    if value is None or isinstance(value, bool):
        return yaml.ScalarNode(NULL_TAG if value is None else _TAG + "bool", json.dumps(value))
    if isinstance(value, int):
        return yaml.ScalarNode(_TAG + "int", str(value))
    text = repr(float(value))
    if "e" in text and "." not in text:  # 1e+21 is a text to YAML 1.1
        text = text.replace("e", ".0e")
    return yaml.ScalarNode(_TAG + "float", text)
