import pytest
from starlette.types import Message

from estiva.errors import NameInvalid, RequestInvalid, SizeInvalid
from registry.api.body import ClientDisconnected
from registry.api.call import MAX_QUERY_VALUES
from tests.registry.api.calls import call


def part(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_query_is_read_with_all_its_values() -> None:
    assert call("/v2/?tag=a&tag=b&n=&last=%C3%BC+x").query == {"tag": ["a", "b"], "n": [""], "last": ["ü x"]}
    assert call("/v2/").query == {}


def test_the_only_value_of_a_name_is_that_or_nothing() -> None:
    assert call("/v2/?n=1").value("n") == "1"
    assert call("/v2/?n=").value("n") == ""
    assert call("/v2/").value("n") is None
    with pytest.raises(RequestInvalid, match="more than one value for n"):
        call("/v2/?n=1&n=1").value("n")


@pytest.mark.parametrize("query", ["a=%FF", "a=\xff", "&".join(["a=1"] * (MAX_QUERY_VALUES + 1))])
def test_what_is_no_query_is_refused(query: str) -> None:
    with pytest.raises(RequestInvalid, match="malformed query"):
        _ = call(f"/v2/?{query}").query


@pytest.mark.parametrize(("text", "length"), [(None, None), ("0", 0), ("42", 42), ("9" * 18, int("9" * 18))])
def test_the_length_of_a_body_is_what_the_request_says(text: str | None, length: int | None) -> None:
    assert call("/v2/", {"Content-Length": text} if text else {}).content_length == length


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "0x1", "1 ", "²", "9" * 19])
def test_a_length_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(SizeInvalid, match="malformed Content-Length"):
        _ = call("/v2/", {"Content-Length": text}).content_length


async def test_a_body_is_read_to_its_end() -> None:
    assert await call("/v2/", {}, part(b"ab"), part(b""), part(b"c", more=False)).read(3) == b"abc"


async def test_a_body_that_is_too_long_is_not_read_on() -> None:
    assert await call("/v2/", {}, part(b"ab"), part(b"cd")).read(3) is None
    assert await call("/v2/", {"Content-Length": "4"}).read(3) is None


async def test_a_client_that_leaves_in_the_middle_is_noticed() -> None:
    with pytest.raises(ClientDisconnected):
        await call("/v2/", {}, part(b"ab"), {"type": "http.disconnect"}).read(3)


def test_a_path_without_a_name_has_no_repository() -> None:
    with pytest.raises(NameInvalid):
        _ = call("/v2/").repository
