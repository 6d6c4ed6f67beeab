"""Garbage collected in a tight loop by a real server while twenty clients push images that share layers.

With no grace at all, only the database keeps a collector from what a manifest is about to need: a client may then be
told that a blob is unknown, and pushes it again, but what was acknowledged is whole. With a grace of an hour no client
is told anything but that its push went well. `sharers.py` says precisely what is allowed.
"""

import contextlib
import itertools
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from estiva.digest import Digest
from tests.faults.pushers import Client
from tests.faults.sharers import PATIENCE, REPOSITORIES, Account, problems, sharing
from tests.faults.verify import dangling
from tests.fixtures.s3 import S3Server
from tests.postgresql import Server
from tests.replicas import settings_on
from tests.serving import ESTIVA, OPEN, Registry, registry_running

PUSHERS = 20
LAYERS = 32
WAVE = 16
LARGEST = 20_000
HOUR = 3600
LONGEST = 240.0
IN_A_TIGHT_LOOP = {"ESTIVA_GC_EVERY": "0.001", "ESTIVA_GC_TRASH": "0"}
PLACES = ["SQLite, disk", "SQLite, S3", "PostgreSQL, disk", "PostgreSQL, S3"]
"""Each database with each kind of blob store. Each of the two tests has two of them for its short form."""
LONG = [pytest.param(place, 60, marks=pytest.mark.long) for place in PLACES]
HOLD = """
INSERT INTO collection_state (name, value) VALUES ('hold', {until})
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
AGE = "UPDATE blob_reviews SET promised_at = promised_at - {seconds} WHERE digest IN ({digests})"
# A collector that takes what manifests need, and a database that lets it.
CARELESS = """
from storage.metadata import collection, sqlite
from estiva.cli.main import main
connect = sqlite.connect
def without_foreign_keys(path):
    connection = connect(path)
    connection.execute("PRAGMA foreign_keys=OFF")
    return connection
sqlite.connect = without_foreign_keys
collection.UNLINK_UNNEEDED = "DELETE FROM repository_blobs WHERE digest = :digest"
main()
"""


@dataclass(frozen=True)
class Place:
    """Where facts and blobs are: the settings that say so, and a way to change a fact behind the registry's back."""

    name: str
    folder: Path
    settings: Mapping[str, str]
    sql: Callable[[str], object]

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Nothing is collected until the block ends: a hold, as before a restore."""
        self.sql(HOLD.format(until=time.time() + HOUR))
        try:
            yield
        finally:
            self.sql(HOLD.format(until=0))

    @contextlib.contextmanager
    def collecting(self, grace: int, program: Sequence[str | Path] = (ESTIVA,)) -> Iterator[Registry]:
        """A registry there that does nothing but collect while it is not asked for anything."""
        settings = {**OPEN, **self.settings, **IN_A_TIGHT_LOOP, "ESTIVA_GC_GRACE": str(grace)}
        with registry_running(self.folder, program, settings=settings) as registry:
            yield registry


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """One of PLACES. On PostgreSQL two workers collect at once."""
    database, blobs = request.param.split(", ")
    settings: dict[str, str] = {}
    if blobs == "S3":
        s3: S3Server = request.getfixturevalue("s3_server")
        settings |= {"ESTIVA_BLOBS": s3.url(tmp_path.name), **s3.environment}
    if database == "SQLite":
        yield on_sqlite(request.param, tmp_path, settings)
        return
    server: Server = request.getfixturevalue("postgresql_server")
    server.sql("DROP DATABASE IF EXISTS collecting WITH (FORCE)", "CREATE DATABASE collecting")
    settings = settings_on(server.url("collecting"), settings, ESTIVA_WORKERS="2")
    yield Place(request.param, tmp_path, settings, lambda sql: server.sql(sql, database="collecting"))
    server.sql("DROP DATABASE collecting WITH (FORCE)")


def on_sqlite(name: str, folder: Path, settings: Mapping[str, str]) -> Place:
    """Facts in a file of the data directory."""
    return Place(name, folder, settings, lambda sql: _on_sqlite(folder / "data" / "estiva.db", sql))


def _on_sqlite(file: Path, sql: str) -> None:
    """SQLite lets whoever waits look now and then: beside a registry that always writes that has to be often."""
    deadline = time.monotonic() + PATIENCE
    with contextlib.closing(sqlite3.connect(file, timeout=0)) as database:
        while True:
            try:
                with database:
                    database.execute(sql)
                return
            except sqlite3.OperationalError:
                assert time.monotonic() < deadline, "the database is always locked"
                time.sleep(0.0005)


def layers(wave: int, count: int) -> list[bytes]:
    """Some contents, of different lengths."""
    return [
        (b"layer %d of wave %d " % (number, wave)) * (1 + number * LARGEST // 20 // count) for number in range(count)
    ]


def collected(client: Client) -> int:
    """How many blobs the registry collected, bytes and all."""
    _, _, text = client.ask("GET", "/metrics")
    [line] = [line for line in text.decode().splitlines() if line.startswith('estiva_gc_blobs_total{step="removed"}')]
    return int(float(line.split()[-1]))


def until(enough: Callable[[], bool], all_push: Callable[[], bool], seconds: float) -> None:
    """Wait for that long, and until it was enough: a slow machine only takes longer. No longer once somebody failed."""
    begin = time.monotonic()
    while all_push() and not (enough() and time.monotonic() - begin >= seconds):
        assert time.monotonic() - begin < seconds + LONGEST, "nothing is pushed and collected"
        time.sleep(0.2)


def grown_old(client: Client, place: Place, account: Account, wave: int) -> list[bytes]:
    """Layers that a repository has, and of which nothing was promised for two hours."""
    contents, repository = layers(wave, WAVE), REPOSITORIES[0]
    for content in contents:
        client.demand(201, "POST", f"/v2/{repository}/blobs/uploads/?digest={Digest.of(content)}", content)
        account.given.add((repository, content))
    place.sql(AGE.format(seconds=2 * HOUR, digests=", ".join(f"'{Digest.of(content)}'" for content in contents)))
    return contents


def broken_of(client: Client, account: Account) -> list[str]:
    """What of all that was acknowledged was not whole: each image's owner looked before it deleted it."""
    last = [problem for image in account.newest.values() for problem in problems(client, image, account)]
    return [*account.broken, *last, *dangling(client)]


@pytest.mark.real
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("place", "seconds"), [(PLACES[1], 2), (PLACES[2], 2), *LONG], indirect=["place"])
def test_without_a_grace_no_acknowledged_image_is_ever_broken(
    place: Place, seconds: float, figure: Callable[[str], None]
) -> None:
    account = Account(layers(0, LAYERS))
    with place.collecting(grace=0) as registry, Client(registry.port) as client:

        def enough() -> bool:
            return account.counts["gone"] > PUSHERS and collected(client) > 0

        with sharing(registry.port, PUSHERS, account, grace=False) as all_push:
            with place.hold():  # or else the first images, of which nothing is needed yet, might never come to be
                until(lambda: len(account.newest) == PUSHERS, all_push, 0)
            until(enough, all_push, seconds)
        assert broken_of(client, account) == []
        told = f"{account.counts['gone']} layers gone again, {account.counts['unknown']} manifests refused for that"
    figure(
        f"no grace, {place.name}, {seconds} s: {account.counts['acknowledged']} images acknowledged, 0 broken; {told}"
    )


@pytest.mark.real
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("place", "seconds"), [(PLACES[0], 2), (PLACES[3], 2), *LONG], indirect=["place"])
def test_with_an_hours_grace_no_client_sees_an_error(
    place: Place, seconds: float, figure: Callable[[str], None]
) -> None:
    """Wave after wave of layers that nothing has needed for two hours is taken by whoever is first."""
    account = Account(layers(0, LAYERS))
    with place.collecting(grace=HOUR) as registry, Client(registry.port) as client:
        waves = itertools.count(1)

        def enough() -> bool:
            account.pool = grown_old(client, place, account, next(waves))
            return len(account.newest) == PUSHERS and account.counts["found"] > 0 and collected(client) > 0

        with sharing(registry.port, PUSHERS, account, grace=True) as all_push:
            until(enough, all_push, seconds)
        assert broken_of(client, account) == []
        told = f"{collected(client)} blobs collected"
    figure(
        f"an hour's grace, {place.name}, {seconds} s: {account.counts['acknowledged']} images acknowledged, 0 broken,"
        f" 0 errors, {account.counts['wait']} requests told to wait; {told}"
    )


@pytest.mark.real
@pytest.mark.timeout(600)
def test_control_a_careless_collector_breaks_what_was_acknowledged(tmp_path: Path) -> None:
    place = on_sqlite("SQLite, disk", tmp_path, {})
    account = Account(layers(0, LAYERS))
    with (
        place.collecting(grace=0, program=(sys.executable, "-c", CARELESS)) as registry,
        sharing(registry.port, PUSHERS, account, grace=False) as all_push,
    ):
        with place.hold():
            until(lambda: len(account.newest) == PUSHERS, all_push, 0)
        until(lambda: account.broken != [], all_push, 0)
    assert account.broken != []
