"""Write floats as Go's `strconv.FormatFloat` does."""

from __future__ import annotations

import math
import struct
from decimal import Decimal

_SHORTEST_E_FROM = 6
_SHORTEST_E_BELOW = -4
_MANTISSA_BITS = 52
_MANTISSA_NIBBLES = _MANTISSA_BITS // 4
_EXPONENT_BIAS = 1075


def format_float(value: float, verb: str, precision: int | None) -> str:
    """
    Write a float, with a minus sign if it has one.

    Args:
        value: What to write; NaN and the infinities are written as words.
        verb: One of the letters b e E f g G x X.
        precision: Digits after the point (g and G: digits in all); None: as many as are needed.
    """
    if math.isnan(value):
        return "NaN"
    sign = "-" if math.copysign(1, value) < 0 else ""
    if math.isinf(value):
        return (sign or "+") + "Inf"
    return sign + _format_positive(abs(value), verb, precision)


def _format_positive(value: float, verb: str, precision: int | None) -> str:
    if verb == "b":
        return _format_binary(value)
    if verb in "xX":
        written = _format_hex(value, precision)
    elif precision is None:
        written = _format_shortest(value, verb.lower())
    else:
        written = format(value, f".{precision}{verb.lower()}")
    return written.upper() if verb.isupper() else written


def _format_shortest(value: float, verb: str) -> str:
    """Write the fewest digits that are read back as the same value."""
    _, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    power = len(text) - 1 + int(exponent) if value else 0
    if verb == "e" or (verb == "g" and not _SHORTEST_E_BELOW <= power < _SHORTEST_E_FROM):
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        return f"{text[0]}{fraction}e{power:+03}"
    return format(Decimal(repr(value)).normalize(), "f")


def _format_binary(value: float) -> str:
    """Write the mantissa as an integer, and the power of two that it is multiplied with."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", value))
    biased, fraction = divmod(bits, 1 << _MANTISSA_BITS)
    mantissa = fraction + (1 << _MANTISSA_BITS) if biased else fraction
    return f"{mantissa}p{max(biased, 1) - _EXPONENT_BIAS:+}"


def _format_hex(value: float, precision: int | None) -> str:
    """Write a mantissa from 1 to 2 in hexadecimal, also if the float is subnormal."""
    fraction, exponent = math.frexp(value)
    mantissa = int(math.ldexp(fraction, _MANTISSA_BITS + 1))
    exponent = exponent - 1 if value else 0
    if precision is not None and precision < _MANTISSA_NIBBLES:
        unit = 1 << (4 * (_MANTISSA_NIBBLES - precision))
        mantissa = round_half_even(mantissa, unit)
        if mantissa >> (_MANTISSA_BITS + 1):
            mantissa, exponent = mantissa >> 1, exponent + 1
    lead, rest = divmod(mantissa, 1 << _MANTISSA_BITS)
    digits = f"{rest:0{_MANTISSA_NIBBLES}x}"
    digits = digits.rstrip("0") if precision is None else digits.ljust(precision, "0")[:precision]
    return f"0x{lead}{'.' if digits else ''}{digits}p{exponent:+03}"


def round_half_even(value: int, unit: int) -> int:
    """Round to a multiple of *unit*; from the middle, to the even one."""
    count, rest = divmod(value, unit)
    up = rest * 2 > unit or (rest * 2 == unit and count % 2 == 1)
    return (count + up) * unit
