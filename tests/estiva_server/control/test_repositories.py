"""Whole repositories: who may delete them."""

import pytest

from estiva_server.control.operating import Operating
from estiva_server.control.repositories import RepositoriesAPI
from registry import Registry
from storage.metadata.database import Database
from tests.fixtures.facts import NAME, count, enter_blob
from tests.registry.api.calls import Asked, asked, open_admission


async def test_whole_repositories_are_deleted_by_those_who_may(registry: Registry, database: Database) -> None:
    await enter_blob(database, b"{}")
    access = Asked("BatchDeleteImage")
    operating = Operating(open_admission(access), "000000000000")
    _, route = RepositoriesAPI(operating, registry.repositories, registry.deleting).routes()
    with pytest.raises(Exception, match="requested access to the resource is denied"):
        await asked(route, "DELETE", f"/api/v1/repositories/{NAME}")
    assert access.questions == [("DeleteRepository", NAME.text)]
    assert await count(database, "repositories") == 1
