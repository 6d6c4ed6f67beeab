"""A job logs in with the token that its build server gave it, at every door where a password would do."""

import json
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.auth.issuer import DISCOVERY, Issuer, issuing, private_key
from tests.auth.parts import POWER_USER, READ_ONLY
from tests.hostile.conversation import Answer, ask
from tests.security.secured import SERVICE, Content, Secured, basic, elsewhere, secured

MAIN = {"claims": {"repository": "team/*", "ref": "refs/heads/main"}, "policies": [POWER_USER]}
REST = {"claims": {"repository": "team/*"}, "policies": [READ_ONLY]}
SCOPE = "repository:team/app:pull,push"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Secured]:
    """A registry that trusts the issuer: main may push, the rest of the team pull."""
    with secured(tmp_path_factory.mktemp("keyless"), private_issuers="true") as registry:
        registry.done("PUT", "/issuers/ci", issuer.trust(MAIN, REST))
        registry.push(Content.of("team/app"))
        yield registry
        assert "Traceback" not in registry.registry.log.read_text()


def by_get(registry: Secured, token: str) -> Answer:
    query = urlencode({"service": SERVICE, "scope": SCOPE})
    return ask(registry.port, "GET", f"/token?{query}", ("Authorization", basic("job", token)), elsewhere())


def by_post(registry: Secured, token: str) -> Answer:
    form = {"grant_type": "password", "username": "job", "password": token, "service": SERVICE, "scope": SCOPE}
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    body = urlencode(form | {"client_id": "test", "access_type": "offline"}).encode()
    return ask(registry.port, "POST", "/token", kind, elsewhere(), body=body)


def directly(registry: Secured, token: str) -> Answer:
    return ask(registry.port, "GET", "/v2/", ("Authorization", basic("job", token)), elsewhere())


def test_a_token_from_the_token_service_is_for_what_the_rule_allows(registry: Secured, issuer: Issuer) -> None:
    main, side = issuer.token(ref="refs/heads/main"), issuer.token("ES256", ref="refs/heads/side")
    for get in (by_get, by_post):
        tokens = {}
        for token in (main, side):
            answer = get(registry, token)
            assert answer.status == 200, answer
            assert "refresh_token" not in json.loads(answer.body)
            tokens[token] = "Bearer " + json.loads(answer.body)["token"]
        pulled = ask(registry.port, "GET", "/v2/team/app/manifests/v1", ("Authorization", tokens[side]))
        assert pulled.status == 200
        begun = [
            ask(registry.port, "POST", "/v2/team/app/blobs/uploads/", ("Authorization", tokens[token])).status
            for token in (main, side)
        ]
        assert begun == [202, 403]


def test_a_jobs_token_counts_as_a_password_at_the_registry_itself(registry: Secured, issuer: Issuer) -> None:
    assert directly(registry, issuer.token()).status == 200
    pushed = registry.push(Content.of("team/app", "by a job"), basic("job", issuer.token(ref="refs/heads/main")))
    assert pushed.name == "team/app"


def test_a_bearer_token_of_the_issuer_is_none_of_the_registrys(registry: Secured, issuer: Issuer) -> None:
    answer = ask(registry.port, "GET", "/v2/", ("Authorization", f"Bearer {issuer.token()}"))
    assert (answer.status, 'error="invalid_token"' in (answer.field("www-authenticate") or "")) == (401, True)


def test_a_jobs_token_that_is_no_good_is_answered_401_at_every_door(registry: Secured, issuer: Issuer) -> None:
    refused = [
        issuer.token(aud="another"),
        issuer.token(exp=int(time.time()) - 60),
        issuer.token(key=private_key("RS256", "mallory")),
        issuer.token(repository="other/app"),
    ]
    for token in refused:
        for door in (by_get, by_post, directly):
            answer = door(registry, token)
            assert answer.status == 401, (door, answer)
            assert json.loads(answer.body)["errors"][0]["message"] == "invalid username or password"


def test_a_job_manages_nothing_that_no_policy_of_it_allows(registry: Secured, issuer: Issuer) -> None:
    who = ("Authorization", basic("admin", issuer.token(ref="refs/heads/main")))
    for path in ("/api/v1/users", "/api/v1/issuers", "/api/v1/audit"):
        assert ask(registry.port, "GET", path, who, elsewhere()).status == 403
    body = b'{"password": "taken over by a job"}'
    assert ask(registry.port, "PATCH", "/api/v1/users/admin", who, elsewhere(), body=body).status == 403


def test_an_issuer_that_is_down_is_no_error_of_the_registrys(registry: Secured) -> None:
    with issuing() as down:
        down.say(DISCOVERY, b"", 500)
        registry.done("PUT", "/issuers/down", down.trust(MAIN))
        assert directly(registry, down.token()).status == 401
    assert directly(registry, down.token()).status == 401
    registry.done("DELETE", "/issuers/down")


def test_issuers_are_managed_by_those_who_may_and_leave_a_trail(registry: Secured, issuer: Issuer) -> None:
    nobody = registry.user("nobody")
    document = issuer.trust(REST)
    for method, path in (("GET", ""), ("PUT", "/own"), ("DELETE", "/ci")):
        fields = ("Authorization", nobody), elsewhere()
        assert ask(registry.port, method, f"/api/v1/issuers{path}", *fields, body=document.encode()).status == 403
    registry.done("PUT", "/issuers/own", document)
    assert json.loads(registry.done("GET", "/issuers").body)["issuers"]["own"] == json.loads(document)
    registry.done("DELETE", "/issuers/own")
    assert registry.admin("DELETE", "/issuers/own").status == 404
    assert registry.admin("PUT", "/issuers/own", "{").status == 400
    records = json.loads(registry.done("GET", "/audit?target=issuer/own").body)["records"]
    assert [(record["action"], record["actor"]) for record in records] == [
        ("DeleteTrustedIssuer", "user/admin"),
        ("PutTrustedIssuer", "user/admin"),
    ]
