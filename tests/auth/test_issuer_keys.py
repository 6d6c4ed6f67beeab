"""The keys of trusted issuers: where they are looked for, how often, and which of them count."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from auth import issuer_keys
from auth.fetching import FetchError
from auth.issuer_keys import public_keys
from tests.auth.ci import CI, RULE, trusting
from tests.auth.issuer import DISCOVERY, JWKS, jwk, private_key
from tests.auth.parts import OPERATOR, PASSWORD, Parts

FOREIGN: list[Any] = [
    {},
    [],
    b"<html>",
    {"issuer": "https://another.example", "jwks_uri": "{url}/keys"},
    {"issuer": "{url}/", "jwks_uri": "{url}/keys"},
    {"issuer": "{url}", "jwks_uri": None},
    {"issuer": "{url}", "jwks_uri": "/keys"},
    {"issuer": "{url}", "jwks_uri": "file:///etc/passwd"},
    {"issuer": "{url}", "jwks_uri": "http://169.254.169.254/latest/meta-data"},
    {"jwks_uri": "{url}/keys"},
]


@pytest.fixture
async def ci(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CI]:
    async with trusting(parts, monkeypatch) as ci:
        yield ci


async def test_new_keys_are_followed_and_asked_for_every_ten_seconds_at_most(ci: CI) -> None:
    await ci.must_job()
    assert ci.issuer.asked == [DISCOVERY, JWKS]
    new = private_key("RS256", "new")
    ci.issuer.publish(new=new)
    token = ci.issuer.token(key_id="new", key=new)
    for _ in range(5):
        assert await ci.job(token) is None
    assert len(ci.issuer.asked) == 2
    ci.clock.passed += 11
    assert await asyncio.gather(*(ci.job(token) for _ in range(30))) == [await ci.job(token)] * 30
    assert await ci.job(token) is not None
    assert len(ci.issuer.asked) == 4
    assert await ci.job() is None  # the old key was withdrawn


async def test_a_withdrawn_key_is_noticed_while_others_are_in_use(ci: CI) -> None:
    old = ci.issuer.token()
    await ci.must_job()
    ci.issuer.publish(new=private_key("RS256", "new"))
    ci.clock.passed += issuer_keys.FRESH_FOR + 1
    assert await ci.job(old) is not None  # nobody waits for the look
    async with asyncio.timeout(5):
        while await ci.job(old) is not None:
            await asyncio.sleep(0.01)


async def test_known_keys_count_for_an_hour_while_their_issuer_is_down(ci: CI) -> None:
    await ci.must_job()
    ci.issuer.say(JWKS, b"", 503)
    for _ in range(5):
        ci.clock.passed += 700
        assert await ci.job() is not None
    ci.clock.passed += 700
    assert await ci.job() is None
    ci.issuer.publish(rsa=private_key("RS256"))
    ci.clock.passed += 11
    assert await ci.job() is not None


async def test_an_issuer_that_does_not_answer_holds_up_neither_requests_nor_passwords(
    ci: CI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_keys, "PATIENCE", 0.3)
    hung = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang() -> Any:
        asyncio.run_coroutine_threadsafe(hung.wait(), loop).result(10)
        return 200, {}, b"{}"

    ci.issuer.answers[DISCOVERY] = hang
    began = time.monotonic()
    waiting = [asyncio.create_task(ci.job()) for _ in range(100)]
    await asyncio.sleep(0.05)
    await ci.parts.identities.create_user(OPERATOR, "alice", PASSWORD)
    await ci.parts.sign_in("alice")
    assert await asyncio.gather(*waiting) == [None] * 100
    assert time.monotonic() - began < 3
    assert ci.issuer.asked == [DISCOVERY]
    hung.set()
    await asyncio.sleep(0.05)


async def test_a_discovery_document_is_the_issuers_own_and_names_its_keys(ci: CI) -> None:
    for document in FOREIGN:
        text = document if isinstance(document, bytes) else json.dumps(document).encode()
        ci.issuer.say(DISCOVERY, text.replace(b"{url}", ci.issuer.url.encode()))
        ci.clock.passed += 11
        assert await ci.job() is None
    assert ci.issuer.asked == [DISCOVERY] * len(FOREIGN)


async def test_keys_may_be_named_without_a_discovery_document(ci: CI) -> None:
    await ci.trust(RULE, jwks_uri=ci.issuer.url + JWKS)
    await ci.must_job()
    assert ci.issuer.asked == [JWKS]


def test_of_a_set_of_keys_those_count_that_hold() -> None:
    rs, es = private_key("RS256"), private_key("ES256")
    assert isinstance(rs, rsa.RSAPrivateKey)
    large, weak = ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 1024)
    secret = base64.urlsafe_b64encode(b"s" * 32).decode()
    keys: list[Any] = [
        None,
        "key",
        {},
        {"kty": "RSA"},
        {"kty": ["RSA"], "kid": "list"},
        {"kty": "RSA", "kid": "number", "n": 7, "e": 3},
        {"kty": "RSA", "kid": "empty", "n": "", "e": ""},
        {"kty": "EC", "kid": "off the curve", "crv": "P-256", "x": secret, "y": secret},
        {"kty": "OKP", "kid": "exchange", "crv": "X25519", "x": secret},
        {"kty": "oct", "kid": "symmetric", "k": secret},
        {**json.loads(RSAAlgorithm.to_jwk(rs)), "kid": "private"},
        jwk("weak", weak),
        jwk("large", large),
        jwk("encrypts", rs) | {"use": "enc"},
        jwk("another algorithm", rs) | {"alg": "RS512"},
        jwk("HS256", rs) | {"alg": "HS256"},
        {name: value for name, value in jwk("", rs).items() if name != "kid"},
        jwk("same", rs) | {"alg": "RS256"},
        jwk("same", es),
        jwk("same", private_key("RS256", "second")),
    ]
    found = public_keys({"keys": keys})
    assert set(found) == {("same", "RS256"), ("same", "ES256")}
    assert found["same", "RS256"] == private_key("RS256").public_key()


@pytest.mark.parametrize("document", [None, [], {}, "keys", 7, {"keys": {}}, {"keys": None}])
def test_what_is_no_set_of_keys_is_refused(document: Any) -> None:
    with pytest.raises(FetchError):
        public_keys(document)


def test_a_set_of_a_thousand_keys_is_not_read_to_its_end() -> None:
    keys = [jwk(f"{number}", private_key("ES256")) for number in range(1000)]
    assert len(public_keys({"keys": keys})) == issuer_keys.MOST_KEYS
