"""A command that is typed at: what its client may say, and what it is told, line by line."""

import asyncio
import base64
import json
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from estiva_server.control import interactive
from estiva_server.control.interactive import TypingAlong
from orchestrator.engines import EngineDown
from orchestrator.engines.fake_container import FakeExec


def line(**said: Any) -> bytes:
    return json.dumps(said).encode() + b"\n"


def data(text: bytes) -> str:
    return base64.b64encode(text).decode()


async def typed(command: FakeExec, pieces: Iterable[bytes], *, leaves: bool = False) -> list[Any]:
    """What is answered to these pieces, line by line; their client then waits, or `leaves`."""
    closed: list[bool] = []
    opened = AsyncExitStack()
    opened.callback(closed.append, True)
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages += [{"type": "http.disconnect"}] if leaves else []
    coming = iter(messages)
    sent: list[Any] = []

    async def receive() -> Any:
        if (message := next(coming, None)) is not None:
            return message
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    async with asyncio.timeout(90):
        await TypingAlong(command, opened)({"type": "http"}, receive, send)
    assert closed == [True]
    start, *rest = sent
    assert (start["status"], dict(start["headers"])[b"upgrade"]) == (101, b"estiva-exec")
    assert [one.get("more_body", False) for one in rest] == [True] * (len(rest) - 1) + [False]
    return [json.loads(one) for one in b"".join(one["body"] for one in rest).splitlines()]


def cat() -> FakeExec:
    return FakeExec(("cat",), {})


async def test_what_is_typed_reaches_the_command_and_its_output_and_exit_code_come_back() -> None:
    pieces = [line(data=data(b"hel")) + line(data=data(b"lo"))[:5], line(data=data(b"lo"))[5:], line(), line(eof=True)]
    *shown, last = await typed(cat(), pieces)
    assert b"".join(base64.b64decode(one["data"]) for one in shown) == b"hello"
    assert {one["stream"] for one in shown} == {"stdout"}
    assert last == {"exit_code": 0}


async def test_the_size_of_the_terminal_is_told() -> None:
    command = cat()
    await typed(command, [line(size=[132, 43]), line(eof=True)])
    assert command.size == (132, 43)


async def test_a_client_that_leaves_ends_it() -> None:
    assert await typed(cat(), [line(data=data(b"x"))], leaves=True) in ([], [{"stream": "stdout", "data": data(b"x")}])


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"hello\n", "a line is no JSON object"),
        (b"[]\n", "a line is no JSON object"),
        (b"[" * 100_000 + b"\n", "a line is no JSON object"),
        (b"\xff\n", "a line is no JSON object"),
        (line(dat="eA=="), "unknown member dat"),
        (line(data="?"), "data is not base64"),
        (line(data=1), "data is not base64"),
        (line(size=[80]), "size is a list of columns and rows"),
        (line(size=[0, 24]), "size is a list of columns and rows"),
        (line(size=[80, 100_000]), "size is a list of columns and rows"),
        (line(size=[True, True]), "size is a list of columns and rows"),
        (b" " * (interactive.LONGEST_LINE + 1), "a line is too long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_nobody_understands_ends_it_with_a_reason(sent: bytes, told: str) -> None:
    assert await typed(cat(), [sent]) == [{"error": told}]


async def test_a_client_that_is_silent_for_too_long_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactive, "SILENCE", 0.01)
    (last,) = await typed(cat(), [])
    assert last["error"].startswith("nothing came for")


async def test_input_that_the_command_takes_no_more_does_not_hide_how_it_ends() -> None:
    class Deaf(FakeExec):
        async def write(self, data: bytes) -> None:
            await super().write_eof()
            raise EngineDown("the command takes no more input")

    assert await typed(Deaf(("cat",), {}), [line(data=data(b"x"))]) == [{"exit_code": 0}]


async def test_an_engine_that_breaks_off_is_told() -> None:
    class Broken(FakeExec):
        async def exit_code(self) -> int:
            raise EngineDown("the engine cannot be spoken to")

    told = await typed(Broken(("true",), {"true": (b"", b"", 0)}), [])
    assert told == [{"error": "the engine cannot be spoken to"}]
