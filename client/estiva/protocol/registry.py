"""One registry as a client knows it: where it is, how it wants to be signed in to, and the tokens it gave."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlencode, urljoin, urlsplit

from estiva.credentials import Credential
from estiva.errors import Unauthorized
from estiva.failures import ConnectionFailed
from estiva.protocol.answers import refusal
from estiva.protocol.challenges import Challenge, parse_challenges
from estiva.protocol.steps import Call, Pause, Request, Response, Steps

CLIENT_ID = "estiva"
TRIES = 4
REDIRECTS = 5
_LONGEST_PAUSE = 60.0
_TOKEN_LIFE = 60
_MARGIN = 10
_TOO_MANY = 429
_AGAIN = frozenset({_TOO_MANY, 502, 503, 504})
_ELSEWHERE = frozenset({301, 302, 303, 307, 308})

Find = Callable[[str], Credential | None]


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a request needs a token for: actions by resource (distribution's token scope)."""

    actions: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def parse(cls, text: str) -> "Scopes":
        """The scopes in a text such as `repository:app:pull,push registry:catalog:*`."""
        resources = (scope.rpartition(":") for scope in text.split())
        return cls(frozenset((name, action) for name, _, actions in resources for action in actions.split(",")))

    def __or__(self, other: "Scopes") -> "Scopes":
        return Scopes(self.actions | other.actions)

    def as_list(self) -> list[str]:
        """One scope per resource, in a fixed order."""
        resources = sorted({resource for resource, _ in self.actions})
        return [
            f"{resource}:{','.join(sorted(action for name, action in self.actions if name == resource))}"
            for resource in resources
        ]


NOTHING = Scopes()


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    until: float


class Registry:
    """Asks one registry: signs in when it is told to, follows redirects, tries again what may work the next time."""

    def __init__(self, host: str, url: str, find: Find, clock: Callable[[], float] = time.monotonic) -> None:
        self.host = host
        self.url = url
        self._find = find
        self._clock = clock
        self._challenge: Challenge | None = None
        self._credential: Credential | None = None
        self._looked = False
        self._tokens: dict[Scopes, _Token] = {}
        self._demanded: dict[Scopes, Scopes] = {}

    def ask(
        self, method: str, path: str, scopes: Scopes, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Steps[Response]:
        """The answer to a request, which is tried again where the connection or the registry fails for a moment."""
        for tried in count(1):
            try:
                response = yield from self.ask_once(
                    Request(method, urljoin(self.url, path), headers or {}, body), scopes
                )
            except ConnectionFailed:
                if tried == TRIES:
                    raise
                yield pause(tried)
            else:
                if not is_momentary(response) or tried == TRIES:
                    return response
                yield pause(tried, response)
        raise AssertionError

    def ask_once(self, request: Request, scopes: Scopes) -> Steps[Response]:
        """The answer to a request after signing in and following redirects; ConnectionFailed where none came.

        Who is told that these were too many requests asks again when it is told to: nothing came of the request.
        """
        asked_to_sign_in, url = False, request.url
        for _ in range(REDIRECTS + 2):
            own = _origin(url) == _origin(self.url)
            authorization = (yield from self._authorization(scopes)) if own else ""
            response = yield from _in_turn(_addressed(request, url, authorization))
            if response.status == 401 and own and not asked_to_sign_in:
                asked_to_sign_in = True
                if not (yield from self._learn(response, scopes)):
                    return response
            elif response.status in _ELSEWHERE and request.method in ("GET", "HEAD") and response.header("location"):
                url = urljoin(url, response.header("location"))
            else:
                return response
        raise ConnectionFailed(f"{self.host} redirects without an end")

    def _learn(self, response: Response, scopes: Scopes) -> Steps[bool]:
        """Remember how to sign in; whether asking again can help."""
        challenges = {
            challenge.scheme: challenge for challenge in parse_challenges(response.header("www-authenticate"))
        }
        challenge = challenges.get("bearer") or challenges.get("basic")
        if challenge is None:
            return False
        yield from self._look()
        self._challenge = challenge
        if challenge.scheme == "basic":
            return self._credential is not None
        self._tokens.pop(scopes, None)
        known = self._demanded.get(scopes, scopes)
        self._demanded[scopes] = known | Scopes.parse(challenge.parameters.get("scope", ""))
        return True

    def _look(self) -> Steps[None]:
        if not self._looked:
            self._credential = yield Call(lambda: self._find(self.host))
            self._looked = True

    def _authorization(self, scopes: Scopes) -> Steps[str]:
        if self._challenge is None:
            return ""
        if self._challenge.scheme == "basic":
            return _basic(self._credential) if self._credential else ""
        token = self._tokens.get(scopes)
        if token is None or token.until <= self._clock():
            token = yield from self._fetch_token(self._challenge, self._demanded.get(scopes, scopes))
            self._tokens[scopes] = token
        return f"Bearer {token.text}"

    def _fetch_token(self, challenge: Challenge, scopes: Scopes) -> Steps[_Token]:
        response = yield from self._ask_realm(challenge, scopes)
        if response.status != 200:
            raise self._not_let_in(response)
        try:
            answer = json.loads(response.body)
            text = answer.get("token") or answer["access_token"]
            life = max(float(answer.get("expires_in") or _TOKEN_LIFE), 0.0)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Unauthorized(f"the token service of {self.host} answers with no token") from None
        return _Token(str(text), self._clock() + life - min(_MARGIN, life / 2))

    def _ask_realm(self, challenge: Challenge, scopes: Scopes) -> Steps[Response]:
        realm = challenge.parameters.get("realm", "")
        if urlsplit(realm).scheme not in ("http", "https"):
            raise Unauthorized(f"{self.host} does not say where its token service is")
        if self._credential and urlsplit(self.url).scheme == "https" != urlsplit(realm).scheme:
            raise Unauthorized(f"{self.host} wants the password to be sent to {realm} without encryption")
        for tried in count(1):
            try:
                response = yield self._token_request(realm, challenge.parameters.get("service", ""), scopes)
                assert isinstance(response, Response)
                if not is_momentary(response) or tried == TRIES:
                    return response
                yield pause(tried, response)
            except ConnectionFailed:
                if tried == TRIES:
                    raise
                yield pause(tried)
        raise AssertionError

    def _token_request(self, realm: str, service: str, scopes: Scopes) -> Request:
        wanted = scopes.as_list()
        credential = self._credential
        if credential and credential.identity_token:
            form = {"grant_type": "refresh_token", "service": service, "client_id": CLIENT_ID}
            form |= {"scope": " ".join(wanted), "refresh_token": credential.identity_token}
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            return Request("POST", realm, kind, urlencode(form).encode())
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in wanted]
        query += [("account", credential.username)] if credential else []
        headers = {"Authorization": _basic(credential)} if credential else {}
        return Request("GET", f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}", headers)

    def _not_let_in(self, response: Response) -> Exception:
        error = refusal(response)
        if response.status not in (400, 401, 403):
            return error
        name = self._credential.username or "the identity token" if self._credential else "nobody"
        why = f"{self.host} does not let {name} in: {error.text}"
        return Unauthorized(f"{why}; `estiva login {self.host}` signs in", detail=error.detail)


def pause(tried: int, response: Response | None = None) -> Pause:
    """How long to wait before the next try: what the answer says, else longer each time."""
    said = response.header("retry-after") if response else ""
    return Pause(min(float(said), _LONGEST_PAUSE) if said.isdecimal() else 0.1 * 2**tried)


def is_momentary(response: Response) -> bool:
    """Whether the same request may be answered otherwise a little later; who waited for a turn in vain is told no."""
    return response.status in _AGAIN and not _has_turns(response)


def _has_turns(response: Response) -> bool:
    """Whether a registry has too many requests, and says when it will have fewer."""
    return response.status == _TOO_MANY and bool(response.header("retry-after"))


def _in_turn(request: Request) -> Steps[Response]:
    """The answer, once it is no longer that there are too many requests for now; that one after a minute."""
    waited = 0.0
    while True:
        response = yield request
        assert isinstance(response, Response)
        rest = pause(1, response)
        if not _has_turns(response) or waited + rest.seconds > _LONGEST_PAUSE:
            return response
        waited += rest.seconds
        yield rest


def _addressed(request: Request, url: str, authorization: str) -> Request:
    headers = dict(request.headers) | ({"Authorization": authorization} if authorization else {})
    return Request(request.method, url, headers, request.body, request.sink, request.sent)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _basic(credential: Credential | None) -> str:
    assert credential is not None
    return "Basic " + base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()
