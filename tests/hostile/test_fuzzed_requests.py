"""Ten thousand spoiled requests: none makes the server fail, tell of its insides, or lose its way.

Which requests these are follows from FUZZ_SEED; a failure names the seed and holds the request's bytes.
"""

import os
from random import Random

import pytest

from tests.hostile.civility import API, Civility
from tests.hostile.conversation import Answer, Conversation, ask, raw
from tests.hostile.mutations import mutated
from tests.hostile.requests import Request, valid_requests
from tests.hostile.world import World
from tests.serving import Registry

SEED = int(os.environ.get("FUZZ_SEED", "20261120"))
ROUNDS = 10
PER_ROUND = 1000
PER_WORLD = 50
REACHED = {200, 201, 202, 204, 206, 304, 400, 404, 405, 409, 414}
"""So that the fuzzing is known to get past the first check: what each round is answered with, among others."""
LAST = raw("GET", "/v2/", ("Connection", "close"))
UNKNOWN_TO_HTTP = (501, 505)
"""What only a transfer coding or a version that nobody has to know is answered with (RFC 9112)."""


class Fuzzer:
    """Sends spoiled requests, on one connection for as long as that is kept."""

    def __init__(self, registry: Registry, civility: Civility) -> None:
        self._port = registry.port
        self._civility = civility
        self._conversation: Conversation | None = None
        self.statuses: dict[int, int] = {}

    def send(self, request: Request, number: int) -> None:
        """Send it and look at every answer."""
        try:
            for answer in self._answers(request):
                self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
                allowed = UNKNOWN_TO_HTTP if _is_strange_http(request) else ()
                self._civility.require(answer, api=_is_api(request), may_be=allowed)
        except (AssertionError, TimeoutError, ValueError) as error:
            raise AssertionError(f"seed {SEED}, request {number}: {error!r}\n{request.raw()[:3000]!r}") from error

    def hang_up(self) -> None:
        """End the connection."""
        if self._conversation is not None:
            self._conversation.socket.close()
            self._conversation = None

    def _answers(self, request: Request) -> list[Answer]:
        if _is_plain(request):
            answer = self._continued(request)
            if answer is not None:
                return [answer]
        return self._apart(request)

    def _continued(self, request: Request) -> Answer | None:
        """On the connection that there is; None where the server has closed it since."""
        if self._conversation is None:
            self._conversation = Conversation(self._port)
        self._conversation.say(request.raw())
        answer = self._conversation.answer(request.method.decode("latin-1"))
        if answer is None or answer.closes:
            self.hang_up()
        return answer

    def _apart(self, request: Request) -> list[Answer]:
        """On a connection of its own, with a last good request behind it, up to the end."""
        with Conversation(self._port) as conversation:
            conversation.say(request.raw() + LAST)
            conversation.fall_silent()
            method = request.method.decode("latin-1")
            found = []
            while (answer := conversation.answer(method)) is not None:
                found.append(answer)
                method = "GET"
            return found


def _is_plain(request: Request) -> bool:
    """Whether client and server agree on where the request ends."""
    head = request.raw().partition(b"\r\n\r\n")[0]
    lines = head.split(b"\r\n")
    framing = [line for line in lines if line.lower().startswith((b"content-length", b"transfer-encoding"))]
    words = lines[0].split(b" ")
    return (
        request.is_well_framed
        and len(framing) <= 1
        and not any(line.lower().startswith((b"expect", b"upgrade")) for line in lines)
        and len(words) == 3
        and words[2] == b"HTTP/1.1"
        and b"\n" not in head.replace(b"\r\n", b"")
    )


def _is_strange_http(request: Request) -> bool:
    return b"ransfer-" in request.raw() or request.version != b"HTTP/1.1"


def _is_api(request: Request) -> bool:
    return request.target.startswith(API)


def made(world: World, number: int) -> Request:
    """Request number `number`."""
    random = Random(f"{SEED}-{number}")
    return mutated(random.choice(valid_requests(world, random)), random)


@pytest.mark.parametrize("fuzz_round", range(ROUNDS))
def test_no_spoiled_request_is_answered_with_a_failure(registry: Registry, civility: Civility, fuzz_round: int) -> None:
    fuzzer = Fuzzer(registry, civility)
    for number in range(fuzz_round * PER_ROUND, (fuzz_round + 1) * PER_ROUND):
        if number % PER_WORLD == 0:
            world = World.pushed(registry.port, f"fuzz/{number}")
        fuzzer.send(made(world, number), number)
    fuzzer.hang_up()
    print(f"seed {SEED}, round {fuzz_round}: {sorted(fuzzer.statuses.items())}")  # noqa: T201 - seen with -s
    assert sum(fuzzer.statuses.values()) >= PER_ROUND * 0.9
    assert set(fuzzer.statuses) >= REACHED
    assert ask(registry.port, "GET", "/healthz").status == 200
    assert ask(registry.port, "GET", "/v2/").status == 200
