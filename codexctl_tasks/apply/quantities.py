"""Amounts of Kubernetes ("500m", "1Gi"): which texts the server stores as one."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

_AMOUNT = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([KMGTPE]i|[numkMGTPE]?)", re.ASCII)
_UNITS = {
    **{unit + "i": Fraction(1024**power) for power, unit in enumerate("KMGTPE", 1)},
    **{unit: Fraction(1, 1000**power) for power, unit in enumerate("mun", 1)},
    **{unit: Fraction(1000**power) for power, unit in enumerate("kMGTPE", 1)},
    "": Fraction(1),
}


def is_same_amount(one: Any, other: Any) -> bool:
    """
    Tell whether two texts or numbers are stored as the same text, as ``1000m`` and ``1`` are.

    ``1Gi`` and ``1073741824`` are equal but stored differently: each keeps its family of units.
    Amounts with an exponent (``1e3``), a third family, equal nothing here: in doubt False. The
    rules are those of ``resource.Quantity`` in ``k8s.io/apimachinery``.
    """
    amount = _parsed(_text(one))
    return amount is not None and amount == _parsed(_text(other))


def amount_of(text: str) -> Fraction | None:
    """Return the amount that a text means, such as 2147483648 for ``2Gi``; None: none."""
    parsed = _parsed(text)
    return parsed[1] if parsed else None


def _text(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number or isinstance(value, str) else ""


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[bool, Fraction] | None:
    """Return whether the units are binary, and the amount; None for anything unclear."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    number, unit = match.groups()
    return unit.endswith("i"), Fraction(number) * _UNITS[unit]
