import io

import pytest
from rich.console import Console

from estiva import Descriptor, Digest
from estiva.cli.bars import Bars


def test_every_blob_has_a_bar_with_what_became_of_it() -> None:
    blobs = [Descriptor("x", Digest.of(bytes([number])), 2 << 20) for number in range(3)]
    shown = io.StringIO()
    with Bars(Console(file=shown, force_terminal=True, width=120)) as bars:
        for blob, outcome in zip(blobs, ("done", "exists", "mounted"), strict=True):
            bars.began(blob)
            bars.moved(blob, 1 << 20)
            bars.moved(blob, -(1 << 20))
            bars.began(blob)
            bars.ended(blob, outcome)  # type: ignore[arg-type]
    last = shown.getvalue()
    for blob, word in zip(blobs, ("done", "is there already", "mounted"), strict=True):
        assert blob.digest.hex[:12] in last
        assert word in last
    assert "2.0/2.0 MiB" in last


@pytest.mark.parametrize("width", [40, 80])
def test_a_blob_has_one_line_of_the_terminals_width(width: int) -> None:
    blob = Descriptor("x", Digest.of(b"x"), 300 << 20)
    shown = io.StringIO()
    # Not a terminal, so that only the last state is printed, as plain lines.
    with Bars(Console(file=shown, width=width)) as bars:
        bars.began(blob)
        bars.moved(blob, 300 << 20)
        bars.ended(blob, "done")
    (line,) = shown.getvalue().splitlines()
    assert len(line) <= width
    assert blob.digest.hex[:12] in line
    assert "100%" in line if width == 40 else "300.0/300.0 MiB" in line
