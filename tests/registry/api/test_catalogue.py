"""The catalogue of those who may read little: pages stay right, and no request looks through everything."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

import pytest

from auth.access import Caller, Verdict
from auth.opening import OpenAccess
from auth.sealing import Seal
from estiva.errors import RequestInvalid
from estiva.reference import RepositoryName
from registry import Registry
from registry.api import tags
from registry.api.cursors import Cursors
from registry.api.routes import RegistryAPI
from storage.metadata import repositories
from storage.metadata.database import Work
from storage.metadata.sqlite import SQLiteDatabase
from tests.registry.api.calls import asked, open_admission


class ReadsSome(OpenAccess):
    """Lets everybody read the repositories of these names, and counts how many it was asked about."""

    def __init__(self, *readable: str) -> None:
        super().__init__(str)
        self._readable = set(readable)
        self.asked = 0

    async def allowed_among(self, caller: Caller, action: str, names: Any) -> list[bool]:
        self.asked += len(names)
        return [name.text in self._readable for name in names]

    async def decide(self, caller: Caller, action: str, resource: str, **context: str) -> Verdict:
        raise AssertionError("one by one")


@pytest.fixture
async def many(registry: Registry, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of 500 repositories, of which a request looks through few."""
    monkeypatch.setattr(tags, "LOOKED_AT_ONCE", 20)
    monkeypatch.setattr(tags, "MOST_HIDDEN", 50)

    def work(first: int) -> Work[None]:
        for number in range(first, first + 50):
            yield from repositories.ensure(RepositoryName(f"team/r{number:03}"))

    for first in range(0, 500, 50):  # a transaction may take seconds, and this one asks a thousand times
        await database.write(lambda first=first: work(first))  # type: ignore[misc]
    return registry


async def page(registry: Registry, access: ReadsSome, target: str) -> tuple[list[str], str | None]:
    """The entries of that page, and the target of the next."""
    status, headers, body = await asked(RegistryAPI(registry, open_admission(access)), "GET", target)
    assert status == 200
    link = re.fullmatch('<([^>]+)>; rel="next"', headers.get("link", ""))
    return json.loads(body)["repositories"], link and link[1]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
@pytest.mark.parametrize(
    "readable",
    [[], ["team/r000"], ["team/r499"], ["team/r250"], ["team/r049", "team/r050", "team/r051"],
     [f"team/r{number:03}" for number in range(0, 500, 9)], [f"team/r{number:03}" for number in range(500)]],
    ids=["none", "first", "last", "middle", "three", "each ninth", "all"],
)  # fmt: skip
async def test_page_after_page_shows_all_that_may_be_read_and_looks_at_little_each_time(
    many: Registry, readable: list[str], size: int
) -> None:
    access = ReadsSome(*readable)
    listed: list[str] = []
    target: str | None = f"/v2/_catalog?n={size}"
    pages = 0
    while target is not None:
        before = access.asked
        entries, target = await page(many, access, target)
        assert access.asked - before <= size + 1 + 50 + 20
        assert len(entries) <= size
        last = dict(parse_qsl(target.partition("?")[2]))["last"] if target else "~"
        assert last in readable or last.startswith("~")  # of what is hidden it says nothing
        listed += entries
        pages += 1
    assert listed == readable
    assert pages <= len(readable) / size + 500 / 50 + 1


async def test_a_cursor_of_nobodys_is_refused(many: Registry) -> None:
    for last in ("~", "~AAAA", "~" + "A" * 378, "~*", Cursors(Seal(b"k" * 32)).hide("team/r001")):
        status, _, body = await asked(
            RegistryAPI(many, open_admission(ReadsSome())), "GET", f"/v2/_catalog?last={last}"
        )
        assert status == 400
        assert b"last is not a name" in body


def test_a_cursor_shows_neither_name_nor_length() -> None:
    cursors = Cursors(Seal(bytes(32)))
    names = ["a", "team/app", "x" * 255]
    hidden = [cursors.hide(name) for name in names]
    assert len({len(text) for text in hidden}) == 1
    assert len(hidden[0]) <= 512
    assert cursors.hide("a") != cursors.hide("a")
    assert [cursors.reveal(text) for text in hidden] == names
    assert cursors.reveal("team/app") == "team/app"
    with pytest.raises(RequestInvalid):
        cursors.reveal(hidden[0][:-4])
