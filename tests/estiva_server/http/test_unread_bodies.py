"""Request bodies that nobody reads: what becomes of them, and of their connection."""

from typing import Any

import pytest

from .conftest import Serve
from .served import reply, start_upload


def test_an_unread_small_body_keeps_the_connection(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, 404, b"no")

    with serve(app).client() as client:
        for _ in range(2):
            start_upload(client, 20_000)
            response = client.response()
            assert (response.status, response.headers.get("connection")) == (404, None)
            client.send(bytes(20_000))
        assert client.get("/").status == 404


def test_an_unread_large_body_closes_after_the_answer_was_read(serve: Serve) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, 404, b"no")

    served = serve(app)
    with served.client() as client:
        start_upload(client, 10_000_000)
        client.send(bytes(10_000_000))
        response = client.response()
        assert (response.status, response.headers["connection"]) == (404, "close")
        assert client.at_end()


@pytest.mark.parametrize("limits", [{"linger_timeout": 0.2}, {"linger_bytes": 1 << 20}])
def test_an_unwanted_body_is_not_discarded_without_bounds(serve: Serve, limits: dict[str, Any]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await reply(send, 404, b"no")

    served = serve(app, **limits)
    with served.client() as client:
        start_upload(client, 1 << 40)
        assert client.response().status == 404
        with pytest.raises(ConnectionError):
            client.send_slowly(bytes(1 << 26), 1 << 16, 0.01)
