"""A clock that jumps: nothing that is needed or promised is collected, and a token is never good for longer."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from estiva.digest import Digest
from estiva.mediatypes import OCI_MANIFEST
from tests.clients.clock import Clock
from tests.faults.pushers import Client
from tests.faults.verify import dangling, wrong_files
from tests.fixtures.documents import image
from tests.hostile.conversation import ask
from tests.security.secured import KEY_ID, KEY_SECRET, Content, basic, secured
from tests.serving import OPEN, Registry, registry_running

pytestmark = pytest.mark.real

HOUR = 3600
TEN_YEARS = 10 * 365 * 24 * HOUR
JUMPS = [2 * HOUR, 0, -2 * HOUR, TEN_YEARS, 0]
"""Seconds ahead of the time of day, one after the other."""
CONFIG, LAYER, PROMISED = b"{}", b"layer " * 1000, b"pushed, and needed by nothing yet"


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture
def registry(clock: Clock, tmp_path: Path) -> Iterator[Registry]:
    """It collects garbage all the time; what is pushed is promised for a day, as by default."""
    with registry_running(tmp_path, settings={**OPEN, **clock.settings, "ESTIVA_GC_EVERY": "0.2"}) as running:
        yield running


def last_collected(registry: Registry) -> float:
    """When the registry last looked at its clock to collect garbage, by that clock."""
    with closing(sqlite3.connect(registry.data / "estiva.db", timeout=20)) as database:
        row = database.execute("SELECT value FROM collection_state WHERE name = 'tick'").fetchone()
    return float(row[0]) if row else 0.0


def await_collections(registry: Registry, ahead: int, count: int = 3) -> None:
    """Return after that many collections by the clock as it is now."""
    deadline, seen = time.monotonic() + 60, set[float]()
    while len(seen) < count:
        assert time.monotonic() < deadline, "no garbage is collected"
        tick = last_collected(registry)
        if abs(tick - time.time() - ahead) < 600:
            seen.add(tick)
        time.sleep(0.05)


def test_garbage_collection_takes_nothing_that_is_needed_or_promised_however_the_clock_jumps(
    registry: Registry, clock: Clock, figure: Callable[[str], None]
) -> None:
    with Client(registry.port) as client:
        for content in (CONFIG, LAYER, PROMISED):
            client.demand(201, "POST", f"/v2/app/blobs/uploads/?digest={Digest.of(content)}", content)
        location = client.begin("app")
        client.append(location, LAYER[:1000], 0)
        for number, ahead in enumerate(JUMPS):
            await_collections(registry, JUMPS[number - 1] if number else 0)
            clock.set(ahead)
            await_collections(registry, ahead)
            for content in (CONFIG, LAYER, PROMISED):
                assert client.ask("GET", f"/v2/app/blobs/{Digest.of(content)}")[::2] == (200, content)
            headers = {"Content-Type": OCI_MANIFEST}
            client.demand(201, "PUT", f"/v2/app/manifests/t{number}", image(CONFIG, LAYER), headers)
            assert client.ask("GET", location)[0] == 204
        client.finish(location, Digest.of(LAYER), LAYER[1000:])
        assert dangling(client) == []
        assert client.ask("GET", "/readyz")[0] == 200
    assert wrong_files(registry.data) == []
    figure(f"clock jumps by {', '.join(f'{ahead // HOUR:+d} h' for ahead in JUMPS)}: nothing collected, no upload lost")


def test_a_token_that_nobody_saw_before_a_jump_is_refused_after_it(clock: Clock, tmp_path: Path) -> None:
    administrator = basic(KEY_ID, KEY_SECRET)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in clock.settings.items():
            patched.setenv(name, value)
        with secured(tmp_path) as registry:
            content = registry.push(Content.of("app"))
            path = f"/v2/app/manifests/{content.tag}"

            def pulled_with(token: str) -> int:
                return ask(registry.port, "GET", path, ("Authorization", token)).status

            for ahead in (2 * HOUR, -2 * HOUR, TEN_YEARS):
                clock.set(0)
                token = registry.token_for(administrator, "app")
                clock.set(ahead)
                assert pulled_with(token) == 401
                assert pulled_with(registry.token_for(administrator, "app")) == 200
            clock.set(0)
            assert pulled_with(registry.token_for(administrator, "app")) == 200
