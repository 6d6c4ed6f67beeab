import pytest

from estiva.errors import RequestInvalid
from registry.api.pages import LARGEST_PAGE, next_link, page_size, page_start
from tests.registry.api.calls import call


@pytest.mark.parametrize(
    ("query", "size"),
    [("", 7), ("n=0", 0), ("n=1", 1), (f"n={LARGEST_PAGE}", LARGEST_PAGE), ("n=10001", LARGEST_PAGE), ("n=0005", 5)],
)
def test_a_page_is_as_large_as_asked_for_within_reason(query: str, size: int) -> None:
    assert page_size(call(f"/v2/_catalog?{query}"), 7) == size


def test_a_number_of_any_length_is_a_number() -> None:
    assert page_size(call(f"/v2/_catalog?n={'9' * 5000}")) == LARGEST_PAGE


@pytest.mark.parametrize("n", ["", "-1", "1.0", "a", "1_000", "%C2%B2", "%D9%A1"])
def test_what_is_no_number_is_refused(n: str) -> None:
    with pytest.raises(RequestInvalid, match="n is not a number"):
        page_size(call(f"/v2/_catalog?n={n}"))


def test_a_page_begins_after_last() -> None:
    assert page_start(call("/v2/_catalog?last=a/b")) == "a/b"
    assert page_start(call("/v2/_catalog")) == ""


@pytest.mark.parametrize("last", ["%00", "x" * 513])
def test_what_can_be_no_entry_is_refused(last: str) -> None:
    with pytest.raises(RequestInvalid, match="last is not a name"):
        page_start(call(f"/v2/_catalog?last={last}"))


def test_the_link_leads_to_the_next_page_whatever_its_values_are() -> None:
    link = next_link("/v2/a/tags/list", 5, 'x"><&', artifactType="a/b+c", other=None)
    assert link == {"Link": '</v2/a/tags/list?n=5&last=x%22%3E%3C%26&artifactType=a%2Fb%2Bc>; rel="next"'}
