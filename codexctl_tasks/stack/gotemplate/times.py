"""Go's `time.Time`, with the methods that a template can call on it, by Go's names."""

# ruff: noqa: N802 -- templates call these methods, by the names they have in Go

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Self

from codexctl_tasks.stack.gotemplate import layouts

_STRING_LAYOUT = "2006-01-02 15:04:05.999999999 -0700 MST"
_MONTHS = 12
_MICROSECOND = timedelta(microseconds=1)

#: The methods of a `Time` that exist here; the others of Go's are unknown to templates.
METHODS: Final = frozenset(
    {
        "AddDate",
        "After",
        "Before",
        "Compare",
        "Day",
        "Equal",
        "Format",
        "GoString",
        "Hour",
        "IsZero",
        "Minute",
        "Month",
        "Nanosecond",
        "Second",
        "String",
        "UTC",
        "Unix",
        "UnixMicro",
        "UnixMilli",
        "UnixNano",
        "Weekday",
        "Year",
        "YearDay",
    }
)


class NamedInt(int):
    """An int with a type and names of its own in Go: it prints as its name."""

    type_name: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    first: ClassVar[int] = 0

    def String(self) -> str:
        """Return the name."""
        return self.names[self - self.first]

    def __str__(self) -> str:
        return self.String()


class CalendarMonth(NamedInt):
    """A ``time.Month``, January being 1."""

    type_name = "time.Month"
    names = layouts.MONTHS
    first = 1


class DayOfWeek(NamedInt):
    """A ``time.Weekday``, Sunday being 0."""

    type_name = "time.Weekday"
    names = layouts.DAYS


class Time(datetime):
    """A moment as Go's `time.Time`, but to microseconds and from year 1 to 9999; UTC by default."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Take what `datetime` takes; without a zone, UTC is meant."""
        moment = super().__new__(cls, *args, **kwargs)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """Return the same moment in the same zone; without a zone, UTC is meant."""
        return cls.combine(moment.date(), moment.timetz())

    def Format(self, layout: str) -> str:
        """Write the time as the reference time Mon Jan 2 15:04:05 MST 2006 is in *layout*."""
        return layouts.format_moment(self, layout)

    def String(self) -> str:
        """Return what Go prints for a time."""
        return self.Format(_STRING_LAYOUT)

    def GoString(self) -> str:
        """Return the time as an expression in Go."""
        location = self.tzinfo if layouts.zone_name(self) else ""
        zone = "time.UTC" if str(location) == "UTC" else f'time.Location("{location}")'
        date = f"{self.year}, time.{self.Month().String()}, {self.day}"
        clock = f"{self.hour}, {self.minute}, {self.second}, {self.Nanosecond()}"
        return f"time.Date({date}, {clock}, {zone})"

    def Unix(self) -> int:
        """Return the whole seconds since 1970."""
        return self.UnixMicro() // 1_000_000

    def UnixMilli(self) -> int:
        """Return the whole milliseconds since 1970."""
        return self.UnixMicro() // 1000

    def UnixMicro(self) -> int:
        """Return the microseconds since 1970."""
        return (self - _EPOCH) // _MICROSECOND

    def UnixNano(self) -> int:
        """Return the nanoseconds since 1970; before 1678 and after 2262 they wrap, as Go's do."""
        return (self.UnixMicro() * 1000 + 2**63) % 2**64 - 2**63

    def Year(self) -> int:
        """Return the year."""
        return self.year

    def Month(self) -> CalendarMonth:
        """Return the month, which prints as its name."""
        return CalendarMonth(self.month)

    def Day(self) -> int:
        """Return the day of the month."""
        return self.day

    def Weekday(self) -> DayOfWeek:
        """Return the day of the week, which prints as its name."""
        return DayOfWeek(layouts.weekday(self))

    def YearDay(self) -> int:
        """Return the day of the year, from 1."""
        return layouts.year_day(self)

    def Hour(self) -> int:
        """Return the hour of the day."""
        return self.hour

    def Minute(self) -> int:
        """Return the minute of the hour."""
        return self.minute

    def Second(self) -> int:
        """Return the second of the minute."""
        return self.second

    def Nanosecond(self) -> int:
        """Return the nanoseconds of the second."""
        return self.microsecond * 1000

    def UTC(self) -> Time:
        """Return the same moment in UTC."""
        return Time.of(self.astimezone(UTC))

    def IsZero(self) -> bool:
        """Say whether this is the moment at which Go's calendar begins."""
        return self.Equal(_ZERO)

    def Equal(self, other: Time) -> bool:
        """Say whether both are the same moment, whatever their zones."""
        return self.Compare(other) == 0

    def Before(self, other: Time) -> bool:
        """Say whether this moment is earlier."""
        return self.Compare(other) < 0

    def After(self, other: Time) -> bool:
        """Say whether this moment is later."""
        return self.Compare(other) > 0

    def Compare(self, other: Time) -> int:
        """Return -1, 0 or 1: earlier, the same, later."""
        mine, its = self.UnixMicro(), other.UnixMicro()
        return (mine > its) - (mine < its)

    def AddDate(self, years: int, months: int, days: int) -> Time:
        """
        Move the date; a day that the month does not have runs over into the next one.

        Raises:
            ValueError: The result is before year 1 or after year 9999.
        """
        more_years, month = divmod(self.month - 1 + months, _MONTHS)
        try:
            start = self.replace(year=self.year + years + more_years, month=month + 1, day=1)
            return Time.of(start + timedelta(days=self.day - 1 + days))
        except (OverflowError, ValueError):
            shift = f"{years} years, {months} months, {days} days"
            raise ValueError(f"{self.String()} plus {shift}: only years 1 to 9999 exist") from None


_EPOCH: Final = Time(1970, 1, 1)
_ZERO: Final = Time(1, 1, 1)
