"""Specification, "Determining Support", and what is true of every endpoint."""

import httpx
import pytest

from tests.conformance.repository import Repository, refused
from tests.fixtures.documents import image

DIGEST = f"sha256:{'0' * 64}"
ENDPOINTS = {
    "": "GET, HEAD",
    "_catalog": "GET, HEAD",
    "a/tags/list": "GET, HEAD",
    f"a/blobs/{DIGEST}": "DELETE, GET, HEAD",
    "a/blobs/uploads/": "POST",
    "a/blobs/uploads/e3b0c442-98fc-4c14-9afb-f4c8996fb924": "DELETE, GET, HEAD, PATCH, PUT",
    "a/manifests/latest": "DELETE, GET, HEAD, PUT",
    f"a/referrers/{DIGEST}": "GET, HEAD",
}


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
async def test_end_1_says_that_this_is_a_registry(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path)
    assert response.status_code == 200
    assert response.json() == {}
    assert response.headers["Content-Type"] == "application/json"


async def test_end_1_answers_head_like_get_without_a_body(http: httpx.AsyncClient) -> None:
    response = await http.head("/v2/")
    assert (response.status_code, response.content, response.headers["Content-Length"]) == (200, b"", "2")


@pytest.mark.parametrize(("endpoint", "methods"), ENDPOINTS.items())
async def test_a_method_that_an_endpoint_lacks_is_405_and_told_which_it_has(
    http: httpx.AsyncClient, endpoint: str, methods: str
) -> None:
    for method in {"GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"} - set(methods.split(", ")):
        response = await http.request(method, f"/v2/{endpoint}")
        refused(response, 405, "UNSUPPORTED")
        assert response.headers["Allow"] == methods


@pytest.mark.parametrize(
    "path",
    [
        "/v2/nothing",
        "/v2/a/nothing/b",
        "/v2/a/tags",
        "/v2/a/tags/list/",
        "/v2/a/manifests/",
        "/v2/a/manifests/b/c",
        "/v2/a/blobs/",
        "/v2//tags/list",
        "/v2/manifests/latest",
        "/v2/_oci/ext/discover",
    ],
)
async def test_a_path_that_no_endpoint_has_is_404(http: httpx.AsyncClient, path: str) -> None:
    refused(await http.get(path), 404, "UNSUPPORTED")


@pytest.mark.parametrize("name", ["Upper", "a_-b", "a%2Fb", "-a", "a..b", "%61", "a" * 256])
@pytest.mark.parametrize("rest", ["tags/list", "manifests/latest", f"blobs/{DIGEST}", f"referrers/{DIGEST}"])
async def test_a_name_outside_the_grammar_is_name_invalid_at_every_endpoint(
    http: httpx.AsyncClient, name: str, rest: str
) -> None:
    refused(await http.get(f"/v2/{name}/{rest}"), 400, "NAME_INVALID")


async def test_a_name_may_have_parts_that_look_like_endpoints(http: httpx.AsyncClient) -> None:
    repository = Repository(http, "a/manifests/b/blobs/uploads/c/tags/list/x")
    await repository.push_blob(b"{}")
    await repository.push_manifest(image(), "latest")
    assert await repository.tags() == ["latest"]
    assert (await repository.get("manifests/latest")).content == image()


@pytest.mark.parametrize("query", ["n=1&n=2", "last=a&last=b", "last=%FF", "n=%00"])
async def test_a_query_that_makes_no_sense_is_400(repository: Repository, query: str) -> None:
    await repository.push_blob(b"{}")
    refused(await repository.get(f"tags/list?{query}"), 400, "UNSUPPORTED")


async def test_a_query_that_nobody_knows_is_passed_over(repository: Repository) -> None:
    await repository.push_blob(b"{}")
    await repository.push_manifest(image(), "latest")
    assert (await repository.get("manifests/latest?ns=upstream.example&unknown=1")).status_code == 200
