"""Tables that fit: columns that are needed least are left out first, and nothing is cut in its middle."""

from collections.abc import Mapping, Sequence
from typing import Any

from estiva.cli.words import cell

Rows = Sequence[Mapping[str, Any]]


def lines(rows: Rows, columns: Sequence[str], spare: Sequence[str], width: int | None) -> tuple[list[str], list[str]]:
    """The lines of a table, and the columns that were left out of it so that it fits into so many characters.

    `spare` are those that may be, the first one first. Where that is not enough, each row becomes some lines of its
    own, with all that there is, which a terminal may break but which can be copied whole.
    """
    for count in range(len(spare) + 1):
        left_out = list(spare[:count])
        table = _aligned(rows, [column for column in columns if column not in left_out])
        if width is None or max(map(len, table)) <= width:
            return table, left_out
    return _one_below_the_other(rows, columns), []


def _aligned(rows: Rows, columns: Sequence[str]) -> list[str]:
    texts = [list(columns), *([cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(cells[index]) for cells in texts) for index in range(len(columns))]
    return ["  ".join(text.ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip() for cells in texts]


def _one_below_the_other(rows: Rows, columns: Sequence[str]) -> list[str]:
    blocks = [[f"{column}: {cell(row.get(column))}" for column in columns] for row in rows]
    return [text for number, block in enumerate(blocks) for text in (["", *block] if number else block)]
