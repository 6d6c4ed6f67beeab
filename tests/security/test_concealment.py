"""What may not be known is answered like what is not there: in status, body, headers and by way of mounts."""

import itertools
import json
import re
import time
from statistics import median

import pytest

from tests.hostile.conversation import Answer, ask
from tests.security.people import People, Who
from tests.security.secured import Content, Secured, digest_of, for_everyone, statement

NOWHERE = digest_of(b"content that nobody has ever pushed")
UPLOAD = "0b5ad1c4-5df1-4b0f-9b5a-1f7b5b0c6a4e"
_numbers = itertools.count()
PASSING = {b"date", b"x-request-id"}


@pytest.fixture(scope="module")
def people(registry: Secured) -> People:
    people = People.settled(registry, "c")
    for name in ("c/private", "d/private", "c/public"):
        registry.push(Content.of(name))
    registry.public("c/public")
    # One that says in so many words that it is closed.
    registry.push(Content.of("d/denied"))
    registry.public("d/denied", for_everyone("ecr:*", effect="Deny"))
    return people


def seen(answer: Answer, *names: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """What a client can tell the answer by, apart from the names that it asked with."""
    fields = [(name, _without(value, names)) for name, value in answer.fields if name not in PASSING]
    return (
        answer.status,
        [(name, value) for name, value in fields if name != b"content-length"],
        _without(answer.body, names),
    )


def _without(text: bytes, names: tuple[str, ...]) -> bytes:
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name.encode(), b"NAME")
    suffix = rb"(-sha(256|512)-[0-9a-f]{16}-[0-9a-f]{32})?"
    return re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}" + suffix, b"UPLOAD", text)


REQUESTS = [
    ("GET", "manifests/v1"),
    ("HEAD", "manifests/v1"),
    ("PUT", "manifests/v1"),
    ("DELETE", "manifests/v1"),
    ("GET", "manifests/{manifest}"),
    ("HEAD", "manifests/{manifest}"),
    ("DELETE", "manifests/{manifest}"),
    ("GET", "blobs/{blob}"),
    ("HEAD", "blobs/{blob}"),
    ("DELETE", "blobs/{blob}"),
    ("POST", "blobs/uploads/"),
    ("POST", "blobs/uploads/?digest={blob}"),
    ("POST", "blobs/uploads/?mount={blob}&from=c/public"),
    ("GET", f"blobs/uploads/{UPLOAD}"),
    ("PATCH", f"blobs/uploads/{UPLOAD}"),
    ("PUT", f"blobs/uploads/{UPLOAD}?digest={{blob}}"),
    ("DELETE", f"blobs/uploads/{UPLOAD}"),
    ("GET", "tags/list"),
    ("GET", "referrers/{manifest}"),
]
WITHOUT_RIGHT = [Who.NOBODY, Who.ANONYMOUS_TOKEN, Who.STRANGER, Who.STRANGER_TOKEN, Who.PULLER, Who.PULLER_TOKEN]


@pytest.mark.parametrize("there", ["d/private", "d/denied"])
@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_a_repository_without_right_is_like_one_that_is_not_there(
    registry: Secured, people: People, method: str, path: str, there: str
) -> None:
    content, absent = Content.of(there), "d/absent"
    target = path.format(blob=content.blob_digest, manifest=content.manifest_digest)
    body = content.manifest if method in ("PUT", "PATCH") else None
    for who in WITHOUT_RIGHT:
        answers = [
            seen(ask(registry.port, method, f"/v2/{name}/{target}", *people.fields(who, name), body=body), name)
            for name in (there, absent)
        ]
        assert answers[0] == answers[1], who
        assert answers[0][0] in (401, 403)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/api/v1/repository-policies/{}", "/api/v1/repositories/{}"])
def test_neither_does_the_other_api_tell(registry: Secured, people: People, method: str, path: str) -> None:
    for who in (Who.NOBODY, Who.STRANGER, Who.PULLER, Who.OWNER):
        answers = [
            seen(ask(registry.port, method, path.format(name), *people.fields(who, name), body=b"{}"), name)
            for name in ("d/private", "d/denied", "d/absent")
        ]
        assert answers[0] == answers[1] == answers[2]
        assert answers[0][0] in (401, 403, 405)


@pytest.mark.parametrize("who", [Who.OWNER, Who.OWNER_TOKEN, Who.PULLER, Who.PULLER_TOKEN])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["blobs", "manifests"])
def test_content_of_another_repository_is_like_content_that_is_nowhere(
    registry: Secured, people: People, who: Who, method: str, path: str
) -> None:
    hidden = Content.of("d/private")
    elsewhere = hidden.blob_digest if path == "blobs" else hidden.manifest_digest
    fields = people.fields(who, "c/private")
    for name in ("c/private", "c/public"):
        if name == "c/public" and who is Who.OWNER_TOKEN:
            continue
        answers = [
            seen(ask(registry.port, method, f"/v2/{name}/{path}/{digest}", *people.fields(who, name)), digest)
            for digest in (elsewhere, NOWHERE)
        ]
        assert answers[0] == answers[1]
        assert answers[0][0] == 404
    assert fields


def test_it_takes_no_longer_either(registry: Secured, people: People) -> None:
    hidden, owner = Content.of("d/private"), ("Authorization", people.owner)
    times: dict[str, list[float]] = {hidden.blob_digest: [], NOWHERE: []}
    for _ in range(60):
        for digest, taken in times.items():
            started = time.perf_counter()
            assert ask(registry.port, "HEAD", f"/v2/c/private/blobs/{digest}", owner).status == 404
            taken.append(time.perf_counter() - started)
    one, other = (median(taken) for taken in times.values())
    assert max(one, other) < 3 * min(one, other)


@pytest.mark.parametrize("who", [Who.OWNER, Who.OWNER_TOKEN])
@pytest.mark.parametrize(
    "query",
    [
        "mount={hidden}&from=d/private",
        "mount={hidden}&from=d/denied",
        "mount={hidden}&from=d/absent",
        "mount={hidden}&from=D/Private",
        "mount={hidden}&from=d%2fprivate%00",
        "mount={hidden}&from=../d/private",
        "mount={hidden}&from=",
        "mount={hidden}",
        "mount={nowhere}&from=d/private",
        "mount={nowhere}&from=c/private",
        "mount={nowhere}",
    ],
)
def test_mounting_what_may_not_be_read_is_like_mounting_what_is_not_there(
    registry: Secured, people: People, who: Who, query: str
) -> None:
    target = f"c/target/{next(_numbers)}"
    hidden = Content.of("d/private").blob_digest
    fields = people.fields(who, target)
    if who is Who.OWNER_TOKEN:  # one that was asked for the source, too, and got what there was to get
        fields = [("Authorization", registry.token_for(people.owner, target, "d/private", "c/private", "d/denied"))]
    said = query.format(hidden=hidden, nowhere=NOWHERE)
    answer = ask(registry.port, "POST", f"/v2/{target}/blobs/uploads/?{said}", *fields)
    plain = ask(registry.port, "POST", f"/v2/{target}/blobs/uploads/?mount={NOWHERE}", *fields)
    assert seen(answer, target) == seen(plain, target)
    assert answer.status == 202
    assert ask(registry.port, "HEAD", f"/v2/{target}/blobs/{hidden}", *fields).status == 404


@pytest.mark.parametrize("source", ["c/private", "c/public", ""])
def test_mounting_with_a_token_for_the_target_only_asks_for_both_scopes(
    registry: Secured, people: People, source: str
) -> None:
    target, content = f"c/target/{next(_numbers)}", Content.of(source or "c/private")
    query = f"mount={content.blob_digest}" + (f"&from={source}" if source else "")
    path = f"/v2/{target}/blobs/uploads/?{query}"
    small = ("Authorization", registry.token_for(people.owner, target))
    answer = ask(registry.port, "POST", path, small)
    assert answer.status == 401
    wanted = f'scope="repository:{target}:pull,push repository:{content.name}:pull",error="insufficient_scope"'
    assert (answer.field("www-authenticate") or "").endswith(wanted)
    both = ("Authorization", registry.token_for(people.owner, target, content.name))
    assert ask(registry.port, "POST", path, both).status == 201


def test_a_mount_needs_the_right_to_push_to_the_target(registry: Secured, people: People) -> None:
    content = Content.of("c/public")
    for who, status in ((Who.PULLER, 403), (Who.PULLER_TOKEN, 403), (Who.ANONYMOUS_TOKEN, 401), (Who.NOBODY, 401)):
        path = f"/v2/c/private/blobs/uploads/?mount={content.blob_digest}&from=c/public"
        assert ask(registry.port, "POST", path, *people.fields(who, "c/private")).status == status


def test_a_blob_that_came_by_a_mount_outlives_the_right_to_the_source(registry: Secured, people: People) -> None:
    """It has become the target's own; what ends is the right to mount anew."""
    source = registry.push(Content.of(f"e/source/{next(_numbers)}"))
    registry.public(source.name)
    target = f"c/target/{next(_numbers)}"
    path = f"/v2/{target}/blobs/uploads/?mount={source.blob_digest}&from={source.name}"
    owner = ("Authorization", people.owner)
    assert ask(registry.port, "POST", path, owner).status == 201
    registry.done("DELETE", f"/repository-policies/{source.name}")
    assert ask(registry.port, "GET", f"/v2/{target}/blobs/{source.blob_digest}", owner).status == 200
    assert ask(registry.port, "POST", path.replace(target, target + "2"), owner).status == 202


@pytest.mark.parametrize(("method", "query"), [("GET", ""), ("PATCH", ""), ("PUT", "?digest={}"), ("DELETE", "")])
def test_an_upload_is_its_beginners_and_its_repositorys(
    registry: Secured, people: People, method: str, query: str
) -> None:
    body = b"of an upload" if method in ("PUT", "PATCH") else None
    mine = registry.begin_upload("c/private", people.owner)
    never = f"/v2/c/private/blobs/uploads/{UPLOAD}"
    second = registry.user(f"c-second-{next(_numbers)}", statement("ecr:*", "*"))
    elsewhere = mine.replace("c/private", "c/public")
    said = query.format(digest_of(body or b""))
    for path, who in (
        (mine, second),
        (elsewhere, people.owner),
        (mine.upper().replace("/V2/C/PRIVATE/BLOBS/UPLOADS", "/v2/c/private/blobs/uploads"), people.owner),
    ):
        answer = ask(registry.port, method, path + said, ("Authorization", who), body=body)
        unknown = ask(registry.port, method, never + said, ("Authorization", who), body=body)
        assert answer.status == unknown.status == 404
        assert seen(answer, path.rpartition("/")[2], path.split("/blobs")[0])[2] == seen(unknown, UPLOAD)[2]
    owner = ("Authorization", people.owner)
    still = ask(registry.port, "GET", mine, owner)
    assert (still.status, still.field("range")) == (204, "0-0")
    assert ask(registry.port, "DELETE", mine, owner).status == 204


def test_an_upload_goes_on_with_another_token_or_the_password_of_the_same_one(
    registry: Secured, people: People
) -> None:
    path = registry.begin_upload("c/private", registry.token_for(people.owner, "c/private"))
    token = ("Authorization", registry.token_for(people.owner, "c/private"))
    assert ask(registry.port, "PATCH", path, token, body=b"half").status == 202
    assert ask(registry.port, "GET", path, ("Authorization", people.owner)).field("range") == "0-3"
    assert ask(registry.port, "DELETE", path, token).status == 204


def test_a_refusal_says_nothing_of_policies(registry: Secured, people: People) -> None:
    answer = ask(registry.port, "GET", "/v2/d/denied/tags/list", ("Authorization", people.stranger))
    refusal = {
        "code": "DENIED",
        "message": "requested access to the resource is denied",
        "detail": "not allowed by policy",
    }
    assert json.loads(answer.body) == {"errors": [refusal]}
