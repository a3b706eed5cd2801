"""Times and durations as text."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pq_cli import UsageError
from pq_cli.core.timefmt import (
    MAX_SECONDS,
    MAX_TIME,
    MIN_TIME,
    format_duration,
    format_time,
    parse_duration,
    parse_micros,
    parse_time,
)
from pq_cli.core.transitions import stamp


@given(st.floats(MIN_TIME, MAX_TIME).map(stamp))
def test_a_stamp_survives_as_text(seconds):
    """What a meta says of a time is exactly that time: no drift from rewrite to rewrite."""
    text = format_time(seconds)
    assert parse_time(text) == seconds and format_time(parse_time(text)) == text


@given(st.integers(0, 2**33 * 10**6).map(lambda micros: micros / 1e6))
def test_a_time_is_written_as_the_calendar_has_it(seconds):
    """Years, leap days, carries into the next second: as the standard library counts them."""
    moment = datetime.fromtimestamp(seconds, UTC)
    assert format_time(seconds) == moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@given(st.datetimes().map(lambda d: d.isoformat()) | st.text())
def test_what_is_read_as_a_time_can_be_written_again(text):
    """Any text is either refused by a UsageError or is a time that the next meta can hold."""
    try:
        seconds = parse_time(text)
    except UsageError:
        return
    assert parse_time(format_time(seconds)) == pytest.approx(seconds, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-02-24T18:30:00Z", 1771957800.0),
        ("2026-02-24T19:30:00.5+01:00", 1771957800.5),
        ("2026-02-24 18:30:00.000001Z", 1771957800.000001),
        ("2026-02-24t18:30:00z", 1771957800.0),
        ("2026-02-24T18:30:00.25z", 1771957800.25),
        ("1990-12-31T23:59:60Z", 662688000.0),
        ("1990-12-31T15:59:60-08:00", 662688000.0),
        ("2016-12-31T23:59:60.5z", 1483228800.5),
    ],
)
def test_rfc_3339_is_read(text, seconds):
    """With any offset and fraction, a space for the T, small letters, a leap second too."""
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-13-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
     "2026-02-24T18:30:00+99:00", "\0", "10000-01-01T00:00:00Z", "z", "2026-02-24T18:30:60Z",
     "2026-02-24T23:59:60Z", "2026-12-31T23:59:61Z", "2026-12-31T23:59:60+01:00"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text):
    """Also what no later meta could hold: the first and the last days of the calendar."""
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text)


@pytest.fixture
def live_in(monkeypatch):
    """Give a function that makes a zone this machine's own, until the test ends."""

    def live(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield live
    monkeypatch.undo()
    time.tzset()


ZONES = sorted(
    name
    for name in available_timezones()
    if name.partition("/")[0] in ("Africa", "America", "Antarctica", "Asia", "Australia",
                                  "Atlantic", "Europe", "Indian", "Pacific")
)  # fmt: skip
"""By these names; the others are older names of the same zones, or have no changes."""


def changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """Return the seconds of a year, in UTC, from which on the zone has another offset."""

    def offset(moment: datetime) -> timedelta | None:
        return moment.astimezone(zone).utcoffset()

    found, day = [], timedelta(days=1)
    for number in range(366):
        low = datetime(year, 1, 1, tzinfo=UTC) + number * day
        high = low + day
        if offset(low) == offset(high):
            continue
        while high - low > timedelta(seconds=1):
            middle = low + (high - low) // timedelta(seconds=2) * timedelta(seconds=1)
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        found.append(high)
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(zone=st.sampled_from(ZONES), year=st.integers(1975, 2036))
def test_local_times_are_read_by_one_rule_in_every_zone(live_in, zone, year):
    """A skipped hour with the offset before the change, of a repeated one the first: the machine's
    own zone and one by name alike, around every change of the clocks."""
    rules, epoch = ZoneInfo(zone), datetime(1970, 1, 1)
    live_in(zone)
    for change in changes(rules, year):
        before = (change - timedelta(seconds=1)).astimezone(rules).utcoffset()
        after = change.astimezone(rules).utcoffset()
        last, first = (change.replace(tzinfo=None) + offset for offset in (before, after))
        near = (timedelta(0), timedelta(microseconds=1), timedelta(minutes=30), timedelta(hours=6))
        for wall in (each + sign * n for each in (last, first) for n in near for sign in (1, -1)):
            offset = before if wall < max(last, first) else after
            wanted = (wall - offset - epoch) // timedelta(microseconds=1)
            text = wall.isoformat()
            assert parse_micros(text) == wanted, (zone, text)
            assert parse_micros(text, rules) == wanted, (zone, text)
            assert parse_time(text) == wanted / 1e6


def test_a_skipped_hour_is_read_with_the_offset_before_the_change(live_in):
    """02:30 in Berlin on the night that has none is 01:30 UTC, an hour after 01:30 there."""
    live_in("Europe/Berlin")
    assert format_time(parse_time("2027-03-28T02:30:00")) == "2027-03-28T01:30:00.000000Z"
    assert format_time(parse_time("2027-10-31T02:30:00")) == "2027-10-31T00:30:00.000000Z"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("1w", 604800),
     ("1.5h", 5400), ("0", 0), (" 5m ", 300), ("0.25", 0.25)],
)  # fmt: skip
def test_durations_are_read(text, seconds):
    """Seconds without a unit, or parts with one."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "m", "-1", "5 m", "1h30", "5y", "1e3", "inf", "nan", "٥m", "1" * 400, "101d" * 999]
)
def test_what_is_no_duration_is_refused(text):
    """Negative ones, unknown units, exponents, other digits, more than 100 years."""
    with pytest.raises(UsageError):
        parse_duration(text)


@given(st.floats(1, MAX_SECONDS))
def test_a_duration_shown_is_right_to_its_last_unit(seconds):
    """The two largest units: less than one of the smaller away, and read again as shown."""
    text = format_duration(seconds)
    again = parse_duration(text)
    assert again <= seconds < again + max(1.0, again / 24)
    assert format_duration(again) == text


def test_short_and_negative_durations_are_shown():
    """Tenths below a second, a sign, and zero."""
    assert [format_duration(s) for s in (0, 0.31, 59.9, -90)] == ["0s", "0.3s", "59s", "-1m30s"]
