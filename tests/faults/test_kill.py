"""kill -9 of the whole registry under load: what was acknowledged stays, and nothing is half there."""

import random
import time
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


def problems_after_restart(folder: Path, ledgers: list[Ledger], sessions: list[Session]) -> list[str]:
    """Everything that is lost, dangling, wrong or can't be continued."""
    with registry_running(folder) as registry, Client(registry.port) as client:
        problems = [problem for ledger in ledgers for problem in lost(client, ledger)]
        problems += dangling(client)
        problems += wrong_files(registry.data)
        return problems + [wrong for session in sessions if (wrong := unfinishable(client, session, session.offset))]


def test_a_registry_that_is_killed_under_load_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    ledger = pushed_until_killed(tmp_path, pushers=6, seconds=1, name="only")
    assert problems_after_restart(tmp_path, [ledger], ledger.sessions) == []


@pytest.mark.real
@pytest.mark.timeout(300)
def test_five_kills_under_thirty_pushers_lose_nothing(tmp_path: Path) -> None:
    ledgers: list[Ledger] = []
    for number in range(5):
        ledger = pushed_until_killed(tmp_path, pushers=30, seconds=random.uniform(1, 3), name=f"round-{number}")
        ledgers.append(ledger)
        assert problems_after_restart(tmp_path, ledgers, ledger.sessions) == []
