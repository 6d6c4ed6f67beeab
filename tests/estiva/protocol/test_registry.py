"""Signing in, redirects and second tries."""

import base64
from urllib.parse import parse_qsl, urlsplit

import pytest

from estiva.credentials import Credential
from estiva.errors import Unauthorized
from estiva.failures import ConnectionFailed
from estiva.protocol.registry import NOTHING, TRIES, Registry, Scopes
from estiva.protocol.steps import Request, Response, Steps
from tests.estiva.protocol.asking import Script, answer

PULL = Scopes.parse("repository:app:pull")
BEARER = {"WWW-Authenticate": 'Bearer realm="https://auth.test/token?x=1",service="reg",scope="repository:app:pull"'}
BASIC = {"WWW-Authenticate": 'Basic realm="x"'}
ALICE = Credential("alice", "secret")
BASIC_OF_ALICE = "Basic " + base64.b64encode(b"alice:secret").decode()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def registry(
    credential: Credential | None = ALICE, url: str = "https://reg.test", clock: Clock | None = None
) -> Registry:
    return Registry("reg.test", url, lambda host: credential, clock or Clock())


def get(registry: Registry, scopes: Scopes = PULL) -> Steps[Response]:
    return registry.ask("GET", "/v2/app/tags/list", scopes)


def authorizations(script: Script) -> list[str]:
    return [request.headers.get("Authorization", "") for request in script.requests]


def test_nobody_is_asked_for_a_password_where_none_is_needed() -> None:
    script = Script([answer(200)])
    assert script.run(get(registry())).status == 200
    assert authorizations(script) == [""]


def test_a_token_is_fetched_with_the_password_and_used_again_until_it_expires() -> None:
    clock = Clock()
    asked = registry(clock=clock)
    token = answer(200, body={"token": "T1", "expires_in": 100})
    script = Script([answer(401, BEARER), token, answer(200), answer(200)])
    for _ in range(2):
        script_answers, script.answers = script.answers, script.answers[: 3 if not script.requests else 1]
        rest = script_answers[len(script.answers) :]
        script.run(get(asked))
        script.answers = rest
    assert authorizations(script) == ["", BASIC_OF_ALICE, "Bearer T1", "Bearer T1"]
    url = urlsplit(script.requests[1].url)
    assert (url.netloc, url.path) == ("auth.test", "/token")
    assert parse_qsl(url.query) == [
        ("x", "1"),
        ("service", "reg"),
        ("scope", "repository:app:pull"),
        ("account", "alice"),
    ]
    clock.now = 95
    script = Script([answer(200, body={"access_token": "T2"}), answer(200)])
    script.run(get(asked))
    assert authorizations(script) == [BASIC_OF_ALICE, "Bearer T2"]


def test_a_token_that_holds_no_more_is_replaced_once() -> None:
    asked = registry()
    Script([answer(401, BEARER), answer(200, body={"token": "T1"}), answer(200)]).run(get(asked))
    script = Script([answer(401, BEARER), answer(200, body={"token": "T2"}), answer(401, BEARER)])
    assert script.run(get(asked)).status == 401


def test_scopes_that_the_registry_demands_are_asked_for_too() -> None:
    more = {"WWW-Authenticate": 'Bearer realm="https://auth.test/",scope="repository:app:pull,push registry:catalog:*"'}
    script = Script([answer(401, more), answer(200, body={"token": "T"}), answer(200)])
    script.run(get(registry()))
    scopes = [value for name, value in parse_qsl(urlsplit(script.requests[1].url).query) if name == "scope"]
    assert scopes == ["registry:catalog:*", "repository:app:pull,push"]


def test_an_identity_token_is_exchanged() -> None:
    script = Script([answer(401, BEARER), answer(200, body={"access_token": "T"}), answer(200)])
    script.run(get(registry(Credential("", "", "identity"))))
    exchange = script.requests[1]
    assert exchange.method == "POST"
    assert isinstance(exchange.body, bytes)
    form = dict(parse_qsl(exchange.body.decode()))
    assert (form["grant_type"], form["refresh_token"], form["scope"]) == (
        "refresh_token",
        "identity",
        "repository:app:pull",
    )


def test_a_name_and_password_go_with_every_request_where_the_registry_wants_that() -> None:
    asked = registry()
    script = Script([answer(401, BASIC), answer(200)])
    script.run(get(asked))
    assert authorizations(script) == ["", BASIC_OF_ALICE]
    assert Script([answer(401, BASIC)]).run(get(registry(None))).status == 401


def test_a_password_is_not_sent_without_encryption_where_the_registry_has_it() -> None:
    plain = {"WWW-Authenticate": 'Bearer realm="http://auth.test/token"'}
    with pytest.raises(Unauthorized, match="without encryption"):
        Script([answer(401, plain)]).run(get(registry()))


@pytest.mark.parametrize("realm", ["", "ftp://auth.test/token", "/token", "file:///etc/passwd"])
def test_a_realm_that_is_none(realm: str) -> None:
    with pytest.raises(Unauthorized, match="where its token service is"):
        Script([answer(401, {"WWW-Authenticate": f'Bearer realm="{realm}"'})]).run(get(registry()))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"token": ""}', b"{}", b'{"token": "T", "expires_in": "soon"}'])
def test_a_token_service_that_answers_with_no_token(body: bytes) -> None:
    with pytest.raises(Unauthorized, match="no token"):
        Script([answer(401, BEARER), answer(200, body=body)]).run(get(registry()))


def test_a_password_that_the_token_service_refuses() -> None:
    refused = answer(401, body={"errors": [{"code": "UNAUTHORIZED", "message": "no such user"}]})
    with pytest.raises(Unauthorized, match=r"does not let alice in: no such user; `estiva login reg\.test` signs in"):
        Script([answer(401, BEARER), refused]).run(get(registry()))


def test_a_redirect_is_followed_and_nobody_else_is_told_the_password() -> None:
    asked = registry()
    script = Script([answer(401, BASIC), answer(307, {"Location": "https://s3.test/x"}), answer(200)])
    assert script.run(get(asked)).status == 200
    assert script.requests[-1].url == "https://s3.test/x"
    assert authorizations(script)[-1] == ""


def test_a_stranger_who_asks_for_a_password_gets_none() -> None:
    script = Script([answer(307, {"Location": "https://s3.test/x"}), answer(401, BASIC)])
    assert script.run(get(registry())).status == 401


def test_redirects_end() -> None:
    script = Script([answer(307, {"Location": "/again"})] * 7)
    with pytest.raises(ConnectionFailed, match="redirects without an end"):
        script.run(registry().ask_once(Request("GET", "https://reg.test/"), NOTHING))


def test_what_fails_for_a_moment_is_tried_again() -> None:
    script = Script([ConnectionFailed("cut"), answer(503), answer(429, {"Retry-After": "7"}), answer(200)])
    assert script.run(get(registry())).status == 200
    assert script.pauses == [0.2, 0.4, 7.0]


def test_patience_ends() -> None:
    assert Script([answer(503)] * TRIES).run(get(registry())).status == 503
    with pytest.raises(ConnectionFailed, match="cut"):
        Script([ConnectionFailed("cut")] * TRIES).run(get(registry()))


def test_who_asks_too_often_asks_when_told_to_for_a_minute() -> None:
    wait = answer(429, {"Retry-After": "2"})
    script = Script([*[wait] * (TRIES + 3), answer(200)])
    assert script.run(get(registry())).status == 200
    assert script.pauses == [2.0] * (TRIES + 3)
    script = Script([wait] * 31)
    assert script.run(get(registry())).status == 429
    assert sum(script.pauses) == 60


def test_who_is_not_told_how_long_it_is_too_often_does_not_wait_for_long() -> None:
    script = Script([answer(429)] * TRIES)
    assert script.run(get(registry())).status == 429
    assert sum(script.pauses) < 2


def test_nobody_waits_for_an_hour() -> None:
    script = Script([answer(503, {"Retry-After": "3600"}), answer(200)])
    script.run(get(registry()))
    assert script.pauses == [60.0]
