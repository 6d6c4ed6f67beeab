import io

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
