"""Durations as people write them: ``90``, ``90s``, ``10m``, ``1h30m``."""

from __future__ import annotations

import re

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_PART = re.compile(rf"({_NUMBER})(h|ms|m|s)")
_DURATION = re.compile(rf"(?:{_NUMBER}(?:h|ms|m|s))+")
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def duration_s(text: str) -> float:
    """Return the seconds of ``90``, ``90s``, ``10m`` or ``1h30m``; 0 for anything else."""
    if re.fullmatch(_NUMBER, text):
        return float(text)
    if not _DURATION.fullmatch(text):
        return 0.0
    return sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
