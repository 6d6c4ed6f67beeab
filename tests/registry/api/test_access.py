"""Every endpoint asks for the right that it needs before it does anything, and takes no for an answer."""

import json

import pytest

from estiva.reference import RepositoryName
from registry import Registry
from registry.api.routes import ROUTES, RegistryAPI
from storage.metadata.database import Database
from tests.fixtures.documents import named
from tests.fixtures.facts import count, enter_blob
from tests.registry.api.calls import Asked, asked, open_admission

DIGEST = named(b"{}")
UPLOAD = "/v2/library/hello/blobs/uploads/e3b0c442-98fc-4c14-9afb-f4c8996fb924"
RIGHTS: dict[tuple[str, str], tuple[str, list[str]]] = {
    ("manifest", "GET"): ("/v2/library/hello/manifests/latest", ["BatchGetImage"]),
    ("manifest", "PUT"): ("/v2/library/hello/manifests/latest", ["PutImage"]),
    ("manifest", "DELETE"): ("/v2/library/hello/manifests/latest", ["BatchDeleteImage"]),
    ("blob", "GET"): (f"/v2/library/hello/blobs/{DIGEST}", ["GetDownloadUrlForLayer"]),
    ("manifest", "HEAD"): ("/v2/library/hello/manifests/1", ["BatchGetImage"]),
    ("blob", "HEAD"): (f"/v2/library/hello/blobs/{DIGEST}", ["GetDownloadUrlForLayer"]),
    ("blob", "DELETE"): (f"/v2/library/hello/blobs/{DIGEST}", ["BatchDeleteImage"]),
    ("uploads", "POST"): ("/v2/library/hello/blobs/uploads/", ["InitiateLayerUpload"]),
    ("upload", "GET"): (UPLOAD, ["UploadLayerPart"]),
    ("upload", "PATCH"): (UPLOAD, ["UploadLayerPart"]),
    ("upload", "PUT"): (f"{UPLOAD}?digest={DIGEST}", ["CompleteLayerUpload", "UploadLayerPart"]),
    ("upload", "DELETE"): (UPLOAD, ["UploadLayerPart"]),
    ("tags", "GET"): ("/v2/library/hello/tags/list", ["ListImages"]),
    ("referrers", "GET"): (f"/v2/library/hello/referrers/{DIGEST}", ["BatchGetImage"]),
}
HEADS = {"blob", "manifest"}


@pytest.mark.parametrize(("label", "method"), RIGHTS)
async def test_an_endpoint_asks_for_its_right_and_is_denied(
    registry: Registry, database: Database, label: str, method: str
) -> None:
    target, rights = RIGHTS[label, method]
    access = Asked()
    status, headers, body = await asked(RegistryAPI(registry, open_admission(access)), method, target, b"{}")
    assert (status, json.loads(body)["errors"][0]["code"]) == (403, "DENIED")
    assert headers["docker-distribution-api-version"] == "registry/2.0"
    assert access.questions[0] == (rights[0], "library/hello")
    assert {resource for _, resource in access.questions} == {"library/hello"}
    assert await count(database, "repositories") == 0


@pytest.mark.parametrize(("label", "method"), RIGHTS)
async def test_that_right_is_enough(registry: Registry, label: str, method: str) -> None:
    target, rights = RIGHTS[label, method]
    access = Asked(*rights, "CreateRepository")
    status, *_ = await asked(RegistryAPI(registry, open_admission(access)), method, target)
    assert status != 403


@pytest.mark.parametrize("lacking", [0, 1])
async def test_half_of_two_rights_is_not_enough(registry: Registry, lacking: int) -> None:
    target, rights = RIGHTS["upload", "PUT"]
    access = Asked(rights[lacking])
    status, *_ = await asked(RegistryAPI(registry, open_admission(access)), "PUT", target)
    assert status == 403


@pytest.mark.parametrize(("label", "method"), [("manifest", "PUT"), ("uploads", "POST")])
async def test_the_first_push_to_a_name_needs_the_right_to_create_it(
    registry: Registry, database: Database, label: str, method: str
) -> None:
    target, rights = RIGHTS[label, method]
    admission = open_admission(Asked(*rights))
    status, *_ = await asked(RegistryAPI(registry, admission), method, target, b"{}")
    assert status in (400, 403)
    assert await count(database, "repositories") == 0
    await enter_blob(database, b"{}")
    status, *_ = await asked(RegistryAPI(registry, admission), method, target, b"{}")
    assert status != 403


def test_no_endpoint_is_missing_from_the_list() -> None:
    guarded = {
        (route.label, method)
        for route in ROUTES
        for method, (_, right) in route.methods.items()
        if right is not None and (method != "HEAD" or route.label in HEADS)
    }
    assert guarded == set(RIGHTS)
    free = [route.label for route in ROUTES if None in {right for _, right in route.methods.values()}]
    assert free == ["catalog", "base"]


def test_head_asks_for_what_get_asks_for_unless_those_who_push_ask_as_well() -> None:
    for route in ROUTES:
        assert route.label in HEADS or route.methods.get("HEAD") == route.methods.get("GET")


async def test_whoever_pushes_may_ask_whether_a_blob_is_there(registry: Registry, database: Database) -> None:
    await enter_blob(database, b"{}")
    admission = open_admission(Asked("BatchCheckLayerAvailability"))
    target = f"/v2/library/hello/blobs/{DIGEST}"
    assert (await asked(RegistryAPI(registry, admission), "HEAD", target))[0] != 403
    assert (await asked(RegistryAPI(registry, admission), "GET", target))[0] == 403


@pytest.mark.parametrize("query", ["&from=library/secret", ""])
async def test_a_blob_is_mounted_only_from_where_it_may_be_read(
    registry: Registry, database: Database, query: str
) -> None:
    secret = RepositoryName("library/secret")
    await enter_blob(database, b"{}", secret)
    target = f"/v2/library/hello/blobs/uploads/?mount={DIGEST}{query}"
    everything = ("InitiateLayerUpload", "GetDownloadUrlForLayer", "CreateRepository")
    access = Asked(*everything, but_not_on="library/secret")
    status, headers, _ = await asked(RegistryAPI(registry, open_admission(access)), "POST", target)
    assert (status, "docker-content-digest" in headers) == (202, False)
    assert ("GetDownloadUrlForLayer", "library/secret") in access.questions
    status, *_ = await asked(RegistryAPI(registry, open_admission(Asked(*everything))), "POST", target)
    assert status == 201
