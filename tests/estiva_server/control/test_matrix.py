"""Everybody at every door of `/api/v1/`."""

import json
import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest

from estiva_server.control.routes import control_routes
from tests.estiva_server.control.doors import DOORS, READ_ONLY, TRUST, Door, key, numbers, policy, shape, tried
from tests.hostile.conversation import ask
from tests.security.people import People, Who
from tests.security.secured import (
    ADMIN,
    ADMIN_PASSWORD,
    KEY_ID,
    KEY_SECRET,
    Secured,
    basic,
    elsewhere,
    secured,
)


def test_no_door_is_forgotten() -> None:
    security: Any = MagicMock()
    routes = control_routes(security, security, security, security)
    known = {
        (method, re.sub(r"\{[^}]*\}", "*", route.path.removeprefix("/api/v1")))
        for route in routes
        for method in route.methods or ()
    }
    assert tried() == known


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("control")) as running:
        yield running
        assert "unexpected error" not in running.registry.log.read_text()


@pytest.fixture(scope="module")
def people(registry: Secured) -> People:
    return People.settled(registry, "a")


@pytest.fixture(scope="module")
def made(registry: Secured) -> dict[str, dict[str, str]]:
    """One thing of each sort, that nobody who tries may change."""
    things: dict[str, dict[str, str]] = {}
    for door in DOORS:
        sort = door.path.split("/")[1]
        if "{made}" in door.path and sort not in things:
            things[sort] = thing(registry, door)
    return things


def thing(registry: Secured, door: Door) -> dict[str, str]:
    name, sort = f"thing-{next(numbers)}", door.path.split("/")[1]
    door.makes(registry, name)
    found = {"made": name, "new": f"new-{next(numbers)}"}
    return found | ({"key": key(registry, sort, name)} if sort in ("users", "robots") else {})


def outcome(registry: Secured, door: Door, names: dict[str, str], *fields: tuple[str, str]) -> int:
    named = {"new": f"new-{next(numbers)}", **names}
    body = door.body.format(**named).encode() if door.body else None
    return ask(registry.port, door.method, "/api/v1" + door.path.format(**named), *fields, body=body).status


def called(door: Door) -> str:
    return f"{door.method} {shape(door.path)}"


@pytest.mark.parametrize("door", DOORS, ids=called)
def test_the_administrator_may(registry: Secured, door: Door) -> None:
    names = thing(registry, door) if "{made}" in door.path else {}
    assert outcome(registry, door, names, ("Authorization", basic(KEY_ID, KEY_SECRET))) == door.good


@pytest.mark.parametrize("door", [door for door in DOORS if door.changes], ids=called)
def test_each_change_leaves_a_line_in_the_audit_trail(registry: Secured, door: Door) -> None:
    """It says who made it, and from where."""
    names = thing(registry, door) if "{made}" in door.path else {}
    last = newest(registry)["id"]
    asked = {"Authorization": basic(KEY_ID, KEY_SECRET)}.items()
    assert outcome(registry, door, names, *asked, ("X-Forwarded-For", "192.0.2.7")) == door.good
    line = newest(registry)
    assert line["id"] > last
    assert (line["actor"], line["address"]) == ("user/admin", "192.0.2.7")
    assert "secret" not in json.dumps(line["detail"]).lower()


def newest(registry: Secured) -> Any:
    return json.loads(registry.done("GET", "/audit?n=1").body)["records"][0]


@pytest.mark.parametrize("door", DOORS, ids=called)
def test_nobody_else_may(registry: Secured, people: People, made: dict[str, dict[str, str]], door: Door) -> None:
    names = made.get(door.path.split("/")[1], {})
    admins = registry.token_for(basic(ADMIN, ADMIN_PASSWORD), "a/x")
    outcomes = {
        who: outcome(registry, door, names, *people.fields(who, "a/x"))
        for who in Who
        if not (door.of_repository and who is Who.OWNER)
    }
    outcomes[Who.OWNER_TOKEN] = max(
        outcomes[Who.OWNER_TOKEN], outcome(registry, door, names, ("Authorization", admins))
    )
    expected = {who: 403 if who in (Who.STRANGER, Who.PULLER, Who.OWNER) else 401 for who in outcomes}
    assert outcomes == expected


@pytest.mark.parametrize("who", [Who.NOBODY, Who.ANONYMOUS_TOKEN, Who.WRONG_PASSWORD, Who.OWNER_TOKEN])
@pytest.mark.parametrize("door", DOORS, ids=called)
def test_what_a_request_should_look_like_is_told_to_those_who_sign_in(
    registry: Secured, people: People, door: Door, who: Who
) -> None:
    path = "/api/v1" + door.path.format(made="A..B/", new="A..B/", key="?").replace("/a/A", "/A") + "?n=x"
    for body in (b"", b"{", b'{"nam":1}', b"x" * 70_000):
        answer = ask(registry.port, door.method, path, *people.fields(who, "a/x"), body=body)
        # A path that leads nowhere is no secret.
        assert answer.status in (401, 404), (path, body)
    plain = "/api/v1" + door.path.format(made="a", new="a", key="AKIA") + "?n=x"
    answer = ask(registry.port, door.method, plain, *people.fields(who, "a/x"), body=b"{")
    assert answer.status == 401


def test_an_access_key_changes_no_secret_of_its_owner(registry: Secured) -> None:
    registry.user("key-owner", "AdministratorAccess")
    made = json.loads(registry.done("POST", "/users/key-owner/keys").body)
    by_key = ("Authorization", basic(made["id"], made["secret"]))
    for body in (b'{"password":"a stolen one"}', b'{"password":"a stolen one","disabled":false}'):
        assert ask(registry.port, "PATCH", "/api/v1/users/key-owner", by_key, body=body).status == 403
    assert ask(registry.port, "PATCH", "/api/v1/users/admin", by_key, body=b"{}").status == 204
    own = ("Authorization", basic("key-owner", "the password of key-owner"))
    assert (
        ask(registry.port, "PATCH", "/api/v1/users/key-owner", own, body=b'{"password":"a chosen one"}').status == 204
    )
    # The same holds for a robot, whose secret is made anew.
    registry.done("POST", "/robots", {"name": "key-robot"})
    registry.done("PUT", "/robots/key-robot/policies/AdministratorAccess")
    made = json.loads(registry.done("POST", "/robots/key-robot/keys").body)
    by_key = ("Authorization", basic(made["id"], made["secret"]))
    assert ask(registry.port, "PATCH", "/api/v1/robots/key-robot", by_key, body=b'{"renew_secret":true}').status == 403
    assert ask(registry.port, "PATCH", "/api/v1/robots/key-robot", by_key, body=b'{"renew_secret":false}').status == 204


@pytest.mark.parametrize("more", ['"password":"a password","password_hash":"$2b$04$x"', '"password_hash":"plain"',
                                  '"password_hash":""', '"password_hash":7'])  # fmt: skip
def test_a_hash_that_makes_no_user_is_a_bad_request(registry: Secured, more: str) -> None:
    assert registry.admin("POST", "/users", f'{{"name":"hashed",{more}}}').status == 400
    assert registry.admin("GET", "/users/hashed").status == 404


def test_a_policy_that_an_issuer_names_is_kept_and_the_issuer_named(registry: Secured) -> None:
    policy(registry, "named")
    registry.done("PUT", "/issuers/naming", TRUST.replace(READ_ONLY, "named"))
    refused = registry.admin("DELETE", "/policies/named")
    assert refused.status == 409
    error = json.loads(refused.body)["errors"][0]
    assert (error["code"], error["detail"]) == ("POLICY_IN_USE", {"policy": "named", "used_by": ["issuer/naming"]})
    registry.done("DELETE", "/issuers/naming")
    registry.done("DELETE", "/policies/named")


@pytest.mark.parametrize("door", [door for door in DOORS if door.of_repository], ids=called)
def test_a_repositorys_owner_may_what_is_about_it(registry: Secured, people: People, door: Door) -> None:
    assert outcome(registry, door, thing(registry, door), ("Authorization", people.owner)) == door.good


def test_everybody_may_change_their_own_password_and_nothing_more(registry: Secured) -> None:
    who = ("Authorization", registry.user("self"))
    path = "/api/v1/users/self"
    assert ask(registry.port, "PATCH", path, who, body=b'{"password":"another one","disabled":false}').status == 403
    assert ask(registry.port, "PATCH", "/api/v1/users/admin", who, body=b'{"password":"another one"}').status == 403
    assert ask(registry.port, "PATCH", path, who, body=b'{"password":"another one"}').status == 204
    assert ask(registry.port, "PATCH", path, who, elsewhere(), body=b'{"password":"another one"}').status == 401
    new = ("Authorization", basic("self", "another one"))
    assert ask(registry.port, "GET", "/v2/", new).status == 200


@pytest.mark.parametrize(
    "body",
    ["", "[]", "null", "{", '{"name":1}', '{"name":"x"}', '{"nam":"x"}', '{"name":"x","password":null}', "[" * 5000,
     '{"name":"x","password":"\\ud800 a password"}', '{"name":"\\ud800","password":"a password"}', "x" * 70_000,
     '{"name":"../x","password":"a password"}'],
)  # fmt: skip
def test_a_body_that_makes_no_user_is_a_bad_request(registry: Secured, body: str) -> None:
    assert registry.admin("POST", "/users", body).status == 400


@pytest.mark.parametrize(
    "more",
    ['"expires_in":NaN', '"expires_in":Infinity', '"expires_in":1e999', '"expires_in":-1', '"expires_in":0',
     '"expires_in":1' + "0" * 400, '"expires_in":"1"', '"expires_in":true,"actions":[]', '"repositories":["a"]',
     '"repositories":["a"],"actions":[["pull"]]', '"repositories":["a b"],"actions":["pull"]',
     '"repositories":[1],"actions":["pull"]'],
)  # fmt: skip
def test_a_body_that_makes_no_robot_is_a_bad_request_and_makes_none(registry: Secured, more: str) -> None:
    name = f"robot-{next(numbers)}"
    assert registry.admin("POST", "/robots", f'{{"name":"{name}",{more}}}').status == 400
    assert registry.admin("GET", f"/robots/{name}").status == 404
    assert registry.admin("GET", "/robots?n=1000").status == 200


def test_no_answer_shows_a_secret_a_second_time(registry: Secured) -> None:
    made = registry.done("POST", "/robots", {"name": "shown-once"}).body.decode()
    secret = re.findall(r'"secret":"([^"]+)"', made)[0]
    own_key = registry.done("POST", "/robots/shown-once/keys").body.decode()
    key_secret = re.findall(r'"secret":"([^"]+)"', own_key)[0]
    for path in ("/robots", "/robots/shown-once", "/users", "/users/admin", "/audit?n=1000", "/policies", "/groups"):
        shown = registry.done("GET", path).body.decode()
        for hidden in (secret, key_secret, ADMIN_PASSWORD, KEY_SECRET, "argon2", "sha256$", "PRIVATE"):
            assert hidden not in shown
