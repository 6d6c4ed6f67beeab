"""The token service over HTTP: what it grants, to whom, and what it does not take."""

import base64
import json
from typing import Any
from urllib.parse import quote, urlencode

import jwt
import pytest

from tests.hostile.conversation import Answer, ask
from tests.security.people import People
from tests.security.secured import ADMIN, ADMIN_PASSWORD, Content, Secured, basic, bearer, elsewhere, statement

FORM = ("Content-Type", "application/x-www-form-urlencoded")


@pytest.fixture(scope="module")
def people(registry: Secured) -> People:
    people = People.settled(registry, "t")
    for name in ("t/private", "t/public", "u/private"):
        registry.push(Content.of(name))
    registry.public("t/public")
    return people


def granted(registry: Secured, authorization: str | None, *scopes: str) -> list[dict[str, Any]]:
    token = registry.token(authorization, *scopes)
    access: list[dict[str, Any]] = jwt.decode(token, options={"verify_signature": False})["access"]
    return access


def post(registry: Secured, *fields: tuple[str, str], **form: str) -> Answer:
    return ask(registry.port, "POST", "/token", FORM, *fields, body=urlencode(form).encode())


@pytest.mark.parametrize("asked", ["push,pull,delete,*", "*", "pull,push", "pull,admin", "pull,pull,delete"])
def test_whoever_may_pull_gets_exactly_pull(registry: Secured, people: People, asked: str) -> None:
    expected = [{"type": "repository", "name": "t/private", "actions": ["pull"]}]
    assert granted(registry, people.puller, f"repository:t/private:{asked}") == expected


def test_whoever_may_do_all_gets_what_was_asked_for_and_no_star(registry: Secured, people: People) -> None:
    (every,) = granted(registry, people.owner, "repository:t/private:*")
    assert sorted(every["actions"]) == ["delete", "pull", "push"]
    (one,) = granted(registry, people.owner, "repository:t/private:push")
    assert one["actions"] == ["push"]


@pytest.mark.parametrize("who", ["stranger", "anonymous"])
def test_without_a_right_there_is_a_token_for_nothing(registry: Secured, people: People, who: str) -> None:
    authorization = people.stranger if who == "stranger" else None
    assert granted(registry, authorization, "repository:t/private:pull,push,delete,*") == []
    assert granted(registry, authorization, "repository:t/public:*")[0]["actions"] == ["pull"]
    assert granted(registry, authorization, "repository:t/public:*", "repository:t/private:pull")[1:] == []


@pytest.mark.parametrize(
    "scope",
    [
        "repository:t/private", "repository", "*", "", ":::", "repository::pull", "registry:catalog:delete:x",
        "repository:T/Private:pull", "repository:t//private:pull", "repository:t/private/:pull", "repository:../t:pull",
        "repository:t/private\n:pull", "repository:t%2fprivate:pull", "repository:t/private\0:pull", "policy:admin:*",
        "repository:" + "a" * 5000 + ":pull", "repository:t/private:PULL", "repository:t/private:pull;push",
    ],
)  # fmt: skip
def test_a_scope_that_nobody_understands_grants_nothing(registry: Secured, people: People, scope: str) -> None:
    assert [entry for entry in granted(registry, people.owner, scope) if entry["type"] != "registry"] == []


@pytest.mark.parametrize("service", ["other", "ESTIVA", "estiva ", "", "https://estiva", "estiva\r\nX: y"])
def test_another_service_is_refused_by_get_and_by_post(registry: Secured, service: str) -> None:
    assert ask(registry.port, "GET", f"/token?service={quote(service)}").status == 400
    both = f"/token?service=estiva&service={quote(service)}"
    assert ask(registry.port, "GET", both).status == 400
    form = {"grant_type": "password", "username": ADMIN, "password": ADMIN_PASSWORD, "service": service}
    assert post(registry, **form).status == 400


def test_wrong_credentials_are_401_with_a_challenge_and_never_an_anonymous_token(registry: Secured) -> None:
    for authorization in (
        basic(ADMIN, "wrong password"),
        basic("nobody", "wrong password"),
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Digest username=admin",
        "Negotiate abc",
        "Bearer abc",
        "abc",
        "Basic " + "A" * 40_000,
    ):
        fields = (("Authorization", authorization), elsewhere())
        answer = ask(registry.port, "GET", "/token?service=estiva", *fields)
        assert answer.status in ((401, 431) if len(authorization) > 8000 else (401,)), authorization[:50]
        if answer.status == 401:
            assert answer.field("www-authenticate") == 'Basic realm="estiva"'
            assert b"token" not in answer.body


def test_unknown_names_and_wrong_passwords_are_answered_alike(registry: Secured, people: People) -> None:
    answers = [
        ask(registry.port, "GET", "/token", ("Authorization", basic(name, "wrong password")), elsewhere())
        for name in (ADMIN, "t-puller", "nobody", "AKIA" + "A" * 16, "Admin", "")
    ]
    assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}


def test_two_authorization_fields_are_none(registry: Secured, people: People) -> None:
    fields = (("Authorization", people.stranger), ("Authorization", people.owner))
    for target in ("/token", "/v2/", "/v2/t/private/tags/list", "/api/v1/users"):
        assert ask(registry.port, "GET", target, *fields).status == 400


def test_a_token_buys_no_other_token(registry: Secured, people: People) -> None:
    token = registry.token(people.owner, "repository:t/private:pull")
    assert ask(registry.port, "GET", "/token", ("Authorization", bearer(token))).status == 401
    assert post(registry, grant_type="password", username="t-owner", password=token).status == 401


@pytest.mark.parametrize("grant", ["", "client_credentials", "authorization_code", "anonymous"])
def test_other_grants_are_refused(registry: Secured, grant: str) -> None:
    assert post(registry, grant_type=grant, username=ADMIN, password=ADMIN_PASSWORD).status == 400


def test_what_is_granted_by_post_is_said(registry: Secured, people: People) -> None:
    answer = post(
        registry,
        grant_type="password",
        username="t-puller",
        password="the password of t-puller",
        service="estiva",
        scope="repository:t/private:pull,push repository:u/private:pull",
    )
    document = json.loads(answer.body)
    assert document["scope"] == "repository:t/private:pull"
    assert document["token"] == document["access_token"]
    assert document["expires_in"] >= 60
    assert "refresh_token" not in document
    assert answer.field("cache-control") == "no-store"


def refreshed(registry: Secured, token: str) -> Answer:
    return post(registry, grant_type="refresh_token", refresh_token=token, service="estiva")


def first_refresh_token(registry: Secured, name: str) -> str:
    form = {"grant_type": "password", "username": name, "password": f"the password of {name}", "access_type": "offline"}
    answer = post(registry, **form)
    token: str = json.loads(answer.body)["refresh_token"]
    return token


def test_a_refresh_token_is_good_once_and_brings_the_next(registry: Secured, people: People) -> None:
    first = first_refresh_token(registry, "t-owner")
    answer = refreshed(registry, first)
    assert answer.status == 200
    second = json.loads(answer.body)["refresh_token"]
    assert refreshed(registry, first).status == 401
    assert refreshed(registry, second).status == 200
    for nothing in ("", "x", second, "A" * 43):
        assert refreshed(registry, nothing).status == 401


@pytest.mark.parametrize("change", ["password", "disabled", "deleted"])
def test_a_refresh_token_ends_with_its_owners_secret(registry: Secured, change: str) -> None:
    name = f"t-refresh-{change}"
    registry.user(name)
    token = first_refresh_token(registry, name)
    if change == "deleted":
        registry.done("DELETE", f"/users/{name}")
    else:
        body = {"password": "another password"} if change == "password" else {"disabled": True}
        registry.done("PATCH", f"/users/{name}", body)
    assert refreshed(registry, token).status == 401


def test_a_refresh_token_is_not_given_for_get(registry: Secured, people: People) -> None:
    answer = ask(registry.port, "GET", "/token?offline_token=true", ("Authorization", people.owner))
    assert "refresh_token" not in json.loads(answer.body)


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xff", b"%ff=%ff", b"a=b&" * 200, b"grant_type=password&username=%00", b"=" * 70_000]
)
def test_a_form_that_is_none_is_refused(registry: Secured, body: bytes) -> None:
    assert ask(registry.port, "POST", "/token", FORM, elsewhere(), body=body).status in (400, 401)


@pytest.mark.parametrize("path", ["", "/users", "/audit", "/policies", "/signing-keys", "/users/admin", "/groups"])
def test_a_registry_token_opens_nothing_of_the_other_api(registry: Secured, people: People, path: str) -> None:
    admins = registry.token(basic(ADMIN, ADMIN_PASSWORD), "repository:t/private:*", "registry:catalog:*")
    for token in (admins, registry.token(None), registry.token(people.owner, "*")):
        for method in ("GET", "POST", "DELETE"):
            answer = ask(registry.port, method, f"/api/v1{path}", ("Authorization", bearer(token)), body=b"{}")
            assert answer.status in (400, 401, 404, 405), answer
            assert answer.status == 401 or method != "GET" or path in ("", "/signing-keys")


@pytest.mark.parametrize(
    "name", ["t/private/sub", "t/privates", "t", "T/private", "t%2fprivate", "t/private%20", "t/Private"]
)
def test_a_token_for_one_name_is_none_for_another(registry: Secured, people: People, name: str) -> None:
    token = ("Authorization", registry.token_for(people.owner, "t/private"))
    assert ask(registry.port, "GET", "/v2/t/private/tags/list", token).status == 200
    answer = ask(registry.port, "GET", f"/v2/{name}/tags/list", token)
    # What can be no name is refused as such, to everybody; what is one is refused for the lack of right or scope.
    can_be_one = name in ("t/private/sub", "t/privates", "t")
    assert answer.status in ((401, 403) if can_be_one else (400,)), answer


@pytest.mark.parametrize("length", [17_000, 30_000, 64_000])
def test_a_token_that_is_too_long_is_refused_unread(registry: Secured, length: int) -> None:
    answer = ask(registry.port, "GET", "/v2/", ("Authorization", bearer("e" * length)))
    assert answer.status in (401, 431)


@pytest.mark.parametrize("text", ["[" * 9000, '{"a":' * 2000, "x"])
def test_headers_of_tokens_without_end_are_no_fault_of_the_server(registry: Secured, text: str) -> None:
    spoiled = base64.urlsafe_b64encode(text.encode()).decode() + ".e30.AAAA"
    assert ask(registry.port, "GET", "/v2/", ("Authorization", bearer(spoiled))).status == 401
    assert ask(registry.port, "GET", "/v2/", ("Authorization", basic("x", spoiled)), elsewhere()).status in (401, 431)


def test_the_published_keys_are_public_halves(registry: Secured) -> None:
    document = json.loads(ask(registry.port, "GET", "/token/jwks").body)
    assert document["keys"]
    for key in document["keys"]:
        assert "d" not in key
        assert key["alg"] == "ES256"


def test_a_robot_gets_tokens_within_its_policy_and_its_life(registry: Secured) -> None:
    body = {"name": "t-robot", "expires_in": 90, "repositories": ["t/*"], "actions": ["pull"]}
    secret = json.loads(registry.done("POST", "/robots", body).body)["secret"]
    robot = basic("t-robot", secret)
    assert granted(registry, robot, "repository:t/private:*")[0]["actions"] == ["pull"]
    assert granted(registry, robot, "repository:u/private:*") == []
    claims = jwt.decode(registry.token(robot), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] <= 90


def test_an_access_key_is_good_for_docker_login(registry: Secured, people: People) -> None:
    key = json.loads(registry.done("POST", "/users/t-puller/keys").body)
    assert granted(registry, basic(key["id"], key["secret"]), "repository:t/private:*")[0]["actions"] == ["pull"]


def test_a_policy_on_tags_lets_push_and_each_request_decides(registry: Secured) -> None:
    arn = "arn:aws:ecr:us-east-1:000000000000:repository/t/tagged"
    only = {"StringLike": {"ecr:ImageTag": "dev-*"}}
    name = registry.user(
        "t-tagger",
        statement(["ecr:PutImage"], arn, Condition=only),
        statement(["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload",
                   "ecr:BatchCheckLayerAvailability", "ecr:CreateRepository", "ecr:BatchGetImage",
                   "ecr:GetDownloadUrlForLayer"], arn),
    )  # fmt: skip
    content = Content.of("t/tagged")
    token = ("Authorization", registry.token_for(name, "t/tagged"))
    posted = ask(
        registry.port, "POST", f"/v2/t/tagged/blobs/uploads/?digest={content.blob_digest}", token, body=content.blob
    )
    assert posted.status == 201
    kind = ("Content-Type", "application/vnd.oci.image.manifest.v1+json")
    for reference, status in (
        ("dev-1", 201),
        ("prod-1", 403),
        (content.manifest_digest, 403),
        (f"{content.manifest_digest}?tag=prod-1", 403),
        (f"{content.manifest_digest}?tag=dev-2&tag=prod-1", 403),
        ("dev-1?tag=prod-1", 403),
    ):
        target = f"/v2/t/tagged/manifests/{reference}"
        assert ask(registry.port, "PUT", target, token, kind, body=content.manifest).status == status, reference
