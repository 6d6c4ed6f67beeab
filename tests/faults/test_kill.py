"""kill -9 of the whole registry under load: what was acknowledged stays, and nothing is half there."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.disk import kill
from tests.faults.pushers import Client, Ledger, Session, pushing
from tests.faults.verify import dangling, lost, unfinishable, wrong_files
from tests.serving import registry_running


def pushed_until_killed(folder: Path, pushers: int, seconds: float, name: str) -> Ledger:
    """What the registry acknowledged before it was killed."""
    with registry_running(folder) as registry, pushing(registry.port, pushers, name) as ledger:
        time.sleep(seconds)
        ledger.await_images()
        assert registry.process.poll() is None
        kill(registry.process)
    assert ledger.refusals == []
    return ledger


def problems_after_restart(
    folder: Path, ledgers: list[Ledger], sessions: list[Session], started: Callable[[], object] = lambda: None
) -> list[str]:
    """Everything that is lost, dangling, wrong or can't be continued. `started` is called when the registry is up."""
    with registry_running(folder) as registry, Client(registry.port) as client:
        started()
        problems = [problem for ledger in ledgers for problem in lost(client, ledger)]
        problems += dangling(client)
        problems += wrong_files(registry.data)
        return problems + [wrong for session in sessions if (wrong := unfinishable(client, session, session.offset))]


def test_a_registry_that_is_killed_under_load_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    ledger = pushed_until_killed(tmp_path, pushers=6, seconds=1, name="only")
    assert problems_after_restart(tmp_path, [ledger], ledger.sessions) == []


@pytest.mark.real
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(
    ("rounds", "pushers", "longest"), [(2, 20, 2.0), pytest.param(20, 100, 8.0, marks=pytest.mark.long)]
)
def test_kill_after_kill_loses_nothing(
    tmp_path: Path, rounds: int, pushers: int, longest: float, figure: Callable[[str], None]
) -> None:
    ledgers: list[Ledger] = []
    starts: list[float] = []
    for number in range(rounds):
        seconds = random.uniform(1, longest)
        ledger = pushed_until_killed(tmp_path, pushers, seconds, name=f"round-{number}")
        ledgers.append(ledger)
        last, begun = ledgers if number == rounds - 1 else [ledger], time.monotonic()

        def started(begun: float = begun) -> None:
            starts.append(time.monotonic() - begun)

        assert problems_after_restart(tmp_path, last, ledger.sessions, started) == []
    blobs, images = (sum(len(ledger.blobs) for ledger in ledgers), sum(len(ledger.tags) for ledger in ledgers))
    figure(
        f"kill -9: {rounds} rounds, {pushers} pushers: {blobs} blobs and {images} images acknowledged, 0 lost,"
        f" 0 corrupt, 0 tags that do not resolve, 0 wrong files; slowest start {max(starts):.1f} s"
    )
