"""Requests made by hand: what a server would hand to the API."""

from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message

from auth.access import Access, Caller, Verdict
from auth.opening import EVERYBODY, OpenAccess, OpenDoor
from auth.policy.actions import repository_arn
from auth.sealing import Seal
from registry.api.access import Admission
from registry.api.call import Call
from registry.api.cursors import Cursors
from registry.api.origin import Origin
from registry.api.room import Room

ARN = "arn:aws:ecr:us-east-1:000000000000:repository/"
"""What repositories' names begin with in ARNs here."""


class Asked(OpenAccess):
    """Allows these actions alone, and remembers what it was asked."""

    def __init__(self, *allowed: str, but_not_on: str = "nowhere") -> None:
        super().__init__(lambda name: f"{ARN}{name}")
        self.questions: list[tuple[str, str]] = []
        self._allowed = {f"ecr:{action}" for action in allowed}
        self._but_not_on = but_not_on

    async def decide(self, caller: Caller, action: str, resource: str, **context: str) -> Verdict:
        self.questions.append((action.removeprefix("ecr:"), resource.removeprefix(ARN)))
        return Verdict(action in self._allowed and resource != ARN + self._but_not_on, lasting=True)


def open_admission(access: Access | None = None) -> Admission:
    """Everybody is let in; `access` decides what they may do, and without it they may do everything."""
    everything = OpenAccess(lambda name: repository_arn("us-east-1", "0" * 12, name))
    return Admission(OpenDoor(), access or everything, Origin(), "estiva", Cursors(Seal(bytes(32))))


def scope(method: str, target: str, headers: Mapping[str, str] | None = None, **extensions: Any) -> dict[str, Any]:
    """The ASGI scope of a request."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "method": method,
        "scheme": "http",
        "client": ("127.0.0.1", 50000),
        "raw_path": path.encode(),
        "path": path,
        "query_string": query.encode("latin-1"),
        "headers": [(name.lower().encode(), text.encode("latin-1")) for name, text in (headers or {}).items()],
        "extensions": extensions,
        "state": {},
    }


def call(target: str = "/v2/", headers: Mapping[str, str] | None = None, *messages: Message, **extensions: Any) -> Call:
    """A call whose body comes in these messages."""
    coming = iter(messages)

    async def receive() -> Message:
        return next(coming)

    return Call(
        scope("GET", target, headers, **extensions), receive, open_admission(), Room().enter(), {}, Caller(EVERYBODY)
    )


async def asked(app: ASGIApp, method: str, target: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Status, header fields and body of the application's answer."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    await app(scope(method, target), receive, send)
    start, *rest = messages
    headers = {name.decode(): text.decode() for name, text in start["headers"]}
    return start["status"], headers, b"".join(message["body"] for message in rest)
