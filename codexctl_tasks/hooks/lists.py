"""Parameters that hold one text or several."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator


def _texts(value: Any) -> Any:
    if isinstance(value, str | int):
        value = str(value).split(",")
    if not isinstance(value, list | tuple):
        raise ValueError("neither a text nor a list")  # noqa: TRY004 - pydantic's contract
    texts = (str(each).strip() for each in value if isinstance(each, str | int))
    return tuple(text for text in texts if text)


Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
"""A list of texts, also written ``a, b``."""
