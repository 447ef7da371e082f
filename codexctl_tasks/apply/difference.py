"""
What a run would change in one object, as few lines as tell it.

Nothing here is YAML to be read back: values of Secrets are left out, long texts are shortened to
the part that differs, and characters that would not show or would act on a terminal are escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from enum import Enum
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from codexctl_tasks.apply.line_edits import common, edits
from codexctl_tasks.apply.notation import (
    MOST_OF_A_TEXT,
    WIDTH,
    Opaque,
    block,
    cut,
    first,
    first_lines,
    flow,
    is_long,
    is_text,
    lines_of,
    quoted,
    shown_line,
)
from codexctl_tasks.console import MASK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

_CONTEXT = 2
"""Equal lines around those that differ."""
_LEAD = 30
"""Equal characters that are shown before those that differ, in lines that are shortened."""
_MOST_IN_A_ROW = 20
"""Lines of a text that were all added or all removed."""
_MOST = 400
"""Lines of an object: more is what nobody reads in a terminal."""

_OF_THE_SERVER = frozenset(
    {"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"}
)
_REVISION = "deployment.kubernetes.io/revision"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SECRET_FIELDS = ("data", "stringData")
_ITEM_KEYS: tuple[tuple[str, ...], ...] = (
    ("name",),
    ("mountPath",),
    ("devicePath",),
    ("containerPort", "protocol"),
    ("port", "protocol"),
    ("key",),
    ("path",),
    ("host",),
    ("topologyKey",),
    ("type",),
    ("ip",),
)
"""What tells items of a list apart: the first that every item has, and each another."""
_ITEM_DEFAULTS = {"protocol": "TCP"}
_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
_LABEL = re.compile(r"(?!\d+$)[\w./:@*-]+", re.ASCII)  # a number alone is a position
_ABSENT: Any = object()


class Sign(Enum):
    """What happens to a line."""

    ADDED = "+"
    REMOVED = "-"
    CHANGED = "~"
    SAME = " "


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a difference."""

    sign: Sign
    text: str
    depth: int = 0
    """1: it belongs to the last line of depth 0."""

    def __str__(self) -> str:
        return f"{'    ' * self.depth}{self.sign.value} {self.text}".rstrip()


def difference(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Line]:
    """
    Return what is different, nothing about what the server writes for itself.

    Args:
        before: The live object; None: there is none, and all of *after* is listed.
        after: The object as it would be; None: it would be deleted, of which nothing is listed.
    """
    if after is None:
        return []
    secret = "Secret" in (after.get("kind"), (before or {}).get("kind"))
    wanted = _relevant(after, secret=secret)
    if before is None:
        lines = [Line(Sign.ADDED, text) for text in block(wanted)]
    else:
        lines = list(_changes("", _relevant(before, secret=secret), wanted))
    return first(lines, _MOST, partial(Line, Sign.SAME))


def _relevant(body: Mapping[str, Any], *, secret: bool) -> dict[str, Any]:
    """Return an object without what the server writes; what must not be shown is opaque."""
    kept = {key: value for key, value in body.items() if key != "status"}
    if isinstance(metadata := body.get("metadata"), Mapping):
        kept["metadata"] = _relevant_metadata(metadata)
    for field in _SECRET_FIELDS if secret else ():
        if isinstance(values := body.get(field), Mapping):
            kept[field] = {key: Opaque(MASK, _canonical(value)) for key, value in values.items()}
        elif values is not None:
            kept[field] = Opaque(MASK, _canonical(values))
    return kept


def _relevant_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in metadata.items() if key not in _OF_THE_SERVER}
    annotations = metadata.get("annotations")
    if isinstance(annotations, Mapping) and annotations:
        kept["annotations"] = {
            key: Opaque("…", "") if key == _LAST_APPLIED else value
            for key, value in annotations.items()
            if key != _REVISION
        }
        if not kept["annotations"]:
            del kept["annotations"]
    return kept


# What is compared.


def _changes(path: str, before: Any, after: Any) -> Iterator[Line]:
    """Yield what is different at a path and below it."""
    if before is _ABSENT:
        yield from _whole(Sign.ADDED, path, after)
    elif after is _ABSENT:
        yield from _whole(Sign.REMOVED, path, before)
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in {**before, **after}:
            yield from _changes(
                _under(path, key), before.get(key, _ABSENT), after.get(key, _ABSENT)
            )
    elif isinstance(before, list) and isinstance(after, list):
        yield from _changes_of_list(path, before, after)
    elif _canonical(before) != _canonical(after):
        yield from _changed_value(path, before, after)


def _changes_of_list(path: str, before: list[Any], after: list[Any]) -> Iterator[Line]:
    for fields in _ITEM_KEYS:
        old, new = _by_key(before, fields), _by_key(after, fields)
        if old is not None and new is not None:
            yield from _changes_of_items(path, old, new)
            return
    old_keys, new_keys = ([_canonical(item) for item in items] for items in (before, after))
    for old_begin, old_end, new_begin, new_end in edits(old_keys, new_keys):
        for i, j in zip_longest(range(old_begin, old_end), range(new_begin, new_end)):
            place = f"{path}[{i if j is None else j}]"
            yield from _changes(
                place, _ABSENT if i is None else before[i], _ABSENT if j is None else after[j]
            )


def _changes_of_items(
    path: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Line]:
    for label in {**before, **after}:
        yield from _changes(
            f"{path}[{label}]", before.get(label, _ABSENT), after.get(label, _ABSENT)
        )
    old = [label for label in before if label in after]
    new = [label for label in after if label in before]
    if old != new:  # variables refer to earlier ones, init containers run one after the other
        yield Line(Sign.CHANGED, f"{path}: other order")
        removed, added = _apart(", ".join(old), ", ".join(new))
        yield Line(Sign.REMOVED, removed, 1)
        yield Line(Sign.ADDED, added, 1)


def _by_key(items: list[Any], fields: Sequence[str]) -> dict[str, Any] | None:
    """Return items by what tells them apart, None if that does not."""
    found = {}
    for item in items:
        if not isinstance(item, Mapping):
            return None
        values = [item.get(field, _ITEM_DEFAULTS.get(field)) for field in fields]
        if not all(isinstance(value, str | int) for value in values):
            return None
        label = "/".join(map(str, values))
        found[label if _LABEL.fullmatch(label) else quoted(cut(label))] = item
    return found if len(found) == len(items) else None


def _under(path: str, key: str) -> str:
    if _NAME.fullmatch(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{quoted(cut(key))}]"


def _canonical(value: Any) -> str:
    """Return a text that no other value has: ``1``, ``"1"`` and ``true`` are different."""
    return json.dumps(value, sort_keys=True, default=astuple)


# How a change is shown.


def _changed_value(path: str, before: Any, after: Any) -> Iterator[Line]:
    if isinstance(before, str) and isinstance(after, str) and is_long(before, after):
        yield Line(Sign.CHANGED, f"{path}:")
        if not before.endswith("\n") and not after.endswith("\n"):  # as for lines within
            before, after = before + "\n", after + "\n"
        lines = list(_changed_text(lines_of(before), lines_of(after)))
        yield from first(lines, MOST_OF_A_TEXT, partial(Line, Sign.SAME, depth=1))
        return
    old, new = (cut(flow(value)) for value in (before, after))
    yield Line(Sign.CHANGED, f"{path}: {old} → {new}" + " (changed)" * (old == new))


def _changed_text(old: list[str], new: list[str]) -> Iterator[Line]:
    end = 0
    for number, (i, old_end, j, new_end) in enumerate(edits(old, new)):
        context = _context(old[end:i]) if number else old[max(0, i - _CONTEXT) : i]
        yield from (Line(Sign.SAME, shown_line(line), 1) for line in context)
        pairs = [_apart(*pair) for pair in zip_longest(old[i:old_end], new[j:new_end])]
        removed = [Line(Sign.REMOVED, pair[0], 1) for pair in pairs[: old_end - i]]
        added = [Line(Sign.ADDED, pair[1], 1) for pair in pairs[: new_end - j]]
        yield from first(removed, _MOST_IN_A_ROW, partial(Line, Sign.REMOVED, depth=1))
        yield from first(added, _MOST_IN_A_ROW, partial(Line, Sign.ADDED, depth=1))
        end = old_end
    yield from (Line(Sign.SAME, shown_line(line), 1) for line in old[end : end + _CONTEXT])


def _context(between: list[str]) -> list[str]:
    """Return the equal lines between two changes, without the middle if they are many."""
    if len(between) <= 2 * _CONTEXT + 1:
        return between
    return [*between[:_CONTEXT], "…", *between[-_CONTEXT:]]


def _whole(sign: Sign, path: str, value: Any) -> Iterator[Line]:
    """Yield a value that is there on one side only."""
    if not (is_text(value) or isinstance(value, Mapping | list)) or not is_long(value):
        yield Line(sign, f"{path}: {flow(value)}")
        return
    line = partial(Line, sign, depth=1)
    yield Line(sign, f"{path}: |" if is_text(value) else f"{path}:")
    texts = first_lines(value) if is_text(value) else block(value)
    yield from first([line(text) for text in texts], MOST_OF_A_TEXT, line)


def _apart(old: str | None, new: str | None) -> tuple[str, str]:
    """Return two lines as they are shown, so that their difference is seen; None: there is none."""
    if old is None or new is None:
        return shown_line(old or ""), shown_line(new or "")
    if max(len(old), len(new)) > WIDTH:
        begin = common(old, new) - _LEAD
        if begin > 0:
            old, new = "…" + old[begin:], "…" + new[begin:]
        old, new = cut(old), cut(new)
    if old.endswith("\n") and new.endswith("\n"):
        old, new = old[:-1], new[:-1]
    shown = shown_line(old), shown_line(new)
    # Only blanks differ, or what the lines end with: quotes show these.
    if old != new and shown[0].split() == shown[1].split():
        return quoted(old), quoted(new)
    return shown
