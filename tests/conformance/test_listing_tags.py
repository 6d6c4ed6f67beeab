"""Specification, "Listing Tags" (end-8), and the catalog, which clients ask for although it left the specification."""

import re
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.conformance.repository import Repository, fields, refused
from tests.fixtures.documents import image

TAGS = ["1", "1.0", "10", "2", "A", "B", "_", "a", "a-b", "a.b", "a_b", "b"]
LINK = re.compile(r'<([^<>]+)>; rel="next"')


@pytest.fixture
async def filled(repository: Repository) -> Repository:
    """With twelve tags on one image."""
    await repository.push_blob(b"{}")
    response = await repository.put_manifest(image(), params={"tag": sorted(TAGS, key=hash)})
    assert response.status_code == 201
    return repository


def following(response: httpx.Response) -> str | None:
    """Where the next page is, by the Link header alone."""
    link = response.headers.get("Link")
    if link is None:
        return None
    match = LINK.fullmatch(link)
    assert match is not None, link
    return match.group(1)


async def page(repository: Repository, query: str) -> tuple[list[str], str | None]:
    response = await repository.get(f"tags/list?{query}")
    assert response.status_code == 200
    return response.json()["tags"], following(response)


async def test_end_8a_lists_all_tags_in_byte_order(filled: Repository) -> None:
    response = await filled.get("tags/list")
    assert response.json() == {"name": filled.name, "tags": TAGS}
    assert fields(response) == {
        "content-type": "application/json",
        "content-length": str(len(response.content)),
    }


async def test_end_8a_head_says_what_get_would_say(filled: Repository) -> None:
    response = await filled.head("tags/list")
    assert (response.status_code, response.content) == (200, b"")
    assert fields(response) == fields(await filled.get("tags/list"))


async def test_end_8a_a_repository_without_tags_has_an_empty_list(repository: Repository) -> None:
    await repository.push_blob(b"{}")
    assert (await repository.get("tags/list")).json() == {"name": repository.name, "tags": []}


async def test_end_8a_a_repository_that_is_not_there_is_name_unknown(repository: Repository) -> None:
    assert refused(await repository.get("tags/list"), 404, "NAME_UNKNOWN") == {"name": repository.name}


@pytest.mark.parametrize(
    ("query", "expected", "more"),
    [
        ("n=5", TAGS[:5], True),
        ("n=11", TAGS[:11], True),
        ("n=12", TAGS, False),
        ("n=13", TAGS, False),
        ("n=10000", TAGS, False),
        ("n=10001", TAGS, False),
        ("n=99999999999999999999999999", TAGS, False),
        ("n=000002", TAGS[:2], True),
        ("n=0", [], False),
        ("n=0&last=1", [], False),
        ("last=2", TAGS[4:], False),
        ("n=2&last=2", TAGS[4:6], True),
        ("n=2&last=a_b", TAGS[11:], False),
        ("last=b", [], False),
        ("last=zzz", [], False),
        ("last=a-a", TAGS[8:], False),
        ("last=1.00", TAGS[2:], False),
        ("last=", TAGS, False),
        ("last=%20", TAGS, False),
        ("last=%C3%A9", [], False),
    ],
)
async def test_end_8b_a_page_begins_strictly_after_last_which_need_not_exist(
    filled: Repository, query: str, expected: list[str], more: bool
) -> None:
    tags, link = await page(filled, query)
    assert (tags, link is not None) == (expected, more)


@pytest.mark.parametrize("n", ["-1", "1.5", "abc", "", "1e3", "0x10", "%D9%A1", "+1", "%201"])
async def test_end_8b_a_page_size_that_is_no_number_is_refused(filled: Repository, n: str) -> None:
    refused(await filled.get(f"tags/list?n={n}"), 400, "UNSUPPORTED")


@pytest.mark.parametrize("last", ["%00", "a%00b", "x" * 513])
async def test_end_8b_a_last_that_can_be_no_name_is_refused(filled: Repository, last: str) -> None:
    refused(await filled.get(f"tags/list?last={last}"), 400, "UNSUPPORTED")


@pytest.mark.parametrize("size", [1, 3, 5, 12])
async def test_end_8b_following_the_links_gives_every_tag_once(filled: Repository, size: int) -> None:
    seen: list[str] = []
    target: str | None = f"/v2/{filled.name}/tags/list?n={size}"
    for _ in range(20):
        assert target is not None
        response = await filled.get(target)
        seen += response.json()["tags"]
        target = following(response)
        if target is None:
            break
        assert urlsplit(target).path == f"/v2/{filled.name}/tags/list"
        assert dict(parse_qsl(urlsplit(target).query)) == {"n": str(size), "last": seen[-1]}
    assert seen == TAGS


async def test_end_8_a_tag_is_listed_at_once_and_gone_at_once(filled: Repository) -> None:
    for _ in range(3):
        await filled.push_manifest(image(), "new")
        assert "new" in await filled.tags()
        assert (await filled.ask("DELETE", "manifests/new")).status_code == 202
        assert "new" not in await filled.tags()


@pytest.fixture
async def family(repository: Repository) -> list[Repository]:
    """Five repositories whose names are beside each other."""
    parts = ["", "-b", "/a", "/b", "0"]
    repositories = [Repository(repository.http, f"{repository.name}{part}") for part in parts]
    for member in reversed(repositories):
        await member.push_blob(b"{}")
    return repositories


async def test_the_catalog_lists_repositories_in_byte_order_page_by_page(family: list[Repository]) -> None:
    names = [member.name for member in family]
    http, seen = family[0].http, [family[0].name]
    target: str | None = f"/v2/_catalog?n=2&last={family[0].name}"
    for _ in range(2):
        assert target is not None
        response = await http.get(target)
        assert len(response.json()["repositories"]) == 2
        assert list(response.json()) == ["repositories"]
        seen += response.json()["repositories"]
        target = following(response)
    assert seen == names


async def test_the_catalog_has_pages_even_when_nobody_asks_for_them(http: httpx.AsyncClient) -> None:
    for number in range(101):
        await Repository(http, f"catalog/r{number:03d}").start_upload()
    response = await http.get("/v2/_catalog")
    assert len(response.json()["repositories"]) == 100
    assert following(response) is not None


@pytest.mark.parametrize("query", ["n=-1", "n=x", "last=%00"])
async def test_the_catalog_refuses_what_makes_no_sense(http: httpx.AsyncClient, query: str) -> None:
    refused(await http.get(f"/v2/_catalog?{query}"), 400, "UNSUPPORTED")


async def test_the_catalog_of_no_entries_is_empty(family: list[Repository]) -> None:
    response = await family[0].http.get("/v2/_catalog?n=0")
    assert (response.json(), following(response)) == ({"repositories": []}, None)
    response = await family[0].http.get("/v2/_catalog?last=zzzz")
    assert (response.json(), following(response)) == ({"repositories": []}, None)
