"""How much of what was found an agent is told (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MARK = "[… {} characters left out …]"
_SHORTEST = 200
"""Less of a text helps nobody."""


class Budget:
    """Characters that are left; what does not fit is counted."""

    def __init__(self, most: int) -> None:
        """Begin with so many characters."""
        self._left = most
        self.cut_characters = 0
        """Cut out of texts."""
        self.dropped = 0
        """Entries of lists that were left out, the oldest ones."""

    def cut(self, text: str, share: float) -> str:
        """Return a text, or its beginning and its end, in this share of what is left."""
        room = int(self._left * share)
        if len(text) > room:
            text = self._shortened(text, room)
        self._left = max(0, self._left - len(text))
        return text

    def newest(
        self, join: Callable[[Sequence[str]], str], entries: Sequence[str], share: float
    ) -> str:
        """Return as many entries as fit, the last ones, in their order."""
        room = int(self._left * share)
        longest = max(_SHORTEST, room // 2)
        kept: list[str] = []
        for entry in reversed(entries):
            text = entry if len(entry) <= longest else self._shortened(entry, longest)
            if len(text) > room:
                break
            room -= len(text) + 2
            kept.append(text)
        self.dropped += len(entries) - len(kept)
        joined = join(kept[::-1])
        self._left = max(0, self._left - len(joined))
        return joined

    def _shortened(self, text: str, room: int) -> str:
        """Return beginning and end of a text: errors are told last, what is wanted first."""
        room = max(room - len(MARK) - 8, _SHORTEST)
        if len(text) <= room:
            return text
        tail = room // 4
        left_out = len(text) - room
        self.cut_characters += left_out
        return f"{text[: room - tail]}\n{MARK.format(left_out)}\n{text[len(text) - tail :]}"
