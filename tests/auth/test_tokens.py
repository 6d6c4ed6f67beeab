"""Registry tokens: what is issued, and everything that is not let in (each past CVE of other registries is a case)."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from auth.principals import ANONYMOUS, Kind, Principal
from auth.scopes import Scope
from auth.tokens import LEEWAY, LONGEST_TOKEN, SigningKey, TokenInvalidError, Tokens

KEY, STRANGER = SigningKey.generate(), SigningKey.generate()
RSA_KEY = rsa.generate_private_key(65537, 2048)
P384_KEY = ec.generate_private_key(ec.SECP384R1())
ALICE = Principal(Kind.USER, "alice", 7)
PULL = Scope("repository", "team/app", frozenset({"pull"}))
PUBLIC_PEM = KEY.private.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


@pytest.fixture
def tokens() -> Tokens:
    tokens = Tokens("estiva", "registry.example", 300)
    tokens.use([KEY])
    return tokens


def claims(**changed: Any) -> dict[str, Any]:
    """Those of a good token; a change to `...` leaves the claim out."""
    now = int(time.time())
    good = {
        "iss": "estiva",
        "sub": "alice",
        "aud": "registry.example",
        "exp": now + 300,
        "nbf": now,
        "iat": now,
        "jti": "1",
        "kind": "user",
        "pid": 7,
        "access": [{"type": "repository", "name": "team/app", "actions": ["pull"]}],
    }
    return {name: value for name, value in {**good, **changed}.items() if value is not ...}


NOW = int(time.time())


def shown(value: Any) -> str:
    """A case's name: the same in every process, whatever the time and the keys."""
    if isinstance(value, int | float) and abs(value - NOW) < 400 * 86_400:
        return f"NOW{value - NOW:+}"
    text = str(value)
    for random, name in ((KEY.id, "ours"), (KEY.id.upper(), "OURS"), (STRANGER.id, "theirs"), (str(NOW), "NOW")):
        text = text.replace(random, name)
    return text[:30]


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed(header: dict[str, Any], payload: dict[str, Any], key: SigningKey = KEY) -> str:
    """A token with exactly this header, signed with ES256 whatever the header says."""
    text = f"{part(header)}.{part(payload)}"
    signature = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(text.encode(), key.private)
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def header(**changed: Any) -> dict[str, Any]:
    good = {"typ": "JWT", "alg": "ES256", "kid": KEY.id}
    return {name: value for name, value in {**good, **changed}.items() if value is not ...}


def refused(tokens: Tokens, text: str) -> None:
    with pytest.raises(TokenInvalidError):
        tokens.verify(text)


def test_a_token_says_who_and_what_for(tokens: Tokens) -> None:
    text, issued_at = tokens.issue(ALICE, [PULL])
    token = tokens.verify(text)
    assert token.principal == ALICE
    assert token.access == (PULL,)
    assert token.expires == issued_at + 300
    read = jwt.decode(text, options={"verify_signature": False})
    assert {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "access"} <= read.keys()
    assert (read["iss"], read["sub"], read["aud"]) == ("estiva", "alice", "registry.example")
    assert jwt.get_unverified_header(text) == {"typ": "JWT", "alg": "ES256", "kid": KEY.id}


def test_an_anonymous_token_names_nobody(tokens: Tokens) -> None:
    text, _ = tokens.issue(ANONYMOUS, [])
    assert tokens.verify(text).principal is ANONYMOUS
    assert jwt.decode(text, options={"verify_signature": False})["sub"] == ""


def test_no_two_tokens_are_the_same(tokens: Tokens) -> None:
    assert len({tokens.issue(ALICE, [])[0] for _ in range(100)}) == 100


def test_a_token_made_by_hand_as_the_tests_make_them_is_good(tokens: Tokens) -> None:
    """All that follows differs from this one in a single point."""
    assert tokens.verify(signed(header(), claims())).principal == ALICE


@pytest.mark.parametrize(
    "changed",
    [
        {"jwk": STRANGER.jwk()},
        {"jwk": KEY.jwk()},
        {"jku": "http://127.0.0.1/keys"},
        {"x5u": "http://127.0.0.1/certificate"},
        {"x5c": ["MIIB"]},
        {"x5t": "abc"},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"typ": "at+jwt"},
        {"typ": ...},
        {"kid": ...},
        {"kid": None},
        {"kid": 1},
        {"kid": [KEY.id]},
        {"kid": ""},
        {"kid": STRANGER.id},
        {"kid": "../../../etc/passwd"},
        {"kid": "' or 1=1 --"},
        {"kid": KEY.id.upper()},
        {"kid": "k" * 65_536},
        {"alg": "none"},
        {"alg": "None"},
        {"alg": ""},
        {"alg": None},
        {"alg": "es256"},
        {"alg": "ES384"},
        {"alg": "RS256"},
        {"alg": "HS256"},
        {"alg": ["ES256"]},
        {"alg": ...},
    ],
    ids=lambda changed: "".join(f"{name}={shown(value)}" for name, value in changed.items()),
)
def test_a_header_of_any_other_form_is_refused_though_our_key_signed(tokens: Tokens, changed: dict[str, Any]) -> None:
    refused(tokens, signed(header(**changed), claims()))


@pytest.mark.parametrize("brought", [{}, {"jwk": STRANGER.jwk()}, {"x5c": ["MIIB"]}])
def test_our_kid_with_another_key_is_refused(tokens: Tokens, brought: dict[str, Any]) -> None:
    refused(tokens, signed(header(**brought), claims(), STRANGER))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_an_unsigned_token_is_refused(tokens: Tokens, algorithm: str, signature: str) -> None:
    refused(tokens, f"{part(header(alg=algorithm))}.{part(claims())}.{signature}")
    refused(tokens, f"{part(header())}.{part(claims())}.{signature}")


@pytest.mark.parametrize(
    "secret",
    [PUBLIC_PEM, json.dumps(KEY.jwk()).encode(), KEY.jwk()["x"].encode(), b""],
    ids=["pem", "jwk", "x", "none"],
)
@pytest.mark.parametrize("said", ["HS256", "ES256"])
def test_our_public_key_is_nobodys_hmac_secret(tokens: Tokens, secret: bytes, said: str) -> None:
    text = f"{part(header(alg=said))}.{part(claims())}"
    signature = hmac.digest(secret, text.encode(), hashlib.sha256)
    refused(tokens, f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


def test_other_algorithms_are_refused_with_good_signatures(tokens: Tokens) -> None:
    for algorithm, key in (("RS256", RSA_KEY), ("PS256", RSA_KEY), ("ES384", P384_KEY), ("ES256", STRANGER.private)):
        text = jwt.encode(claims(), key, algorithm, headers={"kid": KEY.id})
        refused(tokens, text)
        said, _, rest = text.partition(".")
        assert said
        refused(tokens, f"{part(header())}.{rest}")


@pytest.mark.parametrize("name", ["aud", "iss", "exp", "nbf", "iat", "jti", "sub"])
def test_each_claim_has_to_be_there(tokens: Tokens, name: str) -> None:
    refused(tokens, signed(header(), claims(**{name: ...})))
    refused(tokens, signed(header(), claims(**{name: None})))


NO_TIMES: list[Any] = [str(NOW), [NOW], {}, True, NOW + 0.5, "soon", "", 1e400]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aud", "another.example"),
        ("aud", "registry.example "),
        ("aud", ""),
        ("aud", ["registry.example"]),
        ("aud", ["another.example", "registry.example"]),
        ("aud", {"registry.example": 1}),
        ("aud", 1),
        ("iss", "Estiva"),
        ("iss", ["estiva"]),
        ("iss", ""),
        ("iss", 1),
        ("sub", 7),
        ("sub", ["alice"]),
        ("sub", {"name": "alice"}),
        ("jti", 1),
        ("jti", ["1"]),
        *((name, value) for name in ("exp", "nbf", "iat") for value in NO_TIMES),
        ("nbf", NOW * 1000),
        ("iat", NOW * 1000),
        ("exp", NOW * 1000),  # milliseconds
        ("exp", NOW + 366 * 86_400),
        ("exp", NOW - 61),
        ("exp", 0),
        ("nbf", NOW + 3600),
        ("iat", NOW + 3600),
        ("kind", "root"),
        ("kind", ["user"]),
        ("kind", ...),
        ("access", "pull"),
        ("access", [{"type": "repository"}]),
        ("access", ["repository:a:pull"]),
    ],
    ids=shown,
)
def test_a_claim_of_another_kind_or_value_is_refused(tokens: Tokens, name: str, value: Any) -> None:
    refused(tokens, signed(header(), claims(**{name: value})))


def test_clocks_may_differ_by_half_a_minute_and_no_more(tokens: Tokens) -> None:
    now = int(time.time())
    assert LEEWAY <= 60
    tokens.verify(signed(header(), claims(nbf=now + LEEWAY - 5, iat=now + LEEWAY - 5)))
    refused(tokens, signed(header(), claims(nbf=now + 61)))
    refused(tokens, signed(header(), claims(iat=now + 61)))
    refused(tokens, signed(header(), claims(exp=now - 61)))


def test_tokens_of_another_service_or_issuer_are_not_ours(tokens: Tokens) -> None:
    for issuer, audience in (("estiva", "another.example"), ("another", "registry.example")):
        other = Tokens(issuer, audience, 300)
        other.use([KEY])
        refused(tokens, other.issue(ALICE, [PULL])[0])


def test_a_longer_token_is_refused_unread(tokens: Tokens) -> None:
    bulky = signed(header(), claims(padding="x" * LONGEST_TOKEN))
    assert len(bulky) > LONGEST_TOKEN
    refused(tokens, bulky)
    slim = signed(header(), claims(padding="x" * 8000))
    assert tokens.verify(slim).principal == ALICE


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "null.null.null",
        "ey.ey.ey",
        "\0.\0.\0",
        "ü.ü.ü",
        f"{part([])}.{part({})}.",
        f"{part('x')}.{part({})}.",
        base64.urlsafe_b64encode(b"[" * 9000).decode() + ".e30.AAAA",
        base64.urlsafe_b64encode(b'{"a":' * 2000).decode() + ".e30.AAAA",
        base64.urlsafe_b64encode(b"\xff\xfe").decode() + ".e30.AAAA",
        "." * 10_000,
    ],
    ids=lambda text: text[:20].encode("unicode_escape").decode(),
)
def test_what_is_no_token_at_all_is_refused(tokens: Tokens, text: str) -> None:
    refused(tokens, text)


def test_every_single_changed_character_of_the_payload_and_signature_matters(tokens: Tokens) -> None:
    text = signed(header(), claims())
    start = text.index(".") + 1
    for place in range(start, len(text) - 2, 3):
        if text[place] != ".":
            changed = "A" if text[place] != "A" else "B"
            refused(tokens, text[:place] + changed + text[place + 1 :])


def test_parts_of_two_good_tokens_make_no_third(tokens: Tokens) -> None:
    one, other = tokens.issue(ALICE, [])[0].split("."), tokens.issue(ALICE, [PULL])[0].split(".")
    refused(tokens, ".".join([one[0], other[1], one[2]]))
    refused(tokens, ".".join([*one, other[2]]))
    refused(tokens, ".".join(one[:2]))


@pytest.mark.parametrize(
    "name", ["team/apps", "team/app/sub", "team", "Team/App", "team%2fapp", "team/app ", "team/ap", "*"]
)
def test_a_token_is_for_the_very_name_it_was_issued_for(tokens: Tokens, name: str) -> None:
    token = tokens.verify(tokens.issue(ALICE, [PULL])[0])
    assert token.grants("repository", "team/app", "pull")
    assert not token.grants("repository", name, "pull")
    assert not token.grants("registry", "team/app", "pull")
    assert not token.grants("repository", "team/app", "push")


def test_the_published_keys_verify_and_tell_no_secret(tokens: Tokens) -> None:
    text, _ = tokens.issue(ALICE, [PULL])
    published = tokens.jwks()
    (key,) = published["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    verified = jwt.decode(text, jwt.PyJWK(key), algorithms=["ES256"], audience="registry.example")
    assert verified["sub"] == "alice"


def test_a_key_does_not_show_itself_in_print() -> None:
    assert "private" not in repr(KEY)


def test_nothing_is_issued_without_a_key() -> None:
    with pytest.raises(RuntimeError):
        Tokens("estiva", "registry.example", 300).issue(ALICE, [])
