"""Tables in a terminal: what is needed least is left out, and nothing is cut."""

from typing import Any

import pytest

from estiva.cli.tables import lines

TASK = "0123456789abcdef" * 2
ROWS: list[dict[str, Any]] = [
    {"task": TASK, "status": "RUNNING", "at": 0.5, "ports": ["a", "b"]},
    {"task": "1", "status": "STOPPED"},
]
COLUMNS = ("task", "status", "at", "ports")
WHOLE = [
    f"{'task':32}  status   at                    ports",
    f"{TASK}  RUNNING  1970-01-01T00:00:00Z  a, b",
    f"{'1':32}  STOPPED  -                     -",
]


@pytest.mark.parametrize("width", [None, 70, 80])
def test_a_table_that_fits_or_goes_to_a_program_is_whole(width: int | None) -> None:
    assert lines(ROWS, COLUMNS, ("at", "ports"), width) == (WHOLE, [])


def test_columns_go_in_their_order_until_it_fits() -> None:
    table, left_out = lines(ROWS, COLUMNS, ("at", "ports"), 69)
    assert (table[1], left_out) == (f"{TASK}  RUNNING  a, b", ["at"])
    table, left_out = lines(ROWS, COLUMNS, ("at", "ports"), 41)
    assert (table[1], left_out) == (f"{TASK}  RUNNING", ["at", "ports"])


def test_what_never_fits_stands_one_below_the_other_and_whole() -> None:
    table, left_out = lines(ROWS, COLUMNS, ("at", "ports"), 40)
    assert left_out == []
    assert table[:5] == [f"task: {TASK}", "status: RUNNING", "at: 1970-01-01T00:00:00Z", "ports: a, b", ""]
    assert len(table) == 9


def test_an_empty_table_is_its_head() -> None:
    assert lines([], COLUMNS, ("at",), None) == (["task  status  at  ports"], [])
    assert lines([], COLUMNS, (), 10) == ([], [])
