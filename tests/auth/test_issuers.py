"""Jobs that come in with a token of an issuer that is trusted, and all the tokens that let nobody in."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from auth.access import Caller
from auth.gate import TokenRefused
from auth.identities import IdentityInvalid, IdentityUnknown
from auth.issuers import TrustedIssuers
from auth.principals import Kind
from auth.scopes import Scope
from auth.threads import Threads
from auth.trust import TrustInvalid
from estiva.errors import Unauthorized
from tests.auth.ci import CI, RULE, trusting
from tests.auth.issuer import NOTHING, jwk, private_key
from tests.auth.parts import OPERATOR, PASSWORD, POWER_USER, READ_ONLY, Parts

PULL, PUSH = "ecr:BatchGetImage", "ecr:PutImage"
OTHERWISE: list[dict[str, Any]] = [
    {"aud": "https://another.example"},
    {"aud": []},
    {"aud": NOTHING},
    {"iss": "https://another.example"},
    {"iss": ["http://127.0.0.1"]},
    {"iss": NOTHING},
    {"sub": NOTHING},
    {"sub": ""},
    {"sub": 7},
    {"sub": "x" * 257},
    {"exp": NOTHING},
    {"exp": int(time.time()) - 60},
    {"exp": "tomorrow"},
    {"exp": float("inf")},
    {"exp": float("nan")},
    {"iat": NOTHING},
    {"iat": int(time.time()) + 86_400},
    {"nbf": int(time.time()) + 86_400},
    {"repository": "other/app"},
    {"repository": NOTHING},
    {"repository": ["team/app"]},
    {"Repository": "team/app"},
    {"note": "\ud800"},
    {f"claim{number}": "a" for number in range(70)},
]


@pytest.fixture
async def ci(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CI]:
    async with trusting(parts, monkeypatch) as ci:
        yield ci


def changed(token: str, **header: Any) -> str:
    """The token with another header and the signature that it had."""
    _, payload, signature = token.split(".")
    return f"{encoded(jwt.get_unverified_header(token) | header)}.{payload}.{signature}"


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_job_is_known_by_its_issuer_and_subject(ci: CI, algorithm: str) -> None:
    job = await ci.job(ci.issuer.token(algorithm))
    assert job is not None
    assert (job.kind, job.name, job.id) == (Kind.JOB, "ci/repo:team/app:ref:refs/heads/main", None)
    assert job.claims["repository"] == "team/app"


async def test_a_token_that_says_something_else_lets_nobody_in(ci: CI) -> None:
    for claims in OTHERWISE:
        assert await ci.job(**claims) is None, claims
        assert await ci.job() is not None


async def test_one_of_several_audiences_is_enough(ci: CI) -> None:
    assert await ci.job(aud=["https://another.example", "https://registry.example"]) is not None


async def test_what_is_no_token_lets_nobody_in(ci: CI) -> None:
    for token in ("", "..", "a.b.c", "e30.e30.", "e30.W10.e30", "\N{EURO SIGN}.a.b", "x" * 20_000):
        assert await ci.trusted.principal(token) is None
    assert ci.issuer.asked == []


async def test_a_token_that_is_too_long_lets_nobody_in(ci: CI) -> None:
    assert await ci.job(padding=["x" * 1000] * 16) is None
    assert await ci.job(padding=["x" * 1000] * 10) is not None


async def test_a_signature_by_another_key_lets_nobody_in(ci: CI) -> None:
    for algorithm in ("RS256", "ES256", "EdDSA"):
        assert await ci.job(ci.issuer.token(algorithm, key=private_key(algorithm, "mallory"))) is None
    good = ci.issuer.token()
    head, payload, signature = good.split(".")
    other = encoded(ci.issuer.claims(repository="team/other"))
    assert await ci.job(f"{head}.{other}.{signature}") is None
    assert await ci.job(f"{head}.{payload}.") is None
    assert await ci.job(good) is not None


async def test_the_algorithm_is_that_of_the_key_and_not_what_a_token_says(ci: CI) -> None:
    issuer, good = ci.issuer, ci.issuer.token()
    private = private_key("RS256")
    assert isinstance(private, rsa.RSAPrivateKey)
    public = private.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.strip(), json.dumps(RSAAlgorithm.to_jwk(public)).encode()):
        head = encoded({"alg": "HS256", "typ": "JWT", "kid": "rsa"})
        signed = f"{head}.{encoded(issuer.claims())}"
        signature = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), hashlib.sha256)).rstrip(b"=")
        assert await ci.job(f"{signed}.{signature.decode()}") is None
    others: list[Any] = ["none", "None", "HS256", "RS384", "PS256", "ES256", "EdDSA", "ES256K", None, ["RS256"], {}]
    for algorithm in others:
        assert await ci.job(changed(good, alg=algorithm)) is None
    assert await ci.job(f"{encoded({'alg': 'none', 'kid': 'rsa'})}.{encoded(issuer.claims())}.") is None
    # Keys of another type than the algorithm that the token names, signed as well as can be.
    assert await ci.job(issuer.token("RS256", "ec")) is None
    assert await ci.job(issuer.token("ES256", "rsa")) is None
    assert await ci.job(issuer.token("EdDSA", "rsa")) is None


async def test_a_token_names_one_of_the_issuers_keys(ci: CI) -> None:
    for key_id in ("none of them", None, 7, ["rsa"], ""):
        assert await ci.job(changed(ci.issuer.token(), kid=key_id)) is None


async def test_a_key_that_a_token_brings_along_counts_for_nothing(ci: CI) -> None:
    key = private_key("RS256", "mallory")
    for header in ({"jwk": jwk("rsa", key)}, {"jku": ci.issuer.url + "/own"}, {"x5u": ci.issuer.url + "/own"}):
        token = jwt.encode(ci.issuer.claims(), key, "RS256", headers={"kid": "rsa", **header})
        assert await ci.job(token) is None
    assert "/own" not in ci.issuer.asked


async def test_unless_an_issuer_is_trusted_nobody_is_asked(ci: CI) -> None:
    await ci.trusted.delete(OPERATOR, "ci")
    assert await ci.job() is None
    assert ci.issuer.asked == []


async def test_a_job_may_do_what_the_first_rule_it_satisfies_says(ci: CI) -> None:
    main = {"claims": {"ref": "main", "repository": "team/*"}, "policies": [POWER_USER]}
    await ci.trust(main, {"claims": {"repository": "team/*"}, "policies": [READ_ONLY]})
    pusher, puller = await ci.must_job(ref="main"), await ci.must_job(ref="side")
    assert await ci.parts.may(pusher, PUSH, "team/app")
    assert await ci.parts.may(puller, PULL, "team/app")
    assert not await ci.parts.may(puller, PUSH, "team/app")


async def test_policies_can_speak_of_claims(ci: CI) -> None:
    allow = {"Effect": "Allow", "Action": "ecr:*", "Resource": "arn:aws:ecr:*:*:repository/${oidc:repository}"}
    deny = {"Effect": "Deny", "Action": PUSH, "Resource": "*"}
    document = {
        "Version": "2012-10-17",
        "Statement": [allow, {**deny, "Condition": {"StringNotEquals": {"oidc:Ref": "main"}}}],
    }
    await ci.parts.policies.put(OPERATOR, "own", json.dumps(document))
    await ci.trust({"claims": {"repository": "*"}, "policies": ["own"]})
    main, side = await ci.must_job(ref="main"), await ci.must_job(ref="side")
    assert main == side  # as far as caches are concerned: decisions that hang on claims must not be shared
    for _ in range(2):
        assert await ci.parts.may(main, PUSH, "team/app")
        assert not await ci.parts.may(side, PUSH, "team/app")
        assert await ci.parts.may(side, PULL, "team/app")
        assert not await ci.parts.may(main, PULL, "team/other")
        assert not await ci.parts.may(await ci.must_job(repository="*"), PULL, "team/app")


async def test_claims_make_nobody_of_a_job_but_a_job(ci: CI) -> None:
    await ci.parts.identities.create_user(OPERATOR, "alice", PASSWORD)
    allow = {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}
    for condition in (
        {"StringEquals": {"aws:username": ["alice", "ci/alice"]}},
        {"StringEquals": {"aws:PrincipalType": "User"}},
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}},
        {"StringLike": {"aws:PrincipalTag/team": "*"}},
    ):
        statement = {"Version": "2012-10-17", "Statement": [{**allow, "Condition": condition}]}
        await ci.parts.policies.put(OPERATOR, "for-alice", json.dumps(statement))
        await ci.trust({"claims": {"sub": "*"}, "policies": ["for-alice"]})
        lies = {"aws:username": "alice", "kind": "user", "pid": 1, "id": 1, "trust": "htpasswd", "team": "a"}
        for subject in ("alice", "user/alice", "../user/alice", "arn:aws:iam::000000000000:user/alice"):
            job = await ci.must_job(sub=subject, **lies)
            assert (job.kind, job.id, job.name) == (Kind.JOB, None, f"ci/{subject}")
            assert not await ci.parts.may(job, PULL, "team/app")


async def test_whatever_the_username_a_jobs_token_is_the_job(ci: CI) -> None:
    await ci.parts.identities.create_user(OPERATOR, "alice", PASSWORD)
    for name in ("alice", "", "nobody", "ci"):
        job = await ci.parts.sign_in(name, ci.issuer.token(), f"192.0.2.{len(name)}")
        assert (job.kind, job.name) == (Kind.JOB, "ci/repo:team/app:ref:refs/heads/main")


async def test_a_password_that_looks_like_a_token_is_still_a_password(ci: CI) -> None:
    await ci.parts.identities.create_user(OPERATOR, "alice", "one.two.three")
    assert (await ci.parts.sign_in("alice", "one.two.three")).kind is Kind.USER


async def test_a_good_token_is_looked_at_each_time(ci: CI) -> None:
    soon = ci.issuer.token(exp=int(time.time()) - 28)  # within the leeway, for two seconds
    assert (await ci.parts.sign_in("job", soon)).kind is Kind.JOB
    await asyncio.sleep(2.1)
    with pytest.raises(Unauthorized):
        await ci.parts.sign_in("job", soon)


@pytest.mark.parametrize("change", ["delete", "rule", "audience", "jwks_uri"])
async def test_tokens_end_at_once_with_what_their_rule_stood_on(ci: CI, change: str) -> None:
    other = {"claims": {"repository": "other"}, "policies": [READ_ONLY]}
    caller = Caller(await ci.must_job(), None, {})
    token = (await ci.parts.service.issue(caller, [Scope("repository", "team/app", frozenset({"pull"}))])).token
    assert (await ci.parts.gate.caller(f"Bearer {token}", {})).principal.kind is Kind.JOB
    await ci.trust(other, RULE)
    assert (await ci.parts.gate.caller(f"Bearer {token}", {})).principal.kind is Kind.JOB
    if change == "delete":
        await ci.trusted.delete(OPERATOR, "ci")
    elif change == "rule":
        await ci.trust(other, {**RULE, "policies": [READ_ONLY]})
    else:
        await ci.trust(RULE, **{change: ci.issuer.url + "/other"})
    with pytest.raises(TokenRefused):
        await ci.parts.gate.caller(f"Bearer {token}", {})


async def test_a_token_with_as_many_claims_as_may_be_fits_the_registrys_own(ci: CI) -> None:
    caller = Caller(await ci.must_job(**{f"claim{number}": "\N{EURO SIGN}" * 15 for number in range(50)}), None, {})
    scopes = [Scope("repository", f"team/{number}", frozenset({"pull", "push"})) for number in range(20)]
    token = (await ci.parts.service.issue(caller, scopes)).token
    assert (await ci.parts.gate.caller(f"Bearer {token}", {})).principal.claims == caller.principal.claims


async def test_keys_that_one_trust_names_sign_for_no_other(ci: CI) -> None:
    mallory = private_key("RS256", "mallory")
    ci.issuer.say("/own", {"keys": [jwk("mallory", mallory)]})
    rule = {"claims": {"sub": "*"}, "policies": [READ_ONLY]}
    await ci.trusted.put(OPERATOR, "a", ci.issuer.trust(rule, jwks_uri=ci.issuer.url + "/own", audience="own"))
    token = ci.issuer.token(key_id="mallory", key=mallory, aud="own")
    job = await ci.job(token)
    assert job is not None
    assert job.name.startswith("a/")
    assert await ci.job(ci.issuer.token(key_id="mallory", key=mallory)) is None


async def test_nothing_private_is_fetched_unless_that_is_set(ci: CI) -> None:
    threads = Threads()
    public = TrustedIssuers(ci.parts.database, threads, private=False)
    with pytest.raises(TrustInvalid):
        await public.put(OPERATOR, "ci", ci.issuer.trust(RULE))
    assert await public.principal(ci.issuer.token()) is None  # what was put while it was set
    await public.put(OPERATOR, "ci", ci.issuer.trust(RULE, jwks_uri=f"https://127.0.0.1:{ci.issuer.port}/keys"))
    assert await public.principal(ci.issuer.token()) is None
    assert ci.issuer.asked == []
    threads.close()


async def test_what_was_done_is_in_the_audit_trail(ci: CI) -> None:
    await ci.trusted.delete(OPERATOR, "ci")
    done = [(record.action, record.target, record.actor, record.detail) for record in await ci.parts.audit()]
    assert done[1:] == [  # the first is of the registry's own key
        ("PutTrustedIssuer", "issuer/ci", OPERATOR.name, {"issuer": ci.issuer.url}),
        ("DeleteTrustedIssuer", "issuer/ci", OPERATOR.name, {}),
    ]


async def test_what_is_refused_leaves_everything_as_it_was(ci: CI) -> None:
    before, trail = await ci.trusted.documents(), len(await ci.parts.audit())
    with pytest.raises(IdentityUnknown):
        await ci.trust({**RULE, "policies": ["no-such-policy"]})
    with pytest.raises(TrustInvalid):
        await ci.trust({**RULE, "claims": {}})
    with pytest.raises(IdentityInvalid):
        await ci.trusted.put(OPERATOR, "A/b", ci.issuer.trust(RULE))
    with pytest.raises(IdentityUnknown):
        await ci.trusted.delete(OPERATOR, "another")
    assert await ci.trusted.documents() == before
    assert len(await ci.parts.audit()) == trail
