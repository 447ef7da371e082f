"""Where two sequences of lines differ, in time about proportional to their length."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_COMPARED = 10_000
"""Pairs of lines between two that are surely the same; difflib may look at each more than once."""

_Edit = tuple[int, int, int, int]
"""Begin and end of what is gone, begin and end of what took its place."""
_Chain = tuple[int, int, "_Chain | None"]


def edits(old: Sequence[str], new: Sequence[str]) -> Iterator[_Edit]:
    """
    Yield where two sequences differ, in time about proportional to their length.

    difflib alone takes 20 s for ten thousand lines of which every other one changed. So lines
    that both sides have exactly once are matched first; what is left between these is short.
    """
    i = j = 0
    for old_end, new_end in [*_anchors(old, new), (len(old), len(new))]:
        if i < old_end or j < new_end:
            for edit in _edits_between(old[i:old_end], new[j:new_end]):
                yield edit[0] + i, edit[1] + i, edit[2] + j, edit[3] + j
        i, j = old_end + 1, new_end + 1


def _anchors(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Return the places of lines that both have once: the most that keep their order."""
    once_old, once_new = ({k for k, n in Counter(lines).items() if n == 1} for lines in (old, new))
    place = {line: j for j, line in enumerate(new) if line in once_new}
    ends: list[int] = []  # of the chains of each length, the lowest place where one ends
    chains: list[_Chain] = []
    for i, line in enumerate(old):
        if line in once_old and line in place:
            length = bisect_left(ends, place[line])
            ends[length : length + 1] = [place[line]]
            chains[length : length + 1] = [(i, place[line], chains[length - 1] if length else None)]
    found = []
    chain = chains[-1] if chains else None
    while chain:
        i, j, chain = chain
        found.append((i, j))
    return found[::-1]


def _edits_between(old: Sequence[str], new: Sequence[str]) -> Iterator[_Edit]:
    begin = common(old, new)
    equal = common(old[begin:][::-1], new[begin:][::-1])
    rest_old, rest_new = old[begin : len(old) - equal], new[begin : len(new) - equal]
    found: list[_Edit]
    if len(rest_old) * len(rest_new) <= _MOST_COMPARED:
        matcher = SequenceMatcher(None, rest_old, rest_new, autojunk=False)
        found = [(a, b, c, d) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"]
    elif len(rest_old) == len(rest_new):
        pairs = enumerate(zip(rest_old, rest_new, strict=True))
        found = [(at, at + 1, at, at + 1) for at, (one, other) in pairs if one != other]
    else:
        found = [(0, len(rest_old), 0, len(rest_new))]
    for edit in found:
        yield edit[0] + begin, edit[1] + begin, edit[2] + begin, edit[3] + begin


def common(old: Sequence[str], new: Sequence[str]) -> int:
    """Return how many elements two sequences begin with that are the same."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(old), len(new)))
