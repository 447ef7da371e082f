"""Print one bool, int, float or string by a verb of Go's `fmt`, with its flags."""

from __future__ import annotations

from dataclasses import dataclass

from codexctl_tasks.stack.gotemplate.floats import format_float
from codexctl_tasks.stack.gotemplate.quoting import can_backquote, is_printable, quote, quote_rune
from codexctl_tasks.stack.gotemplate.texts import character, is_rune, to_bytes

_UNSIGNED = 1 << 64
_UNICODE_DIGITS = 4
_FLOAT_DIGITS = 6


@dataclass(frozen=True)
class Spec:
    """What stands between the percent sign and the verb."""

    minus: bool = False
    plus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int = 0
    precision: int | None = None
    #: The flags of `%+v` and `%#v`, where they ask for another form instead of a sign or prefix.
    plus_v: bool = False
    sharp_v: bool = False
    #: Whether a value is shown by its method String; not so inside of error forms.
    methods: bool = True


def pad(text: str, spec: Spec, *, zeros: bool = True) -> str:
    """Fill up to the width; at the left with zeros, if asked for and sensible."""
    if spec.minus:
        return text.ljust(spec.width)
    return text.rjust(spec.width, "0" if zeros and spec.zero else " ")


def print_text(text: str, spec: Spec) -> str:
    """Print as `%s` does; the precision is the greatest number of characters."""
    return pad(_cut(text, spec), spec)


def print_bool(value: bool, verb: str, spec: Spec) -> str | None:
    """Print a bool; None if it has no such verb."""
    return pad("true" if value else "false", spec) if verb in "tv" else None


def print_string(value: str, verb: str, spec: Spec) -> str | None:
    """Print a string; None if it has no such verb."""
    if verb == "q" or (verb == "v" and spec.sharp_v):
        return _print_quoted(_cut(value, spec), spec)
    if verb in "sv":
        return print_text(value, spec)
    if verb in "xX":
        return _print_bytes(to_bytes(value), verb, spec)
    return None


def print_int(value: int, verb: str, spec: Spec) -> str | None:
    """Print an int of 64 bits; None if it has no such verb."""
    if verb == "c":
        return pad(character(value), spec)
    if verb == "q":
        return pad(quote_rune(value, only_ascii=spec.plus), spec)
    if verb == "U":
        return _print_code_point(value % _UNSIGNED, spec)
    return _print_number(value, verb, spec) if verb in "vdboOxX" else None


def print_float(value: float, verb: str, spec: Spec) -> str | None:
    """Print a float; None if it has no such verb."""
    if verb not in "vbgGxXfFeE":
        return None
    verb = {"v": "g", "F": "f"}.get(verb, verb)
    precision = spec.precision
    if precision is None and verb in "feE":
        precision = _FLOAT_DIGITS
    number = format_float(value, verb, precision)
    sign, number = (number[0], number[1:]) if number[0] in "+-" else ("+", number)
    if number in {"Inf", "NaN"}:
        return _print_no_number(sign, number, spec)
    if spec.sharp and verb != "b":
        number = _keep_zeros(number, verb, precision)
    if sign == "+" and not spec.plus:
        sign = " " if spec.space else ""
    if sign and spec.zero and not spec.minus:
        return sign + number.rjust(spec.width - 1, "0")
    return pad(sign + number, spec)


def _cut(text: str, spec: Spec) -> str:
    return text if spec.precision is None else text[: spec.precision]


def _print_quoted(text: str, spec: Spec) -> str:
    if spec.sharp and can_backquote(text):
        return pad(f"`{text}`", spec)
    return pad(quote(text, only_ascii=spec.plus), spec)


def _print_bytes(data: bytes, verb: str, spec: Spec) -> str:
    """Print in hexadecimal; the flags put a prefix before all or blanks between the bytes."""
    if spec.precision is not None:
        data = data[: spec.precision]
    prefix = "0x" if spec.sharp and data else ""
    digits = data.hex(" ").replace(" ", " " + prefix) if spec.space else data.hex()
    text = prefix + digits
    return pad(text.upper() if verb == "X" else text, spec)


def _print_code_point(code: int, spec: Spec) -> str:
    digits = max(spec.precision or 0, _UNICODE_DIGITS)
    text = f"U+{code:0{digits}X}"
    if spec.sharp and is_rune(code) and is_printable(chr(code)):
        text += f" '{chr(code)}'"
    return pad(text, spec, zeros=False)


def _print_number(value: int, verb: str, spec: Spec) -> str:
    """Print digits; zeros come from the precision, otherwise from flag and width."""
    if spec.precision == 0 and value == 0:
        return " " * spec.width
    sign = "-" if value < 0 else "+" if spec.plus else " " if spec.space else ""
    least = spec.precision or 0
    if spec.precision is None and spec.zero and not spec.minus:
        least = spec.width - len(sign)
    digits = format(abs(value), "d" if verb == "v" else verb.lower()).rjust(least, "0")
    digits = _prefix(digits, verb, spec) + digits
    return pad(sign + (digits.upper() if verb == "X" else digits), spec, zeros=False)


def _prefix(digits: str, verb: str, spec: Spec) -> str:
    sharp = {"b": "0b", "x": "0x", "X": "0x"}.get(verb, "")
    if verb in "oO" and not digits.startswith("0"):
        sharp = "0"
    return ("0o" if verb == "O" else "") + (sharp if spec.sharp else "")


def _print_no_number(sign: str, word: str, spec: Spec) -> str:
    """Print NaN or an infinity: never among zeros; NaN has a sign only if asked for."""
    if spec.space and sign == "+" and not spec.plus:
        sign = " "
    elif word == "NaN" and not spec.plus:
        sign = ""
    return pad(sign + word, spec, zeros=False)


def _keep_zeros(number: str, verb: str, precision: int | None) -> str:
    """Put back the decimal point and the zeros after it, as the flag `#` asks for."""
    mark = "p" if verb in "xX" else "e"
    at = number.lower().find(mark)
    body, tail = (number, "") if at < 0 else (number[:at], number[at:])
    wanted = 0
    if verb in "gGx":
        wanted = _FLOAT_DIGITS if precision is None else precision
    # Go counts the x of a prefix in, too.
    missing = wanted - len(body.replace(".", "").lstrip("0"))
    if "." not in body:
        missing -= body == "0"
        body += "."
    return body + "0" * missing + tail
