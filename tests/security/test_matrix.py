"""Everybody at every door of the registry's API, on a private, a public and an absent repository."""

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from estiva import mediatypes
from registry.api.routes import ROUTES
from tests.hostile.conversation import Answer, ask
from tests.security.people import ANONYMOUS, OWNERS, UNKNOWN, People, Place, Who, expected
from tests.security.secured import Content, Secured

_numbers = itertools.count()


@dataclass(frozen=True)
class Door:
    """One way to ask: the route and method, the right it takes, and what the right people are answered.

    `target` gets the content and the path of an open upload; `absent` is the status where there is no repository.
    """

    route: str
    method: str
    right: str
    target: Callable[[Content, str], str]
    good: int
    absent: int = 404
    body: Callable[[Content], bytes] | None = None
    makes_changes: bool = False

    @property
    def upload(self) -> bool:
        return self.route == "upload"


def under(path: str) -> Callable[[Content, str], str]:
    """A path of the content's repository."""

    def target(content: Content, upload: str) -> str:
        return f"/v2/{content.name}/" + path.format(it=content)

    return target


def at_upload(query: str = "") -> Callable[[Content, str], str]:
    def target(content: Content, upload: str) -> str:
        return upload + query.format(it=content)

    return target


BY_TAG, BY_DIGEST = under("manifests/{it.tag}"), under("manifests/{it.manifest_digest}")
BLOB, UPLOADS = under("blobs/{it.blob_digest}"), under("blobs/uploads/")
REFERRERS, TAGS = under("referrers/{it.manifest_digest}"), under("tags/list")
DOORS = (
    Door("manifest", "GET", "pull", BY_TAG, 200),
    Door("manifest", "HEAD", "pull", BY_TAG, 200),
    Door("manifest", "GET", "pull", BY_DIGEST, 200),
    Door("manifest", "HEAD", "pull", BY_DIGEST, 200),
    Door("manifest", "GET", "pull", under("manifests/absent"), 404),
    Door("manifest", "PUT", "push", BY_TAG, 201, 400, lambda content: content.manifest, True),
    Door("manifest", "PUT", "push", BY_DIGEST, 201, 400, lambda content: content.manifest, True),
    Door("manifest", "DELETE", "delete", BY_TAG, 202, makes_changes=True),
    Door("manifest", "DELETE", "delete", BY_DIGEST, 202, makes_changes=True),
    Door("blob", "GET", "pull", BLOB, 200),
    Door("blob", "HEAD", "pull", BLOB, 200),
    Door("blob", "GET", "pull", under("blobs/sha256:" + "0" * 64), 404),
    Door("blob", "DELETE", "delete", BLOB, 409, makes_changes=True),
    Door("uploads", "POST", "push", UPLOADS, 202, 202, makes_changes=True),
    Door(
        "uploads", "POST", "push", under("blobs/uploads/?digest={it.blob_digest}"), 201, 201, lambda it: it.blob, True
    ),
    Door("uploads", "POST", "push", under("blobs/uploads/?mount={it.blob_digest}"), 201, 202, makes_changes=True),
    Door("upload", "GET", "push", at_upload(), 204),
    Door("upload", "HEAD", "push", at_upload(), 204),
    Door("upload", "PATCH", "push", at_upload(), 202, body=lambda content: content.blob, makes_changes=True),
    Door("upload", "PUT", "push", at_upload("?digest={it.blob_digest}"), 201, 404, lambda it: it.blob, True),
    Door("upload", "DELETE", "push", at_upload(), 204, makes_changes=True),
    Door("tags", "GET", "pull", TAGS, 200),
    Door("tags", "HEAD", "pull", TAGS, 200),
    Door("referrers", "GET", "pull", REFERRERS, 200, 200),
    Door("referrers", "HEAD", "pull", REFERRERS, 200, 200),
)
WITHOUT_REPOSITORY = {("catalog", "GET"), ("catalog", "HEAD"), ("base", "GET"), ("base", "HEAD")}


def test_no_door_is_forgotten() -> None:
    known = {(route.label, method) for route in ROUTES for method in route.methods}
    assert known == {(door.route, door.method) for door in DOORS} | WITHOUT_REPOSITORY


@pytest.fixture(scope="module")
def people(registry: Secured) -> People:
    return People.settled(registry, "m")


@pytest.fixture(scope="module")
def places(registry: Secured, people: People) -> dict[Place, Content]:
    """A repository of each sort; the absent one is but a name."""
    found = {place: Content.of(f"m/{place.value}", "m") for place in Place}
    for place in (Place.PRIVATE, Place.PUBLIC):
        registry.push(found[place])
    registry.public("m/public")
    return found


def of_its_own(registry: Secured, place: Place) -> Content:
    """A repository of that sort for one test that changes it."""
    content = Content.of(f"m/{place.value}/{next(_numbers)}")
    if place is not Place.ABSENT:
        registry.push(content)
    if place is Place.PUBLIC:
        registry.public(content.name)
    return content


@pytest.mark.parametrize("place", Place)
@pytest.mark.parametrize("door", DOORS, ids=lambda d: f"{d.route} {d.method}{' changes' * d.makes_changes}")
@pytest.mark.parametrize("who", Who)
def test_everybody_at_every_door(
    registry: Secured, people: People, places: dict[Place, Content], who: Who, door: Door, place: Place
) -> None:
    succeeds = expected(who, place, door.right, 200) == 200
    content = of_its_own(registry, place) if succeeds and door.makes_changes else places[place]
    upload = f"/v2/{content.name}/blobs/uploads/0b5ad1c4-5df1-4b0f-9b5a-1f7b5b0c6a4e"
    if door.upload and place is not Place.ABSENT and succeeds:
        upload = registry.begin_upload(content.name, people.owner)
    body = door.body(content) if door.body else None
    kind = [("Content-Type", mediatypes.OCI_MANIFEST)] if door.route == "manifest" and body else []
    answer = ask(
        registry.port, door.method, door.target(content, upload), *people.fields(who, content.name), *kind, body=body
    )
    good = door.absent if place is Place.ABSENT else door.good
    assert answer.status == expected(who, place, door.right, good), answer
    require_challenge(answer, content.name)


def require_challenge(answer: Answer, name: str) -> None:
    """A 401 says where to get a token, and for what; nothing else does."""
    challenge = answer.field("www-authenticate")
    assert (challenge is not None) == (answer.status == 401)
    if challenge is not None:
        assert re.fullmatch(
            rf'Bearer realm="http://registry\.example/token",service="estiva",scope="repository:{name}:[a-z,]+"'
            r'(,error="(insufficient_scope|invalid_token)")?',
            challenge,
        )


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ["/v2/", "/v2", "/v2/_catalog"])
@pytest.mark.parametrize("who", Who)
def test_whoever_brings_nothing_is_asked_to_sign_in_at_the_gate(
    registry: Secured, people: People, places: dict[Place, Content], who: Who, target: str, method: str
) -> None:
    answer = ask(registry.port, method, target, *people.fields(who, "m/private"))
    assert answer.status == (401 if who in UNKNOWN | {Who.NOBODY} else 200)
    if answer.status == 401:
        assert (answer.field("www-authenticate") or "").startswith('Bearer realm="http://registry.example/token"')


@pytest.mark.parametrize("who", [who for who in Who if who not in UNKNOWN | {Who.NOBODY}])
def test_the_catalogue_lists_what_may_be_pulled_and_says_nothing_of_more(
    registry: Secured, people: People, places: dict[Place, Content], who: Who
) -> None:
    listed: list[str] = []
    target: str | None = "/v2/_catalog?n=2"
    for _ in range(1000):
        if target is None:
            break
        answer = ask(registry.port, "GET", target, *people.fields(who, "m/private"))
        page = json.loads(answer.body)["repositories"]
        link = answer.field("link")
        assert len(page) == 2 or link is None
        listed += page
        target = link[1 : link.index(">")] if link else None
    assert target is None
    assert "m/public" in listed
    sees_private = who in OWNERS or "without" in who.value
    assert ("m/private" in listed) is sees_private
    if not sees_private:
        assert all(name.startswith("m/public") or not name.startswith("m/") for name in listed)


def test_that_there_is_more_is_said_only_of_what_may_be_pulled(
    registry: Secured, people: People, places: dict[Place, Content]
) -> None:
    anonymous = people.fields(Who.ANONYMOUS_TOKEN, "m/public")
    registry.push(Content.of("zzz/private"))  # behind everything that is public
    listed = json.loads(ask(registry.port, "GET", "/v2/_catalog?n=10000", *anonymous).body)["repositories"]
    answer = ask(registry.port, "GET", f"/v2/_catalog?n={len(listed)}", *anonymous)
    assert json.loads(answer.body)["repositories"] == listed
    assert answer.field("link") is None
    assert ask(registry.port, "GET", "/v2/_catalog?n=0", *anonymous).field("link") is None


def test_the_oracle_itself_lets_nobody_push_to_what_is_public() -> None:
    for who in Who:
        may = expected(who, Place.PUBLIC, "push", 202) == 202
        assert may is (who in {Who.OWNER, Who.OWNER_TOKEN})
        assert (expected(who, Place.PRIVATE, "pull", 200) == 200) <= (who not in ANONYMOUS | UNKNOWN)
