"""Times in templates: the expected texts come from Go itself."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest

from codexctl_tasks.stack.gotemplate.times import METHODS, CalendarMonth, DayOfWeek, Time

MOMENT = Time(2026, 1, 2, 3, 4, 5, 123456)
NIGHT = Time(2026, 1, 2)
NOON = Time(2024, 12, 31, 12, 0, 0, 500000)
EAST = Time(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1), "CET"))
WEST = Time(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))

LAYOUTS = [
    ("January|Jan|1|01", "January|Jan|1|01", MOMENT),
    ("Januaryx Janx Jan", "Januaryx Janx Jan", MOMENT),
    ("Friday|Fri|Fridayx|Monx", "Monday|Mon|Mondayx|Monx", MOMENT),
    ("2| 2|02|2nd", "2|_2|02|2nd", MOMENT),
    ("  2|002", "__2|002", MOMENT),
    ("03|3|03", "15|3|03", MOMENT),
    ("4|04|5|05", "4|04|5|05", MOMENT),
    ("2026|26|_2026|  2026", "2006|06|_2006|__2006", MOMENT),
    ("AM|am|P|AM", "PM|pm|P|AM", MOMENT),
    ("UTC|Z|Z|Z|Z|Z", "MST|Z0700|Z070000|Z07|Z07:00|Z07:00:00", MOMENT),
    ("+0000|+000000|+00|+00:00|+00:00:00", "-0700|-070000|-07|-07:00|-07:00:00", MOMENT),
    ("05.123|05,123|05.12|05.1", "05.000|05,000|05.00|05.0", MOMENT),
    ("05.123|05,123|05.123456|05.1", "05.999|05,999|05.999999|05.9", MOMENT),
    ("05.123456000|05.123456", "05.000000000|05.999999999", MOMENT),
    ("05.123456|05.123456000", "05.9999999999|05.0000000000", MOMENT),
    (".0001|.9990|.09|.", ".0001|.9990|.09|.", MOMENT),
    (".123x|x.123", ".000x|x.999", MOMENT),
    ("2026-01-02T03:04:05Z", "2006-01-02T15:04:05Z07:00", MOMENT),
    ("2026-01-02T03:04:05.123456Z", "2006-01-02T15:04:05.999999999Z07:00", MOMENT),
    ("Fri Jan  2 03:04:05 2026", "Mon Jan _2 15:04:05 2006", MOMENT),
    ("Fri Jan  2 03:04:05 UTC 2026", "Mon Jan _2 15:04:05 MST 2006", MOMENT),
    ("02 Jan 26 03:04 UTC", "02 Jan 06 15:04 MST", MOMENT),
    ("Friday, 02-Jan-26 03:04:05 UTC", "Monday, 02-Jan-06 15:04:05 MST", MOMENT),
    ("Fri, 02 Jan 2026 03:04:05 +0000", "Mon, 02 Jan 2006 15:04:05 -0700", MOMENT),
    ("3:04AM", "3:04PM", MOMENT),
    ("Jan  2 03:04:05.123456", "Jan _2 15:04:05.000000", MOMENT),
    ("20260102-030405", "20060102-150405", MOMENT),
    ("2026_01_02", "2006_01_02", MOMENT),
    ("20260102", "20060102", MOMENT),
    ("", "", MOMENT),
    ("%Y é", "%Y é", MOMENT),
    ("0|00|07|08|7|89", "0|00|07|08|7|89", MOMENT),
    ("200|20|2026x", "200|20|2006x", MOMENT),
]

ZONES = [
    ("CET|+0100|+01:00|+01|+0100|+01:00|+01", "MST|Z0700|Z07:00|Z07|-0700|-07:00|-07", EAST),
    ("-0330|-0330|-03:30|-03|-0330|-03:30|-03", "MST|Z0700|Z07:00|Z07|-0700|-07:00|-07", WEST),
    ("+010000|+01:00:00|+010000|+01:00:00", "-070000|-07:00:00|Z070000|Z07:00:00", EAST),
    ("-033000|-03:30:00|-033000|-03:30:00", "-070000|-07:00:00|Z070000|Z07:00:00", WEST),
    ("2026-01-02 03:04:05 +0100 CET", "2006-01-02 15:04:05.999999999 -0700 MST", EAST),
    ("2026-01-02 03:04:05 -0330 -0330", "2006-01-02 15:04:05.999999999 -0700 MST", WEST),
]

EDGES = [
    ("12:00AM 12am  00", "3:04PM 03pm .999 15", NIGHT),
    ("12:00PM 12pm .5 12", "3:04PM 03pm .999 15", NOON),
    ("31 31 366 366 Tue", "_2 2 __2 002 Mon", NOON),
    ("00.5 00.5 00.500000 00.5", "05.0 05.9 05.000000 05.999", NOON),
    ("0001 01 1", "2006 06 1", Time(1, 1, 1)),
    ("9999-12-31 99", "2006-01-02 06", Time(9999, 12, 31)),
    (" 61 061", "__2 002", Time(2024, 3, 1)),
    (" 60 060", "__2 002", Time(2023, 3, 1)),
]

ADD = [
    ("2026-01-31", (2026, 1, 31), (0, 0, 0)),
    ("2025-12-31", (2026, 1, 31), (0, -1, 0)),
    ("2027-01-31", (2026, 1, 31), (1, 0, 0)),
    ("2026-03-02", (2026, 1, 31), (0, 0, 30)),
    ("2026-12-31", (2026, 1, 31), (0, 11, 0)),
    ("2027-02-18", (2026, 1, 31), (0, 13, -13)),
    ("2023-12-31", (2026, 1, 31), (0, -25, 0)),
    ("2024-03-29", (2024, 2, 29), (0, 1, 0)),
    ("2025-03-01", (2024, 2, 29), (1, 0, 0)),
    ("2024-02-27", (2024, 2, 29), (0, 0, -2)),
    ("2025-03-01", (2024, 2, 29), (0, 12, 0)),
    ("2025-05-03", (2024, 2, 29), (-2, 25, 400)),
    ("2026-12-31", (2026, 12, 31), (0, 0, 0)),
    ("2026-12-01", (2026, 12, 31), (0, -1, 0)),
    ("2027-12-31", (2026, 12, 31), (1, 0, 0)),
    ("2027-01-30", (2026, 12, 31), (0, 0, 30)),
    ("2027-12-01", (2026, 12, 31), (0, 11, 0)),
    ("2028-01-18", (2026, 12, 31), (0, 13, -13)),
    ("2024-12-01", (2026, 12, 31), (0, -25, 0)),
]


@pytest.mark.parametrize(("expected", "layout", "moment"), LAYOUTS + ZONES + EDGES)
def test_layouts(expected: str, layout: str, moment: Time) -> None:
    """`.Now.Format` with any layout gives the stamp that it gave before."""
    assert moment.Format(layout) == expected


@pytest.mark.parametrize(("expected", "start", "shift"), ADD)
def test_days_that_a_month_lacks_run_over(
    expected: str, start: tuple[int, int, int], shift: tuple[int, int, int]
) -> None:
    """An expiry date computed by a template is the same day as with the Go tool."""
    assert Time(*start).AddDate(*shift).Format("2006-01-02") == expected


def test_moving_a_date_keeps_the_time_and_its_zone() -> None:
    """Only the date moves."""
    assert EAST.AddDate(0, 1, 0).String() == "2026-02-02 03:04:05 +0100 CET"
    assert type(EAST.AddDate(0, 0, 1)) is Time


@pytest.mark.parametrize("shift", [(9999, 0, 0), (-2026, 0, 0), (0, 0, 10**10), (0, 10**9, 0)])
def test_a_date_out_of_the_calendar_is_refused(shift: tuple[int, int, int]) -> None:
    """A slip of a few zeros gives a message that says what is possible."""
    with pytest.raises(ValueError, match="only years 1 to 9999 exist"):
        MOMENT.AddDate(*shift)


def test_parts_of_a_time() -> None:
    """Each part can be taken by the method that Go has for it."""
    assert (MOMENT.Year(), MOMENT.Month(), MOMENT.Day()) == (2026, 1, 2)
    assert (MOMENT.Hour(), MOMENT.Minute(), MOMENT.Second()) == (3, 4, 5)
    assert MOMENT.Nanosecond() == 123_456_000
    assert (MOMENT.Weekday(), MOMENT.YearDay(), NOON.YearDay()) == (5, 2, 366)


def test_unix_times() -> None:
    """Stamps count from 1970, in UTC whatever the zone, and before it down to the whole second."""
    assert MOMENT.Unix() == 1767323045
    assert MOMENT.UnixMilli() == 1767323045123
    assert MOMENT.UnixMicro() == 1767323045123456
    assert MOMENT.UnixNano() == 1767323045123456000
    assert (EAST.Unix(), WEST.Unix()) == (1767319445, 1767335645)
    before = Time(1969, 12, 31, 23, 59, 59, 999999)
    assert (before.Unix(), before.UnixMilli(), before.UnixNano()) == (-1, -1, -1000)
    assert Time(1600, 1, 1).UnixNano() == 6770648073709551616
    assert Time(3000, 1, 1).UnixNano() == -4389808147419103232


def test_texts_of_a_time() -> None:
    """A time prints as Go prints it, with the offset where the zone has no name."""
    assert MOMENT.String() == "2026-01-02 03:04:05.123456 +0000 UTC"
    assert WEST.String() == "2026-01-02 03:04:05 -0330 -0330"
    assert WEST.UTC().String() == "2026-01-02 06:34:05 +0000 UTC"
    date = "time.Date(2026, time.January, 2, 3, 4, 5"
    assert MOMENT.GoString() == f"{date}, 123456000, time.UTC)"
    assert EAST.GoString() == f'{date}, 0, time.Location("CET"))'
    assert WEST.GoString() == f'{date}, 0, time.Location(""))'


def test_months_and_weekdays_are_numbers_with_names() -> None:
    """`.Now.Month` prints as a word and still compares with numbers."""
    assert [CalendarMonth(n).String() for n in (1, 12)] == ["January", "December"]
    assert [DayOfWeek(n).String() for n in (0, 6)] == ["Sunday", "Saturday"]
    assert str(CalendarMonth(2)) == "February"
    assert CalendarMonth(2) == 2


def test_moments_are_compared_whatever_their_zones() -> None:
    """Two spellings of one moment are equal."""
    assert EAST.Equal(EAST.UTC())
    assert EAST.Before(MOMENT)
    assert WEST.After(MOMENT)
    assert [EAST.Compare(t) for t in (MOMENT, EAST.UTC(), NIGHT)] == [-1, 0, 1]
    assert Time(1, 1, 1).IsZero()
    assert not MOMENT.IsZero()


def test_a_time_is_always_aware() -> None:
    """A clock that does not say its zone means UTC."""
    naive = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 -- that is what is tested
    assert Time.of(naive) == Time(2026, 1, 2, 3, 4, 5) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert Time.of(EAST).String() == EAST.String()


def test_a_time_survives_copying() -> None:
    """What is rendered in another process sees the same time."""
    assert copy.deepcopy(EAST).String() == EAST.String()
    assert pickle.loads(pickle.dumps(MOMENT)).String() == MOMENT.String()  # noqa: S301 -- our own


def test_each_method_that_is_announced_exists() -> None:
    """A method that templates may call is never missing when they do."""
    assert all(callable(getattr(MOMENT, name)) for name in METHODS)
