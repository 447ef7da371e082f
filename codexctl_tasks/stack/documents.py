"""YAML documents with the line each part stands in; `yaml_values` says what the parts are."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from codexctl_tasks.errors import ConfigurationError, Location
from codexctl_tasks.stack.yaml_mistakes import explained, line_of
from codexctl_tasks.stack.yaml_values import (
    MERGE_TAG,
    NULL_TAG,
    Dumper,
    Loader,
    TextLoader,
    merge_parts,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_DEEPEST = 100
"""Levels; real manifests have a dozen."""
_NESTING = re.compile(r"[\[{]|[-?:][ \t]+(?=[-?:](?:\s|$))")
"""What can open another level on the same line."""
_ODD_BREAKS = ("\x85", "\u2028", "\u2029")
"""Line breaks to YAML 1.1 alone."""
_BEGINNING = "begin with project: NAME"


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document and the way back to the file it was written in."""

    value: Any
    _node: yaml.Node = field(repr=False)
    _line_of: Callable[[yaml.Mark], int] = field(repr=False)
    _place_of: Callable[[int], Location] = field(repr=False)

    def location(self, path: Sequence[str | int] = ()) -> Location:
        """Return the place of *path* (keys and indexes), or of the deepest part that exists."""
        node, mark = self._node, self._node.start_mark
        for step in path:
            if (found := _child(node, step)) is None:
                break
            node, mark = found
        return self._place_of(self._line_of(mark))

    def at(self, path: Sequence[str | int]) -> Any:
        """Return the value at *path*; None if there is none."""
        value = self.value
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def text_location(self, path: Sequence[str | int], line: int) -> Location:
        """
        Return the place of a line, from 1, of the text at *path*.

        Only a text behind ``|`` has the lines of the file; of any other it is the beginning.
        """
        node = self._node
        for step in path:
            if (found := _child(node, step)) is None:
                return self.location(path)
            node = found[0]
        begin = self._line_of(node.start_mark)
        style = str(getattr(node, "style", ""))
        return self._place_of(begin + {"|": line, ">": 1}.get(style, 0))


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
    text = text.removeprefix("\ufeff")
    place_of = source_place or (lambda line: Location(file, line))
    mark_line = _line_counter(text)
    loader = (TextLoader if keep_spelling else Loader)(text)
    try:
        _refuse_depth(text, place_of)
        while loader.check_node():
            if (node := loader.get_node()) is None:
                continue
            value = value_of(node)
            if value not in (None, {}):
                yield Document(value, node, mark_line, place_of)
    except (yaml.YAMLError, RecursionError) as error:
        raise explained(error, text, file, place_of, raw=False) from error
    finally:
        loader.dispose()


@dataclass(frozen=True, slots=True)
class Outline:
    """The tree of one YAML document whose values are looked at one by one, as text."""

    _node: yaml.Node = field(repr=False)
    _line_of: Callable[[yaml.Mark], int] = field(repr=False)
    _place_of: Callable[[int], Location] = field(repr=False)

    def location(self, path: Sequence[str | int]) -> Location:
        """Return the place of *path*, or of the deepest part of it that exists."""
        return Document(None, self._node, self._line_of, self._place_of).location(path)

    def texts(self, path: Sequence[str]) -> dict[str, str]:
        """Return the scalars of a mapping by their keys; what is nested in it is left out."""
        node = self._find(path)
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        return {
            str(key.value): "" if value.tag == NULL_TAG else value.value
            for key, value in pairs
            if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
        }

    def keys(self, path: Sequence[str]) -> list[str]:
        """Return the keys of a mapping."""
        node = self._find(path)
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        return [str(key.value) for key, _ in pairs if isinstance(key, yaml.ScalarNode)]

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


def read_outline(text: str, file: str) -> Outline:
    """
    Return the outline of a YAML text that need not make sense as a whole: a template, say.

    Raises:
        ConfigurationError: The text is no YAML, or not one mapping; names the line.
    """
    text = text.removeprefix("\ufeff")
    mark_line = _line_counter(text)
    loader = TextLoader(text)
    try:
        _refuse_depth(text, lambda line: Location(file, line))
        nodes: list[yaml.Node] = []
        while loader.check_node():
            nodes += filter(None, [loader.get_node()])
    except (yaml.YAMLError, RecursionError) as error:
        raise explained(error, text, file, lambda line: Location(file, line), raw=True) from error
    finally:
        loader.dispose()
    written = [node for node in nodes if node.tag != NULL_TAG]
    places = [Location(file, mark_line(node.start_mark)) for node in written]
    are_mappings = [isinstance(node, yaml.MappingNode) for node in written]
    if problem := not_one_mapping(file, are_mappings, places):
        raise problem
    return Outline(written[0], mark_line, lambda line: Location(file, line))


def not_one_mapping(
    file: str, are_mappings: Sequence[bool], places: Sequence[Location]
) -> ConfigurationError | None:
    """
    Return what is wrong with a file that has to hold one mapping, if anything.

    Args:
        file: Its name.
        are_mappings: Which of its documents are mappings.
        places: Where they begin.
    """
    if not places:
        return ConfigurationError(Location(file), "is empty", _BEGINNING)
    if len(places) > 1:
        fix = "remove the '---' above it"
        return ConfigurationError(places[1], "begins a second document", fix)
    if not are_mappings[0]:
        return ConfigurationError(places[0], "is not a mapping of keys", _BEGINNING)
    return None


def write_documents(documents: Iterable[tuple[Any, str]]) -> str:
    """
    Return values as YAML, keys in the order they have; every reader gets back the same strings.

    Args:
        documents: Each value with a comment to put above it; empty for none.
    """
    stream = io.StringIO()
    for value, comment in documents:
        line = " ".join(comment.split())  # a name with a line break would end the comment
        stream.write(f"---\n# {line}\n" if line else "---\n")
        Dumper(stream, allow_unicode=True, width=1000).write(value)
    return stream.getvalue()


def _refuse_depth(text: str, place_of: Callable[[int], Location]) -> None:
    """
    Refuse what would exhaust the stack of the composer, which is written in C and just dies.

    Reading the events costs a third of the whole work, so only a text that has what it takes to
    be so deep is looked at: much that opens a level on the same line, or a very wide indentation.
    """
    if len(_NESTING.findall(text)) <= _DEEPEST and " " * _DEEPEST not in text:
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


def _line_counter(text: str) -> Callable[[yaml.Mark], int]:
    """Return a function that tells the line of a mark, from 1."""
    is_odd = text.count("\r") != text.count("\r\n") or any(c in text for c in _ODD_BREAKS)
    return (lambda mark: line_of(text, mark)) if is_odd else (lambda mark: mark.line + 1)


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Mark] | None:
    """Return the value at a key or index, and where a person looks for it: at the key."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return value, key.start_mark
        merges = [value for key, value in node.value if key.tag == MERGE_TAG]
        for part in (part for merge in merges for part in merge_parts(merge)):
            if found := _child(part, step):
                return found
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark
    return None
