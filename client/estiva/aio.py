"""Does what the protocol's generators ask for, with asyncio and httpx2."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

import httpx2

from estiva.bodies import BUFFER, LARGEST_IN_MEMORY, TIMEOUT, head_of
from estiva.connections import reason
from estiva.failures import ConnectionFailed, ContentInvalid
from estiva.protocol.steps import Call, FileSlice, Parallel, Pause, Request, Response, Sink, Step, Steps

T = TypeVar("T")


class AsyncConnections:
    """Does requests, and whatever else the protocol asks for, without ever blocking the event loop."""

    def __init__(self, parallel: int, *, timeout: float = TIMEOUT, context: ssl.SSLContext | None = None) -> None:
        self._parallel = parallel
        self._http = httpx2.AsyncClient(timeout=timeout, verify=context or ssl.create_default_context())

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def run(self, steps: Steps[T]) -> T:
        """What the generator returns; its errors are raised."""
        try:
            step = next(steps)
            while True:
                try:
                    outcome = await self._do(step)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    async def _do(self, step: Step) -> Response | list[Any] | Any:
        match step:
            case Request():
                return await self._ask(step)
            case Parallel(steps=branches):
                return await self._all(branches)
            case Call(work=work):
                return await asyncio.to_thread(work)
            case Pause(seconds=seconds):
                return await asyncio.sleep(seconds, None)

    async def _all(self, branches: Sequence[Steps[Any]]) -> list[Any]:
        """All of them, so many at a time; where one fails the others are cancelled."""
        room = asyncio.Semaphore(self._parallel)

        async def one(branch: Steps[Any]) -> Any:
            async with room:
                return await self.run(branch)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(branch)) for branch in branches]
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        return [task.result() for task in tasks]

    async def _ask(self, request: Request) -> Response:
        content = _content(request) if request.method in ("POST", "PUT", "PATCH") else None
        try:
            async with self._http.stream(
                request.method, request.url, headers=head_of(request), content=content
            ) as answer:
                return await _received(answer, request)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ConnectionFailed(f"cannot reach {request.url}: {reason(error)}") from error


async def _received(answer: httpx2.Response, request: Request) -> Response:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    response = Response(answer.status_code, headers, url=request.url)
    if request.sink is not None and request.sink.accept(response):
        await _pour(answer, request.sink)
        return response
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > LARGEST_IN_MEMORY:
            raise ConnectionFailed(f"{request.url} answers with more than {LARGEST_IN_MEMORY} bytes")
    return Response(answer.status_code, headers, bytes(body), request.url)


async def _pour(answer: httpx2.Response, sink: Sink) -> None:
    async for piece in answer.aiter_raw(BUFFER):
        await asyncio.to_thread(sink.write, memoryview(piece))


async def _content(request: Request) -> AsyncIterator[bytes]:
    if isinstance(request.body, bytes):
        pieces = [request.body] if request.body else []
        for piece in pieces:
            yield piece
            _tell(request, len(piece))
        return
    left = request.body
    while left.length:
        piece = await asyncio.to_thread(_read, left)
        yield piece
        _tell(request, len(piece))
        left = left.after(len(piece))


def _read(source: FileSlice) -> bytes:
    try:
        with source.path.open("rb", buffering=0) as file:
            file.seek(source.offset)
            piece = file.read(min(source.length, BUFFER))
    except OSError as error:
        raise ContentInvalid(f"cannot read {source.path}: {error.strerror}") from None
    if not piece:
        raise ContentInvalid(f"{source.path} became shorter while it was sent")
    return piece


def _tell(request: Request, count: int) -> None:
    if request.sent:
        request.sent(count)


def _first(failures: BaseExceptionGroup) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
