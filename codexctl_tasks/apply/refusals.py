"""From an answer of the API server to the manifest, field and line that caused it."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codexctl_tasks.apply.placement import Placed
    from codexctl_tasks.errors import Location
    from codexctl_tasks.stack.manifests import ObjectName

_ABOUT_THE_MANIFEST = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.INTERNAL_SERVER_ERROR,  # how an undeclared field is answered
)
_UNDECLARED = re.compile(r'\.([^\s:]+): field not declared in schema|unknown field "([^"]+)"')
_WRONG_TYPE = re.compile(r"\.([^\s:]+): (expected [^\n]+?, got [^\n]*)")
_GO_VALUE = re.compile(r"&(?:value\.valueUnstructured)?\{(?:Value:)?(.*)\}$")
"""How the server prints what has the wrong type."""
_STEP = re.compile(r'([^.\[\]]+)|\[(\d+)\]|\[([^\]=]+)="?([^\]"]*)"?[^\]]*\]')


def explained(error: ClusterError, placed: Placed) -> list[ClusterError]:
    """Say which manifest was refused: one error for each field that the server blames."""
    if not error.status:  # no answer: it is not about the manifest
        return [error]
    fix = error.fix
    if error.conflicts:
        fix = "remove the field from the manifest, or take it over with --force-conflicts"
    elif error.status in _ABOUT_THE_MANIFEST and not fix:
        fix = "correct the manifest"
    return [
        type(error)(
            placed.manifest.locate(tuple(_steps(field, placed.manifest.body))),
            f"{placed.name}: {what}",
            fix,
            status=error.status,
            reason=error.reason,
            causes=error.causes,
            conflicts=error.conflicts,
        )
        for field, what in _blamed(error, placed)
    ]


def _blamed(error: ClusterError, placed: Placed) -> Sequence[tuple[str, str]]:
    """Return each field that an answer is about, with what is wrong with it; at least one."""
    if error.conflicts:
        return [(c.field, f"{c.field} belongs to field manager {c.owner}") for c in error.conflicts]
    name = placed.name
    undeclared = dict.fromkeys(one or other for one, other in _UNDECLARED.findall(error.what))
    kind = f"{name.kind} in {name.api_version}"
    typed = [(field, f"{field} is no field of {kind}") for field in undeclared]
    wrong = ((field, _GO_VALUE.sub(r"\1", text)) for field, text in _WRONG_TYPE.findall(error.what))
    typed += [(field, f"{field}: {text}") for field, text in wrong]
    if typed:
        return typed
    invalid = [(c.field, f"{c.field}: {c.message}") for c in error.causes if c.field and c.message]
    if invalid and error.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return invalid
    return [(next((c.field for c in error.causes if c.field), ""), error.what)]


def explained_deletion(
    error: ClusterError, name: ObjectName, where: Location | str
) -> ClusterError:
    """Say which object could not be deleted."""
    what = f"{name}: {error.what}" if str(where) != str(name) else error.what
    return ClusterError(where, what, error.fix, status=error.status, reason=error.reason)


def _steps(text: str, body: Any) -> Iterator[str | int]:
    """Walk a field path as the server writes it: ``containers[0].image``, ``ports[name="x"]``."""
    for key, index, item_key, item_value in _STEP.findall(text):
        step: str | int = key
        if index:
            step = int(index)
        elif item_key:
            step = _item_index(body, item_key, item_value)
        yield step
        body = _inner(body, step)


def _item_index(items: Any, key: str, value: str) -> int:
    found = items if isinstance(items, list) else []
    return next((i for i, item in enumerate(found) if str(_inner(item, key)) == value), 0)


def _inner(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None
