"""An engine that answers slowly, wrongly, or not at all: every call comes to an end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.engines import EngineDown
from orchestrator.engines.docker_http import ApiError, DockerHTTP

VERSION = '{"ApiVersion": "1.41"}'


@asynccontextmanager
async def answering(folder: Path, answers: dict[str, str | None]) -> AsyncIterator[DockerHTTP]:
    """A client of an engine that answers a path so; None: never. What it is asked for besides breaks off."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                path = head.split()[1]
                if path not in answers:
                    break
                answer = answers[path]
                if answer is None:
                    await reader.read()  # until the client goes
                    break
                status, _, body = answer.partition("|")
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, folder / "socket")
    http = DockerHTTP(f"unix://{folder}/socket")
    try:
        yield http
    finally:
        await http.close()
        server.close()
        await server.wait_closed()


async def test_speaks_the_version_that_both_know(tmp_path: Path) -> None:
    answers: dict[str, str | None] = {"/version": f"200 OK|{VERSION}", "/v1.41/info": '200 OK|{"ID": "one"}'}
    async with answering(tmp_path, answers) as http:
        assert await http.ask("GET", "/info") == {"ID": "one"}


async def test_speaks_no_version_newer_than_it_knows(tmp_path: Path) -> None:
    async with answering(tmp_path, {"/version": '200 OK|{"ApiVersion": "1.99"}'}) as http:
        assert await http.api() == (1, 47)


async def test_an_engine_that_does_not_answer_is_down(tmp_path: Path) -> None:
    async with answering(tmp_path, {"/version": f"200 OK|{VERSION}", "/v1.41/info": None}) as http:
        with pytest.raises(EngineDown, match=r"did not answer|cannot be spoken to"):
            await http.ask("GET", "/info", within=0.3)


async def test_an_engine_that_breaks_off_is_down(tmp_path: Path) -> None:
    async with answering(tmp_path, {"/version": f"200 OK|{VERSION}"}) as http:
        with pytest.raises(EngineDown, match="/info"):
            await http.ask("GET", "/info")


async def test_an_engine_that_falls_silent_in_a_stream_is_down(tmp_path: Path) -> None:
    async with answering(tmp_path, {"/version": f"200 OK|{VERSION}", "/v1.41/events": None}) as http:
        with pytest.raises(EngineDown):
            async with http.stream("GET", "/events", silence=0.3):
                pass


async def test_an_engine_that_is_none_is_down(tmp_path: Path) -> None:
    async with answering(tmp_path, {"/version": "200 OK|<html>"}) as http:
        with pytest.raises(EngineDown, match="no JSON"):
            await http.ask("GET", "/info")


@pytest.mark.parametrize(
    ("answer", "message"),
    [('404 Not Found|{"message": "No such container: x"}', "No such container: x"), ("500 Oops|no JSON", "no JSON")],
)
async def test_errors_keep_the_words_of_the_engine(tmp_path: Path, answer: str, message: str) -> None:
    async with answering(tmp_path, {"/version": f"200 OK|{VERSION}", "/v1.41/x": answer}) as http:
        with pytest.raises(ApiError) as error:
            await http.ask("GET", "/x")

    assert error.value.message == message
    assert error.value.status == int(answer[:3])


@pytest.mark.parametrize("endpoint", ["", "unix://", "ftp://host", "tcp://", "/var/run/docker.sock"])
def test_takes_only_places_of_engines(endpoint: str) -> None:
    with pytest.raises(ValueError, match="is no place of an engine"):
        DockerHTTP(endpoint)
