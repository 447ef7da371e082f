"""From an answer of the API server to the manifest, field and line that caused it."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.errors import ClusterError
    from codexctl_tasks.rollout.placement import Placed

_ABOUT_THE_MANIFEST = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.INTERNAL_SERVER_ERROR,  # how an undeclared field is answered
)
_UNDECLARED = re.compile(r'\.([^\s:]+): field not declared in schema|unknown field "([^"]+)"')
_STEP = re.compile(r'([^.\[\]]+)|\[(\d+)\]|\[([^\]=]+)="?([^\]"]*)"?[^\]]*\]')


def explained(error: ClusterError, placed: Placed) -> ClusterError:
    """Say which manifest was refused, with the line of the field if the server names one."""
    path = _blamed_field(error, placed.manifest.body)
    fix = error.fix
    if error.status == HTTPStatus.CONFLICT and "conflict" in error.what:
        fix = "remove the field from the manifest, or take it over with --force-conflicts"
    elif error.status in _ABOUT_THE_MANIFEST and not fix:
        fix = "correct the manifest"
    elif not error.status:
        return error
    return type(error)(
        placed.manifest.locate(path),
        f"{placed.name}: {error.what}",
        fix,
        status=error.status,
        reason=error.reason,
        fields=error.fields,
    )


def _blamed_field(error: ClusterError, body: Mapping[str, Any]) -> tuple[str | int, ...]:
    undeclared = _UNDECLARED.search(error.what)
    text = (undeclared[1] or undeclared[2]) if undeclared else next(filter(None, error.fields), "")
    return tuple(_steps(text, body))


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
    return next((i for i, item in enumerate(found) if str(item.get(key)) == value), 0)


def _inner(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None
