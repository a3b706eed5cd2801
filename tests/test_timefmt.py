"""Times and durations as text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pq_cli import UsageError
from pq_cli.core.timefmt import (
    MAX_SECONDS,
    MAX_TIME,
    MIN_TIME,
    format_duration,
    format_time,
    parse_duration,
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
    ],
)
def test_rfc_3339_is_read(text, seconds):
    """With any offset and fraction, a space for the T too."""
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-13-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
     "2026-02-24T18:30:00+99:00", "\0", "10000-01-01T00:00:00Z"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text):
    """Also what no later meta could hold: the first and the last days of the calendar."""
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text)


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
