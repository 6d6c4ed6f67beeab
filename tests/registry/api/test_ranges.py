import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiva.errors import BlobUploadInvalid, RangeNotSatisfiable, RegistryError, SizeInvalid
from registry.api.ranges import asked_range, chunk_start


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=a-", None),
        ("bytes=0-1,2-3", None),
        ("octets=0-1", None),
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 10)),
        ("bytes=3-5", (3, 3)),
        ("bytes=9-9", (9, 1)),
        ("bytes=3-999999999999999999", (3, 7)),
        ("bytes=-1", (9, 1)),
        ("bytes=-10", (0, 10)),
        ("bytes=-11", (0, 10)),
        (" bytes=0-1 ", (0, 2)),
        ("bytes=0-9999999999999999999", None),
    ],
)
def test_the_one_range_of_a_download_is_offset_and_length(header: str | None, expected: tuple[int, int] | None) -> None:
    assert asked_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-11", "bytes=5-4", "bytes=-0"])
def test_a_range_outside_is_refused_with_the_size(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        asked_range(header, 10)
    assert refused.value.headers == {"Content-Range": "bytes */10"}


@pytest.mark.parametrize("header", ["bytes=0-0", "bytes=0-", "bytes=-1"])
def test_nothing_has_no_ranges(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        asked_range(header, 0)


@given(size=st.integers(0, 1000), first=st.integers(0, 1200), last=st.integers(0, 1200))
def test_a_range_never_reaches_beyond_the_content(size: int, first: int, last: int) -> None:
    for header in (f"bytes={first}-{last}", f"bytes={first}-", f"bytes=-{last}"):
        try:
            part = asked_range(header, size)
        except RangeNotSatisfiable:
            continue
        assert part is not None
        offset, length = part
        assert 0 <= offset < offset + length <= size


@pytest.mark.parametrize(
    ("header", "length", "expected"),
    [
        (None, 5, None),
        (None, None, None),
        ("0-4", 5, 0),
        ("0-4", None, 0),
        ("10-14", 5, 10),
        ("10-14", 0, 10),
        ("10-9", 0, 10),
        ("bytes 0-4", 5, 0),
        ("bytes 0-4/5", 5, 0),
        ("bytes 0-4/*", 5, 0),
        (" 0-4 ", 5, 0),
    ],
)
def test_a_chunk_says_where_it_begins(header: str | None, length: int | None, expected: int | None) -> None:
    assert chunk_start(header, length) == expected


@pytest.mark.parametrize(
    ("header", "length", "error"),
    [
        ("", 5, BlobUploadInvalid),
        ("0", 5, BlobUploadInvalid),
        ("a-b", 5, BlobUploadInvalid),
        ("-4", 5, BlobUploadInvalid),
        ("4-0", 5, BlobUploadInvalid),
        ("4-0", None, BlobUploadInvalid),
        ("0-4, 5-9", 5, BlobUploadInvalid),
        ("octets 0-4", 5, BlobUploadInvalid),
        ("0-9999999999999999999", 5, BlobUploadInvalid),
        ("0-3", 5, SizeInvalid),
        ("0-5", 5, SizeInvalid),
    ],
)
def test_a_chunk_that_makes_no_sense_is_refused(header: str, length: int | None, error: type[RegistryError]) -> None:
    with pytest.raises(error) as refused:
        chunk_start(header, length)
    assert type(refused.value) is error
