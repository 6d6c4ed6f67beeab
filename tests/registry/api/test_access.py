"""Every endpoint asks for the right that it needs before it does anything, and takes no for an answer."""

import json

import pytest

from auth.access import Action, Principal
from estiva.reference import RepositoryName
from registry import Registry
from registry.api.repositories import RepositoriesAPI
from registry.api.routes import ROUTES, RegistryAPI
from storage.metadata.sqlite import SQLiteDatabase
from tests.fixtures.documents import named
from tests.fixtures.facts import NAME, count, enter_blob
from tests.registry.api.calls import asked

DIGEST = named(b"{}")
UPLOAD = "/v2/library/hello/blobs/uploads/e3b0c442-98fc-4c14-9afb-f4c8996fb924"
RIGHTS = {
    ("manifest", "GET"): ("/v2/library/hello/manifests/latest", "pull"),
    ("manifest", "PUT"): ("/v2/library/hello/manifests/latest", "push"),
    ("manifest", "DELETE"): ("/v2/library/hello/manifests/latest", "delete"),
    ("blob", "GET"): (f"/v2/library/hello/blobs/{DIGEST}", "pull"),
    ("blob", "DELETE"): (f"/v2/library/hello/blobs/{DIGEST}", "delete"),
    ("uploads", "POST"): ("/v2/library/hello/blobs/uploads/", "push"),
    ("upload", "GET"): (UPLOAD, "push"),
    ("upload", "PATCH"): (UPLOAD, "push"),
    ("upload", "PUT"): (f"{UPLOAD}?digest={DIGEST}", "push"),
    ("upload", "DELETE"): (UPLOAD, "push"),
    ("tags", "GET"): ("/v2/library/hello/tags/list", "pull"),
    ("referrers", "GET"): (f"/v2/library/hello/referrers/{DIGEST}", "pull"),
    ("catalog", "GET"): ("/v2/_catalog", "catalog"),
}


class Asked:
    """Says yes to these actions alone, and remembers what it was asked."""

    def __init__(self, *allowed: str, but_not_on: str = "") -> None:
        self.questions: list[tuple[str, str | None]] = []
        self._allowed = allowed
        self._but_not_on = but_not_on

    def may(self, principal: Principal, action: Action, repository: RepositoryName | None) -> bool:
        self.questions.append((action.value, repository.text if repository else None))
        return action.value in self._allowed and (repository is None or repository.text != self._but_not_on)


@pytest.mark.parametrize(("label", "method"), RIGHTS)
async def test_an_endpoint_asks_for_its_right_and_is_denied(
    registry: Registry, database: SQLiteDatabase, label: str, method: str
) -> None:
    target, right = RIGHTS[label, method]
    access = Asked()
    status, headers, body = await asked(RegistryAPI(registry, access), method, target, b"{}")
    assert (status, json.loads(body)["errors"][0]["code"]) == (403, "DENIED")
    assert headers["docker-distribution-api-version"] == "registry/2.0"
    assert access.questions == [(right, None if label == "catalog" else "library/hello")]
    assert await count(database, "repositories") == 0


@pytest.mark.parametrize(("label", "method"), RIGHTS)
async def test_that_right_is_enough(registry: Registry, label: str, method: str) -> None:
    target, right = RIGHTS[label, method]
    status, *_ = await asked(RegistryAPI(registry, Asked(right)), method, target)
    assert status != 403


def test_no_endpoint_is_missing_from_the_list() -> None:
    guarded = {
        (route.label, method)
        for route in ROUTES
        for method, (_, action) in route.methods.items()
        if action is not None and method != "HEAD"
    }
    assert guarded == set(RIGHTS)
    assert [route.label for route in ROUTES if None in {action for _, action in route.methods.values()}] == ["base"]


def test_head_asks_for_what_get_asks_for() -> None:
    for route in ROUTES:
        assert route.methods.get("HEAD") == route.methods.get("GET")


@pytest.mark.parametrize("query", ["&from=library/secret", ""])
async def test_a_blob_is_mounted_only_from_where_it_may_be_read(
    registry: Registry, database: SQLiteDatabase, query: str
) -> None:
    secret = RepositoryName("library/secret")
    await enter_blob(database, b"{}", secret)
    target = f"/v2/library/hello/blobs/uploads/?mount={DIGEST}{query}"
    access = Asked("push", "pull", but_not_on="library/secret")
    status, headers, _ = await asked(RegistryAPI(registry, access), "POST", target)
    assert (status, "docker-content-digest" in headers) == (202, False)
    assert ("pull", "library/secret") in access.questions
    status, *_ = await asked(RegistryAPI(registry, Asked("push", "pull")), "POST", target)
    assert status == 201


async def test_whole_repositories_are_deleted_by_those_who_may(registry: Registry, database: SQLiteDatabase) -> None:
    await enter_blob(database, b"{}")
    access = Asked("pull", "push", "catalog")
    [route] = RepositoriesAPI(registry, access).routes()
    with pytest.raises(Exception, match="requested access to the resource is denied"):
        await asked(route, "DELETE", f"/api/v1/repositories/{NAME}")
    assert access.questions == [("delete", NAME.text)]
    assert await count(database, "repositories") == 1
