"""
All templates written by hand, by topic; what Go makes of them stands in table.json.

A case is a template, which gets `data.STACK`, or a pair of a template and its data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gotemplate.cases import blocks, functions, syntax, text, values

if TYPE_CHECKING:
    from typing import Any

CASES: dict[str, list[str | tuple[str, Any]]] = {
    **text.CASES,
    **syntax.CASES,
    **blocks.CASES,
    **values.CASES,
    **functions.CASES,
}
