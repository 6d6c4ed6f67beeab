"""Guessing passwords: slow for whoever guesses, unnoticed by everybody else; and signing in rightly is cheap."""

import asyncio
import itertools
import json
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.conversation import ask, raw
from tests.security.secured import ADMIN, ADMIN_PASSWORD, PULL_ACTIONS, Secured, basic, elsewhere, secured, statement

_numbers = itertools.count()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A registry that nobody else asks anything."""
    with secured(tmp_path_factory.mktemp("guessing")) as running:
        yield running


def guess(
    alone: Secured, name: str, address: tuple[str, str], target: str = "/token", secret: str = "wrong password"
) -> tuple[int, int]:
    """The status of one wrong password, and the seconds to wait where it says so."""
    answer = ask(alone.port, "GET", target, ("Authorization", basic(name, secret)), address)
    return answer.status, int(answer.field("retry-after") or 0)


@pytest.mark.parametrize("target", ["/token", "/v2/"])
def test_after_ten_wrong_passwords_a_minute_only_the_guesser_waits(alone: Secured, target: str) -> None:
    victim = f"g-victim-{next(_numbers)}"
    owner = alone.user(victim)
    here, there = elsewhere(), elsewhere()
    statuses = [guess(alone, victim, here, target)[0] for _ in range(10)]
    assert statuses == [401] * 10
    for _ in range(3):
        status, wait = guess(alone, victim, here, target)
        assert status == 429
        assert 0 < wait <= 61
    limited = ask(alone.port, "GET", target, ("Authorization", basic(victim, "wrong password")), here)
    assert json.loads(limited.body)["errors"][0]["code"] == "TOOMANYREQUESTS"
    # Neither another user of the same address, nor the same user elsewhere, nor whoever brings no password.
    other = ("Authorization", alone.user(f"g-other-{next(_numbers)}"))
    assert ask(alone.port, "GET", "/token", other, here).status == 200
    assert ask(alone.port, "GET", "/token", ("Authorization", owner), there).status == 200
    assert ask(alone.port, "GET", "/token", here).status == 200


def test_names_that_are_not_there_are_throttled_as_well(alone: Secured) -> None:
    here = elsewhere()
    statuses = [guess(alone, "g-nobody", here)[0] for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2


def test_a_form_is_throttled_like_a_header(alone: Secured) -> None:
    alone.user("g-form")
    here = elsewhere()
    body = b"grant_type=password&username=g-form&password=wrong"
    statuses = [ask(alone.port, "POST", "/token", here, body=body).status for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert guess(alone, "g-form", here)[0] == 429


def test_a_forged_address_does_not_help_without_a_trusted_proxy(tmp_path: Path) -> None:
    with secured(tmp_path, trusted_proxies="[]") as untrusting:
        statuses = [guess(untrusting, "nobody", elsewhere())[0] for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2


def test_a_hundred_token_calls_a_second_with_a_password(alone: Secured) -> None:
    who = alone.user("g-ci", statement(PULL_ACTIONS, "*"))
    request = raw("GET", "/token?service=estiva&scope=repository:a:pull,push&scope=repository:b:pull",
                  ("Authorization", who))  # fmt: skip
    with alone.talk() as talk:
        assert talk.ask(request).status == 200
        used, started = cpu_seconds(alone), time.perf_counter()
        for _ in range(300):
            assert talk.ask(request).status == 200
        seconds, busy = time.perf_counter() - started, cpu_seconds(alone) - used
    # What counts is the server's own time: how much of the machine others leave it is not its doing.
    assert 300 / max(busy, 0.01) >= 100, (seconds, busy)


def cpu_seconds(alone: Secured) -> float:
    """The processor time that the registry has used."""
    fields = Path(f"/proc/{alone.registry.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_twenty_guessers_at_once_do_not_keep_others_waiting(alone: Secured) -> None:
    request = raw("GET", "/v2/", ("Authorization", basic(ADMIN, ADMIN_PASSWORD)))
    stop = threading.Event()
    guesses: list[int] = []

    def guessing() -> None:
        while not stop.is_set():
            guesses.append(guess(alone, f"g-{next(_numbers)}", elsewhere())[0])

    guessers = [threading.Thread(target=guessing) for _ in range(20)]
    with alone.talk() as talk:
        talk.ask(request)
        quiet = timed(talk.ask, request)
        for guesser in guessers:
            guesser.start()
        try:
            time.sleep(0.3)
            loud = timed(talk.ask, request)
        finally:
            stop.set()
            for guesser in guessers:
                guesser.join(30)
    assert len(guesses) >= 20
    assert set(guesses) <= {401, 429}
    assert statistics.quantiles(loud, n=100)[98] < 0.5 + statistics.quantiles(quiet, n=100)[98]


def timed(ask_again: object, request: bytes, times: int = 100) -> list[float]:
    """Seconds of each of so many requests."""
    assert callable(ask_again)
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        assert ask_again(request).status == 200
        taken.append(time.perf_counter() - started)
    return taken


def test_of_guesses_in_parallel_ten_are_heard_and_nobody_else_waits(alone: Secured) -> None:
    alone.user("g-parallel")
    other = ("Authorization", alone.user("g-beside"))
    here = elsewhere()

    async def many() -> list[int]:
        tries = (
            asyncio.to_thread(guess, alone, "g-parallel", here, "/token", f"guess {number}") for number in range(66)
        )
        beside = asyncio.to_thread(ask, alone.port, "GET", "/token", other, here)
        outcomes, neighbour = await asyncio.gather(asyncio.gather(*tries), beside)
        assert neighbour.status == 200
        return [status for status, _ in outcomes]

    statuses = asyncio.run(many())
    assert sorted(statuses) == [401] * 10 + [429] * 56
    status, wait = guess(alone, "g-parallel", here)
    assert status == 429
    assert wait > 2
