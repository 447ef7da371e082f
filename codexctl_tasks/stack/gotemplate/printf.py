"""Read the format strings of Go's `printf`, including what Go prints for mistakes in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from codexctl_tasks.stack.gotemplate.kinds import NIL, type_name
from codexctl_tasks.stack.gotemplate.printing import print_argument
from codexctl_tasks.stack.gotemplate.texts import normalized, replace_invalid
from codexctl_tasks.stack.gotemplate.verbs import Spec

_FLAGS = {"#": "sharp", "0": "zero", "+": "plus", "-": "minus", " ": "space"}
_GREATEST = 1_000_000  # of a width or precision; Go takes more for a mistake
_DIGITS = "0123456789"


def sprintf(form: str, *values: Any) -> str:
    """Print values as a format string says; mistakes are shown in the text, as Go shows them."""
    return normalized(_Reader(normalized(form), values).read())


@dataclass
class _Reader:
    """Where the reading of one format string has got to."""

    form: str
    values: tuple[Any, ...]
    at: int = 0
    argument: int = 0
    #: An index such as [2] has been seen: unused arguments are no mistake any more.
    reordered: bool = False
    #: The index of the present directive exists and stands where it may.
    index_good: bool = True
    #: An index has just been read.
    after_index: bool = False

    def read(self) -> str:
        printed = []
        while self.at < len(self.form):
            percent = self.form.find("%", self.at)
            if percent < 0:
                printed.append(self.form[self.at :])
                break
            printed.append(self.form[self.at : percent])
            self.at = percent + 1
            printed.append(self._directive())
        return "".join(printed) + self._extra()

    def _directive(self) -> str:
        """Read on from behind a percent sign, and print what is asked for."""
        self.index_good = True
        flags = self._flags()
        self._index()
        width, mistakes = self._width()
        if width < 0:
            flags |= {"minus": True, "zero": False}
        precision, mistake = self._precision()
        mistakes += mistake
        if not self.after_index:
            self._index()
        if self.at >= len(self.form):
            return mistakes + "%!(NOVERB)"
        verb = replace_invalid(self.form[self.at])
        self.at += 1
        return mistakes + self._print(verb, Spec(**flags, width=abs(width), precision=precision))

    def _print(self, verb: str, spec: Spec) -> str:
        if verb == "%":
            return "%"
        if not self.index_good:
            return f"%!{verb}(BADINDEX)"
        if self.argument >= len(self.values):
            return f"%!{verb}(MISSING)"
        if verb in "vw":
            spec = replace(spec, sharp=False, plus=False, sharp_v=spec.sharp, plus_v=spec.plus)
        self.argument += 1
        return print_argument(self.values[self.argument - 1], verb, spec)

    def _extra(self) -> str:
        """Print the values that nothing asked for."""
        extra = self.values[self.argument :]
        if self.reordered or not extra:
            return ""
        shown = (NIL if v is None else f"{type_name(v)}={print_argument(v)}" for v in extra)
        return f"%!(EXTRA {', '.join(shown)})"

    def _flags(self) -> dict[str, bool]:
        flags = {}
        while self._next() in _FLAGS:
            flags[_FLAGS[self._next()]] = True
            self.at += 1
        return flags

    def _width(self) -> tuple[int, str]:
        """Return the width, negative for the flag `-`, and what is printed for a mistake in it."""
        if self._next() == "*":
            width = self._int_argument()
            return width or 0, "%!(BADWIDTH)" if width is None else ""
        given = self._number()
        if self.after_index and given is not None:
            self.index_good = False
        return given or 0, ""

    def _precision(self) -> tuple[int | None, str]:
        """Return the precision, if there is one, and what is printed for a mistake in it."""
        if self._next() != "." or self.at + 1 == len(self.form):
            return None, ""
        self.at += 1
        if self.after_index:
            self.index_good = False
        self._index()
        if self._next() != "*":
            return self._number() or 0, ""
        precision = self._int_argument()
        if precision is None or precision < 0:
            return None, "%!(BADPREC)"
        return precision, ""

    def _next(self) -> str:
        """Return the next character, or nothing at the end."""
        return self.form[self.at : self.at + 1]

    def _number(self) -> int | None:
        number, self.at = _read_digits(self.form, self.at)
        return number

    def _int_argument(self) -> int | None:
        """Read the star and take the next argument; None if it is no int of a sensible size."""
        self.at += 1
        self.after_index = False
        if self.argument >= len(self.values):
            return None
        value = self.values[self.argument]
        self.argument += 1
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _GREATEST:
            return None
        return int(value)

    def _index(self) -> None:
        """Read the index of an argument, such as [2], if there is one."""
        self.after_index = False
        if self._next() != "[":
            return
        self.reordered = True
        end = self.form.find("]", self.at)
        if end < 0 or len(self.form) - self.at < len("[1]"):
            self.at += 1
            self.index_good = False
            return
        inside = self.form[self.at + 1 : end]
        self.at = end + 1
        number, read = _read_digits(inside, 0)
        if number is None or read < len(inside):
            self.index_good = False
            return
        self.after_index = True
        if 1 <= number <= len(self.values):
            self.argument = number - 1
        else:
            self.index_good = False


def _read_digits(text: str, start: int) -> tuple[int | None, int]:
    """
    Read a number.

    Returns:
        The number, if there is one, and where the text goes on; that is its end if the number is
        too large, because Go then takes nothing more from it.
    """
    at, number = start, 0
    while at < len(text) and text[at] in _DIGITS:
        if number > _GREATEST:
            return None, len(text)
        number = number * 10 + int(text[at])
        at += 1
    return (number if at > start else None), at
