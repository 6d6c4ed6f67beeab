"""How a peer lets one in: anybody at all, or a user whose rights come from a policy, with tokens."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

from benchmarks.images import BLOBS, CATALOGUE, REPOSITORY, TAGS
from benchmarks.scenario import ScenarioFailed

ADMIN_KEY = "AKIA" + "B" * 16
USER = "bench"
_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "ecr:*",
            "Resource": [f"arn:aws:ecr:*:*:repository/{names}/*" for names in ("bench", CATALOGUE)],
        }
    ],
}
_SCOPES = ("registry:catalog:*", *(f"repository:{name}:pull,push" for name in (REPOSITORY, BLOBS, TAGS)))


class Access(Protocol):
    """What to say in the Authorization header; nothing where that is empty."""

    def filling(self) -> str:
        """For pushing to any repository of the benchmark, not timed."""
        ...

    def measuring(self) -> str:
        """For what is timed: the way in that clients use."""
        ...


class Open:
    """Everybody may do everything."""

    def filling(self) -> str:
        """See `Access`."""
        return ""

    def measuring(self) -> str:
        """See `Access`."""
        return ""


@dataclass(frozen=True)
class Secrets:
    """The secrets of one server: those of its administrator's key and of the user that the benchmark is."""

    admin: str = field(default_factory=secrets.token_urlsafe, repr=False)
    user: str = field(default_factory=secrets.token_urlsafe, repr=False)


class Closed:
    """A closed registry with one user: creates it, and gives it the policy."""

    def __init__(self, port: int, known: Secrets) -> None:
        self._port = port
        self._basic = _basic(USER, known.user)
        self._admin = admin = _basic(ADMIN_KEY, known.admin)
        self._call("POST", "/api/v1/users", admin, {"name": USER, "password": known.user})
        self._call("PUT", f"/api/v1/policies/{USER}", admin, _POLICY)
        self._call("PUT", f"/api/v1/users/{USER}/policies/{USER}", admin)

    def filling(self) -> str:
        """Name and password: no token has room for ten thousand repositories."""
        return self._basic

    def administering(self) -> str:
        """For what only an administrator may."""
        return self._admin

    def measuring(self) -> str:
        """A token, new each time it is asked for."""
        query = urlencode([("service", "estiva"), *(("scope", scope) for scope in _SCOPES)])
        return f"Bearer {json.loads(self._call('GET', f'/token?{query}', self._basic))['token']}"

    def _call(self, method: str, path: str, authorization: str, body: object = None) -> bytes:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Authorization": authorization})
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= 300:
            raise ScenarioFailed(f"{method} {path} was answered {answer.status}: {content[:300]!r}")
        return content


def _basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()
