"""When a job configuration is due, against a model that looks at every minute; and what a configuration may not say."""

from __future__ import annotations

import calendar
import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claviger.cckm.scheduler.rules import (
    OFFERS,
    Params,
    cron_problem,
    next_run,
    next_slot,
    operation_problem,
    params_problems,
    parse_date,
)

DAY_S = 86_400
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
MONTHS = ("", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@lru_cache(maxsize=4096)
def members(field: str, index: int) -> set[int]:
    """The values that a field names, read anew: what the library does is not asked."""
    least, most = RANGES[index]
    names: tuple[str, ...] = {3: MONTHS, 4: DAYS}.get(index, ())

    def number(word: str) -> int:
        return names.index(word) if word in names else int(word)

    found: set[int] = set()
    for part in field.upper().split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        first = least if span == "*" else number(low)
        last = number(high) if high else most if span == "*" or step else first
        found |= set(range(first, last + 1, int(step or 1)))
    return {value % 7 for value in found} if index == 4 else found


def fits(run_at: str, moment: datetime) -> bool:
    minute, hour, day, month, weekday = run_at.split()
    if moment.minute not in members(minute, 0) or moment.hour not in members(hour, 1):
        return False
    if moment.month not in members(month, 3):
        return False
    by_day, by_weekday = moment.day in members(day, 2), moment.isoweekday() % 7 in members(weekday, 4)
    return by_day and by_weekday if day[0] == "*" or weekday[0] == "*" else by_day or by_weekday


def brute_force(run_at: str, after: float, until: float) -> int | None:
    moment = datetime.fromtimestamp(math.floor(after), UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    while moment.timestamp() <= until:
        if fits(run_at, moment):
            return int(moment.timestamp())
        moment += timedelta(minutes=1)
    return None


def fields(index: int, words: list[str]) -> st.SearchStrategy[str]:
    least, most = RANGES[index]
    number = st.integers(least, most)
    step = st.integers(1, most)
    one = st.one_of(
        number.map(str),
        st.sampled_from(words) if words else number.map(str),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.tuples(number, number, step).map(lambda found: f"{min(found[:2])}-{max(found[:2])}/{found[2]}"),
    )
    several = st.lists(one, min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), st.just("*"), step.map(lambda n: f"*/{n}"), several)


EXPRESSIONS = st.tuples(
    *(fields(index, {3: ["jan", "Feb", "DEC"], 4: ["sun", "Wed", "SAT"]}.get(index, [])) for index in range(5))
).map(" ".join)


@given(EXPRESSIONS, st.floats(at("2027-01-01"), at("2029-01-01")))
def test_a_slot_is_the_first_minute_that_fits(run_at: str, after: float) -> None:
    if cron_problem(run_at) is not None:
        assert brute_force(run_at, after, after + 3 * DAY_S) is None
        return
    found = next_slot(run_at, after)
    assert found is not None
    assert found > after
    assert fits(run_at, datetime.fromtimestamp(found, UTC))
    assert found % 60 == 0
    window = min(found, after + 3 * DAY_S)
    expected = brute_force(run_at, after, window)
    assert expected == (found if found <= window else None)


@pytest.mark.parametrize(
    ("run_at", "after", "expected"),
    [
        ("* * * * *", "2027-03-01T10:00:00", "2027-03-01T10:01:00"),
        ("* * * * *", "2027-03-01T10:00:59.999", "2027-03-01T10:01:00"),
        ("0 3 * * *", "2027-03-01T03:00:00", "2027-03-02T03:00:00"),
        ("0 3 * * *", "2027-03-01T02:59:59", "2027-03-01T03:00:00"),
        ("45 23 * * sAt", "2027-03-01T00:00:00", "2027-03-06T23:45:00"),
        ("0 9 * * 1", "2027-03-01T09:00:00", "2027-03-08T09:00:00"),
        ("0 0 * * 7", "2027-03-01T00:00:00", "2027-03-07T00:00:00"),
        ("0 0 29 2 *", "2027-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 29 feb *", "2096-03-01T00:00:00", "2104-02-29T00:00:00"),
        ("0 0 31 * *", "2027-04-01T00:00:00", "2027-05-31T00:00:00"),
        ("0 0 L * *", "2027-02-01T00:00:00", "2027-02-28T00:00:00"),
        ("0 0 13 * 5", "2027-03-01T00:00:00", "2027-03-05T00:00:00"),  # a Friday, or the 13th
        ("0 0 13 * */5", "2027-03-01T00:00:00", "2027-06-13T00:00:00"),  # begins with a star: both
        ("30 2 28 3 *", "2027-01-01T00:00:00", "2027-03-28T02:30:00"),  # clocks of Europe leave this hour out
        ("5-5/2 1-1/3 * * *", "2027-03-01T10:15:00", "2027-03-02T01:05:00"),
        ("0 0 * jan-1/2 sun-0/2", "2027-03-01T10:15:00", "2028-01-02T00:00:00"),
        ("0 9 ? * sat", "2027-03-01T00:00:00", "2027-03-06T09:00:00"),
        ("0 9 5 * ?", "2027-03-01T00:00:00", "2027-03-05T09:00:00"),
        ("  15   *\t* * * ".replace("\t", " "), "2027-03-01T10:15:00", "2027-03-01T11:15:00"),
    ],
)
def test_slots_of_note(run_at: str, after: str, expected: str) -> None:
    assert cron_problem(run_at) is None
    assert next_slot(run_at, at(after)) == at(expected)


@pytest.mark.parametrize(
    ("run_at", "part"),
    [
        ("", "five fields"),
        ("@daily", "five fields (minute, hour, day of month, month, day of week), and has 1"),
        ("* * * *", "has 4"),
        ("0 * * * * *", "has 6"),
        ("60 * * * *", "the minute '60'"),
        ("* 24 * * *", "the hour '24'"),
        ("* * 0 * *", "the day of month '0'"),
        ("* * 32 * *", "the day of month '32'"),
        ("? * * * *", "the minute '?'"),
        ("* * * 13 *", "the month '13'"),
        ("* * * jann *", "the month 'jann'"),
        ("* * * * 8", "the day of week '8'"),
        ("* * * * mon-", "the day of week 'mon-'"),
        ("*/0 * * * *", "the minute '*/0'"),
        ("5-5/0 * * * *", "the minute '5-5/0'"),
        ("60-60/2 * * * *", "the minute '60-60/2'"),
        ("5-1 * * * *", "the minute '5-1'"),
        ("1,,2 * * * *", "the minute '1,,2'"),
        ("-1 * * * *", "the minute '-1'"),
        ("x x x x x", "the minute 'x'"),
        ("0 0 30 2 *", "no month has"),
        ("0 0 31 2,4,6 *", "no month has"),
        ("²L * * * *", "plain characters"),
        ("0 0 * * ſat", "plain characters"),
        ("* * * * *\n", "plain characters"),
        ("*/" + "9" * 5000 + " * * * *", "at most 200"),
        (f"{'9' * 190} * * * *", "the minute"),
    ],
)
def test_what_is_wrong_with_an_expression_is_said_by_field(run_at: str, part: str) -> None:
    assert part in (cron_problem(run_at) or "")


@given(st.text(alphabet="0123456789*/,-#LWlw satSUNjan", max_size=40))
def test_no_text_is_too_much(text: str) -> None:
    if cron_problem(text) is None:
        assert next_slot(text, at("2027-01-01")) is not None


def test_dates_bound_the_slots() -> None:
    now, start, end = at("2027-03-01"), at("2027-03-10T03:00:00"), at("2027-03-12T03:00:00")
    assert next_run("0 3 * * *", now, disabled=False, start_at=None, end_at=None) == at("2027-03-01T03:00:00")
    assert next_run("0 3 * * *", now, disabled=True, start_at=None, end_at=None) is None
    assert next_run("0 3 * * *", now, disabled=False, start_at=start, end_at=end) == start
    assert next_run("0 3 * * *", now, disabled=False, start_at=start + 0.5, end_at=end) == start + DAY_S
    assert next_run("0 3 * * *", end - 1, disabled=False, start_at=start, end_at=end) == end
    assert next_run("0 3 * * *", end, disabled=False, start_at=start, end_at=end) is None
    assert next_run("0 3 * * *", end - 1, disabled=False, start_at=start, end_at=end - 1) is None
    assert next_run("* * * * *", now, disabled=False, start_at=253_402_300_799.0, end_at=None) is None


def test_dates_are_rfc_3339() -> None:
    assert parse_date("2021-03-07T00:00:00Z") == calendar.timegm((2021, 3, 7, 0, 0, 0))
    assert parse_date("2021-03-07T00:00:00.436073123+02:00") == pytest.approx(at("2021-03-06T22:00:00.436073"))
    assert parse_date("0001-01-01T00:00:00Z") is None
    for wrong in (
        "2021-03-07",
        "2021-03-07T00:00:00",
        "2021-13-07T00:00:00Z",
        "2021-W01-1T00:00:00Z",
        "x",
        "２021-03-07",
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - says no more than that
            parse_date(wrong)


def test_what_this_server_lacks_is_named() -> None:
    assert operation_problem("cckm_synchronization") is operation_problem("cckm_key_rotation") is None
    for offer in OFFERS[2:]:
        assert "does not have" in (operation_problem(offer.name) or "")
    assert "is not an operation" in (operation_problem("x") or "")
    assert params_problems(Params("AzureCloud", ("a",))) == {}
    assert params_problems(Params("AzureCloud", synchronize_all=True)) == {}
    assert "yet" in params_problems(Params("gcp", ("a",)))["cloud_name"]
    assert "not a cloud" in params_problems(Params("azure", ("a",)))["cloud_name"]
    assert "excludes" in params_problems(Params("AzureCloud", ("a",), synchronize_all=True))["synchronize_all"]
    assert "no vault" in params_problems(Params("AzureCloud"))["key_vaults"]
    assert "more than" in params_problems(Params("AzureCloud", ("a",) * 1001))["key_vaults"]
