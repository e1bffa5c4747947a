"""Rows as aligned columns, where there is room for them and where there is not."""

from datetime import UTC, datetime
from operator import itemgetter

import click
import pytest

from taskyard.cli.table import Column, Table, age, cells, cut, span

NAME = Column("NAME", itemgetter("name"), may_be_cut=True)
STATE = Column("STATE", itemgetter("state"), kind="state")
COUNT = Column("COUNT", itemgetter("count"), kind="number", is_optional=True)
AT = Column("AT", itemgetter("at"), kind="time")
ALL = (NAME, STATE, COUNT, AT)
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


def row(name="mail", state="active", count=0, at="2026-11-24T09:55:00.000Z"):
    return {"name": name, "state": state, "count": count, "at": at}


def table(**options):
    return Table(ALL, now=NOW, **options)


def test_columns_are_aligned_with_numbers_on_the_right():
    """Nothing is cut where there is room for all; what is nothing has a sign."""
    lines = table().lines([row(count=5), row("a" * 20, count=10_000, at=None)])

    assert lines == [
        "NAME                  STATE   COUNT  AT",
        "mail                  active      5  2026-11-24T09:55:00.000Z",
        "aaaaaaaaaaaaaaaaaaaa  active  10000  -",
    ]


def test_later_pages_have_no_head_and_the_same_columns():
    """A list may be longer than memory: what is printed stays as it is."""
    shown = table()
    first = shown.lines([row("a" * 20)])

    (second,) = shown.lines([row()])

    assert second.index("active") == first[0].index("STATE")


def test_a_narrow_terminal_shows_ages_first_and_then_no_columns_of_nothing():
    """And what may be cut is cut at last, but never an id or a state."""
    rows = [row("a" * 40)]

    assert table(width=70).lines(rows)[1].endswith("  active      0  5m ago")
    assert table(width=60).lines(rows) == [
        f"NAME{' ' * 36}  STATE   AT",
        f"{'a' * 40}  active  5m ago",
    ]
    assert table(width=30).lines(rows)[1] == "aaaaaaaaaaa...  active  5m ago"
    assert table(width=1).lines(rows)[1] == "aaaaa...  active  5m ago"


def test_a_column_that_says_something_is_there_however_narrow_it_is():
    """Only those that say nothing are left out."""
    assert table(width=20).lines([row(), row(count=3)])[0].split() == [
        "NAME",
        "STATE",
        "COUNT",
        "AT",
    ]


def test_names_make_no_lines_and_no_colours_of_their_own():
    """Nor is anything in them taken for a way to draw."""
    lines = table(width=100, is_coloured=True).lines([row("x\n\x1b[31m[red]y[/red]")])

    assert [line.startswith("x\\n\\u001b[31m[red]y[/red]  ") for line in lines] == [False, True]


def test_states_have_colours_and_columns_stay_aligned():
    """The word says it all; the colours are beside the letters that are counted."""
    rows = [row(state="paused"), row(state="whatever"), row("active", state="active")]
    plain, coloured = table().lines(rows), table(is_coloured=True).lines(rows)

    assert coloured != plain
    assert list(map(click.unstyle, coloured)) == plain
    assert click.style("paused", fg="yellow") in coloured[1]
    assert "\x1b" not in coloured[2]
    assert coloured[3].count("\x1b") == 2


def test_wide_letters_take_two_places_and_accents_none():
    """As on the terminal."""
    assert (cells("abc"), cells("日本"), cells("e\u0301")) == (3, 4, 1)
    assert (cut("日本日本", 7), cut("日本", 4), cut("abcdef", 5)) == ("日本...", "日本", "ab...")
    lines = table().lines([row("日本"), row("abcd")])
    assert lines[1].index("active") == lines[2].index("active") - 2


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ("2026-11-24T09:59:59.500Z", "500ms ago"),
        ("2026-11-24T09:58:31.000Z", "1m ago"),
        ("2026-11-24T12:00:00.000Z", "in 2h"),
        ("2026-11-20T10:00:00.000Z", "4d ago"),
    ],
)
def test_ages_are_told_in_their_largest_unit(time, said):
    """Of what has been, and of what is to come."""
    assert age(time, NOW) == said


def test_lengths_are_told_in_their_largest_unit():
    """Rounded down, as people count."""
    assert [span(seconds) for seconds in (0, 0.35, 59.9, 3599, 86_399)] == [
        *("0ms", "350ms", "59s", "59m", "23h")
    ]
