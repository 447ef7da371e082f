"""
The layouts of Go's `time.Format`: a moment is written as the reference time would be.

The rules are those of https://pkg.go.dev/time#Layout.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

# The order matters: where two could match at the same place, Go takes the first.
_ELEMENT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST"
    r"|0[1-6]|002|15|1|2006|2|_2006|_2|__2|3|4|5|PM|pm"
    r"|[-Z](?:070000|07:00:00|0700|07:00|07)"
    r"|[.,](?:0+|9+)(?![0-9])"
)
_SHORT = 3
_NOON = 12
_MINUTE_S = 60
_HOUR_MIN = 60


def format_moment(moment: datetime, layout: str) -> str:
    """Write an aware moment by a layout; all that is no element of one stays as it is."""
    return _ELEMENT.sub(lambda found: _write(moment, found[0]), layout)


def offset_s(moment: datetime) -> int:
    """Return how many seconds the zone of an aware moment is ahead of UTC."""
    return int((moment.utcoffset() or timedelta()).total_seconds())


def weekday(moment: datetime) -> int:
    """Return the day of the week, Sunday being 0."""
    return moment.isoweekday() % len(DAYS)


def year_day(moment: datetime) -> int:
    """Return the day of the year, from 1."""
    return moment.timetuple().tm_yday


def zone_name(moment: datetime) -> str:
    """Return the short name of the zone, or nothing if it has none."""
    name = moment.tzname() or ""
    # Python makes up a name such as UTC+02:00, which Go does not know.
    made_up = isinstance(moment.tzinfo, timezone) and name.startswith(("UTC+", "UTC-"))
    return "" if made_up else name


def _write(moment: datetime, element: str) -> str:
    if write := _SIMPLE.get(element):
        return write(moment)
    if element[0] in "-Z":
        return _zone(moment, element)
    return _fraction(moment, element)


def _hour12(moment: datetime) -> int:
    return moment.hour % _NOON or _NOON


def _zone(moment: datetime, element: str) -> str:
    """Write the offset; an element that begins with Z asks for just that letter in UTC."""
    offset = offset_s(moment)
    if offset == 0 and element[0] == "Z":
        return "Z"
    minutes, seconds = divmod(abs(offset), _MINUTE_S)
    parts = [f"{part:02}" for part in (*divmod(minutes, _HOUR_MIN), seconds)]
    shown = sum(map(str.isdigit, element)) // 2
    sign = "-" if offset <= -_MINUTE_S else "+"
    return sign + (":" if ":" in element else "").join(parts[:shown])


def _fraction(moment: datetime, element: str) -> str:
    """Write the part of a second; nines ask for no zeros at the end."""
    digits = f"{moment.microsecond * 1000:09}"[: len(element) - 1]
    if element[1] == "9":
        digits = digits.rstrip("0")
    return element[0] + digits if digits else ""


_SIMPLE: Final[dict[str, Callable[[datetime], str]]] = {
    "January": lambda t: MONTHS[t.month - 1],
    "Jan": lambda t: MONTHS[t.month - 1][:_SHORT],
    "1": lambda t: str(t.month),
    "01": lambda t: f"{t.month:02}",
    "Monday": lambda t: DAYS[weekday(t)],
    "Mon": lambda t: DAYS[weekday(t)][:_SHORT],
    "2": lambda t: str(t.day),
    "_2": lambda t: f"{t.day:2}",
    "02": lambda t: f"{t.day:02}",
    "__2": lambda t: f"{year_day(t):3}",
    "002": lambda t: f"{year_day(t):03}",
    "15": lambda t: f"{t.hour:02}",
    "3": lambda t: str(_hour12(t)),
    "03": lambda t: f"{_hour12(t):02}",
    "4": lambda t: str(t.minute),
    "04": lambda t: f"{t.minute:02}",
    "5": lambda t: str(t.second),
    "05": lambda t: f"{t.second:02}",
    "2006": lambda t: f"{t.year:04}",
    "_2006": lambda t: f"_{t.year:04}",
    "06": lambda t: f"{t.year % 100:02}",
    "PM": lambda t: "PM" if t.hour >= _NOON else "AM",
    "pm": lambda t: "pm" if t.hour >= _NOON else "am",
    "MST": lambda t: zone_name(t) or _zone(t, "-0700"),
}
