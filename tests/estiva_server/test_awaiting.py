"""A start waits for a PostgreSQL server that is not there yet, for as long as it was told."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from estiva_server.awaiting import FIRST_PAUSE, LONGEST_PAUSE, migrate_in_time
from storage.metadata.migrations import DatabaseAwayError, MigrationError
from tests.estiva_server.process import ended
from tests.postgresql import QUICK, Server, server_running
from tests.replicas import settings_on
from tests.serving import ESTIVA, free_port, registry_running
from tests.tools import running

MANY = 10


class PatienceEnded(Exception):
    """Raised in the place of a pause, so that a test ends."""


def nowhere() -> str:
    """The URL of a database where nobody listens."""
    return f"postgresql://estiva:secret@127.0.0.1:{free_port()}/estiva"


def never(seconds: float) -> None:
    raise AssertionError("nothing is waited for")


def eventually_says(log: Path, word: str) -> None:
    """Return when that word is in the log."""
    deadline = time.monotonic() + 120
    while not (log.exists() and word in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_pauses_grow_up_to_a_limit() -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == MANY:
            raise PatienceEnded

    with pytest.raises(PatienceEnded):
        migrate_in_time(nowhere(), 3600, pause)

    assert pauses[0] == FIRST_PAUSE
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


def test_without_patience_nothing_is_waited_for() -> None:
    with pytest.raises(DatabaseAwayError):
        migrate_in_time(nowhere(), 0, never)


def test_the_signal_that_ends_the_process_is_left_as_it_was(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    migrate_in_time(f"sqlite:///{tmp_path / 'estiva.db'}", 60, never)

    assert signal.getsignal(signal.SIGTERM) == before


def test_a_start_whose_database_stays_away_ends_with_code_1_and_says_so(tmp_path: Path) -> None:
    environment = {"ESTIVA_DATABASE_URL": nowhere(), "ESTIVA_MASTER_KEY": "5e" * 32, "ESTIVA_DATABASE_WAIT": "0.5"}
    code, out, err = ended(tmp_path, "--listen", "127.0.0.1:0", environment=environment)
    *waiting, last = err.splitlines()

    assert (code, out) == (1, "")
    assert last.startswith("estiva: cannot use database 127.0.0.1/estiva: ")
    assert waiting
    assert all(
        "seconds more for the metadata database 127.0.0.1/estiva" in json.loads(line)["event"] for line in waiting
    )
    assert "secret" not in err


def test_a_start_that_waits_ends_on_sigterm(tmp_path: Path) -> None:
    environment = {"ESTIVA_DATABASE_URL": nowhere(), "ESTIVA_MASTER_KEY": "5e" * 32}
    log = tmp_path / "log"
    command: list[str | Path] = [ESTIVA, "serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0"]
    with running(command, log, environment=environment) as process:
        eventually_says(log, "waiting")
        process.terminate()

        assert process.wait(60) == 128 + signal.SIGTERM


@pytest.fixture
def starting() -> Iterator[Server]:
    """A server that was ended: its place is known, and nobody answers there until it is started again."""
    with server_running(*QUICK) as server:
        server.stop()
        yield server


@pytest.mark.real
def test_a_start_goes_on_when_the_database_has_come(starting: Server, tmp_path: Path) -> None:
    def come() -> None:
        eventually_says(tmp_path / "registry.log", "waiting")
        starting.start()

    with ThreadPoolExecutor(1) as threads:
        coming = threads.submit(come)
        with registry_running(tmp_path, settings=settings_on(starting.url(), {}, ESTIVA_OPEN="true")):
            coming.result()


@pytest.mark.real
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda server: server.url("nowhere"), id="no such database"),
        pytest.param(lambda server: server.url("template0"), id="a database that takes no connections"),
    ],
)
def test_what_waiting_does_not_mend_is_not_waited_for(
    postgresql_server: Server, wrong: Callable[[Server], str]
) -> None:
    with pytest.raises(MigrationError) as refused:
        migrate_in_time(wrong(postgresql_server), 3600, never)

    assert not isinstance(refused.value, DatabaseAwayError)
