"""Names, digests, tags, upload ids and queries that ask for more than they should get."""

import json

import pytest

from tests.hostile.civility import Civility
from tests.hostile.conversation import ask, raw
from tests.hostile.test_malformed_http import everything_said
from tests.hostile.world import BLOB, World, begin_upload, digest_of
from tests.serving import Registry

BAD_DIGESTS = [
    "sha256:" + "a" * 63, "sha256:" + "a" * 65, "sha256:" + "A" * 64, "SHA256:" + "a" * 64, "sha256:" + "g" * 64,
    "sha256:../../../../etc/passwd", "sha256:..%2f..%2fx", "sha256:%00" + "a" * 61, "sha256:" + "a" * 64 + "%00",
    "sha256:" + "a" * 64 + "%0d%0aX-Injected:%201", "sha512:" + "a" * 64, "md5:" + "a" * 32, "sha256:",
    ":" + "a" * 64, "sha256:sha256:" + "a" * 64, "sha256:%d9%a1" + "a" * 63, "sha256:%ff",
]  # fmt: skip
BAD_NAMES = [
    "A", "a//b", "a/../b", "..", "a%2fb", "%2e%2e", "a%00", "a%0d%0ab", "-a", "a_", "a" * 256, "a%20b", "%ff",
]  # fmt: skip
BAD_TAGS = [
    ".a", "-a", "a%2fb", "a%00", "%0d%0aX-Injected:%201", "a" * 129, "a b".replace(" ", "%20"), "%ff", "..", "a@b",
]  # fmt: skip
NUMBERS = [
    "0", "-1", "abc", "1001", "100000000000000000000", "9" * 4000, "1e3", "0x10", "1_0", "%D9%A1", "", "+1", "1.5",
]  # fmt: skip


@pytest.mark.parametrize("digest", BAD_DIGESTS)
def test_a_bad_digest_is_refused_wherever_it_stands(world: World, civility: Civility, digest: str) -> None:
    name = f"/v2/{world.name}"
    for method, target in (
        ("GET", f"{name}/blobs/{digest}"),
        ("HEAD", f"{name}/blobs/{digest}"),
        ("DELETE", f"{name}/blobs/{digest}"),
        ("GET", f"{name}/manifests/{digest}"),
        ("PUT", f"{name}/manifests/{digest}"),
        ("DELETE", f"{name}/manifests/{digest}"),
        ("GET", f"{name}/referrers/{digest}"),
        ("POST", f"{name}/blobs/uploads/?digest={digest}"),
        ("POST", f"{name}/blobs/uploads/?mount={digest}&from={world.name}"),
        ("PUT", f"{name}/blobs/uploads/{world.upload}?digest={digest}"),
    ):
        answer = ask(world.port, method, target, body=b"" if method in ("PUT", "POST") else None)
        # Slashes that are not encoded make it another path, which is nobody's.
        is_path = "/" in digest and "?" not in target
        assert answer.status == (404 if is_path else 400), f"{method} {target}: {answer}"
        civility.require(answer, api=True)
    upload = ask(world.port, "GET", f"{name}/blobs/uploads/{world.upload}")
    assert upload.status == 204


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused_on_every_route(world: World, civility: Civility, name: str) -> None:
    for method, rest in (
        ("GET", f"manifests/{world.tag}"),
        ("GET", f"blobs/{world.blob_digest}"),
        ("GET", "tags/list"),
        ("POST", "blobs/uploads/"),
        ("GET", f"referrers/{world.blob_digest}"),
        ("GET", f"blobs/uploads/{world.upload}"),
    ):
        answer = ask(world.port, method, f"/v2/{name}/{rest}")
        assert answer.status == 400, f"{method} {rest}: {answer}"
        assert json.loads(answer.body)["errors"][0]["code"] == "NAME_INVALID"
        civility.require(answer, api=True)


@pytest.mark.parametrize("tag", BAD_TAGS)
def test_a_bad_tag_is_refused_by_its_grammar(world: World, civility: Civility, tag: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = ask(world.port, method, f"/v2/{world.name}/manifests/{tag}", body=b"" if method == "PUT" else None)
        assert answer.status == 400
        civility.require(answer, api=True)
    other = ask(world.port, "PUT", f"/v2/{world.name}/manifests/{world.manifest_digest}?tag={tag}", body=world.manifest)
    assert other.status == 400


@pytest.mark.parametrize("number", NUMBERS)
def test_any_number_of_entries_may_be_asked_for_and_is_a_number_or_refused(
    world: World, civility: Civility, number: str
) -> None:
    for target in (f"/v2/{world.name}/tags/list", "/v2/_catalog", f"/v2/{world.name}/referrers/{world.blob_digest}"):
        answer = ask(world.port, "GET", f"{target}?n={number}")
        is_number = number.isascii() and number.isdigit()
        assert answer.status == (200 if is_number else 400)
        civility.require(answer, api=True)
        assert ask(world.port, "GET", f"{target}?n={number}&n=1").status == 400


def test_a_blob_of_another_repository_looks_like_one_that_nobody_has(world: World) -> None:
    begin_upload(world.port, f"{world.name}/other")
    unknown = digest_of(b"nobody ever pushed this")
    for method in ("GET", "HEAD", "DELETE"):
        there, nowhere = (
            ask(world.port, method, f"/v2/{world.name}/other/blobs/{digest}") for digest in (world.blob_digest, unknown)
        )
        assert there.status == nowhere.status == 404
        assert there.body == nowhere.body.replace(unknown.encode(), world.blob_digest.encode())
        assert [name for name, _ in there.fields] == [name for name, _ in nowhere.fields]
        ignored = (b"date", b"x-request-id")
        assert [pair for pair in there.fields if pair[0] not in ignored] == [
            pair for pair in nowhere.fields if pair[0] not in ignored
        ]


def test_a_mount_from_a_repository_that_lacks_the_blob_begins_an_upload_like_any_other(world: World) -> None:
    target = f"/v2/{world.name}/mounted/blobs/uploads/?mount={world.blob_digest}&from="
    for source in ("nobody/pushed/this", "../../etc", "", f"{world.name}/mounted"):
        if source:
            assert ask(world.port, "POST", target + source).status == 202
    assert ask(world.port, "POST", target + world.name).status == 201


def test_an_upload_of_another_repository_is_unknown(world: World) -> None:
    theirs = f"/v2/{world.name}/other/blobs/uploads/{begin_upload(world.port, world.name)}"
    for method, query in (("GET", ""), ("PATCH", ""), ("PUT", f"?digest={digest_of(b'')}"), ("DELETE", "")):
        answer = ask(world.port, method, theirs + query, body=b"" if method in ("PUT", "PATCH") else None)
        assert answer.status == 404
        assert json.loads(answer.body)["errors"][0]["code"] == "BLOB_UPLOAD_UNKNOWN"
    mine = f"/v2/{world.name}/blobs/uploads/{world.upload}"
    assert ask(world.port, "GET", mine).status == 204


@pytest.mark.parametrize(
    "upload",
    ["..%2f..%2festiva.db", "%2e%2e", "..", "%00", "%0d%0aX:1", "a" * 5000, "*", "%ff", ".probe", "'%20or%201=1", "~"],
)
def test_an_upload_id_is_never_a_path(world: World, civility: Civility, upload: str) -> None:
    for method, query in (("GET", ""), ("PATCH", ""), ("PUT", f"?digest={digest_of(b'')}"), ("DELETE", "")):
        target = f"/v2/{world.name}/blobs/uploads/{upload}{query}"
        answer = ask(world.port, method, target, body=b"" if method in ("PUT", "PATCH") else None)
        assert answer.status in (400, 404)
        civility.require(answer, api=True)


def test_upload_ids_cannot_be_guessed(world: World) -> None:
    ids = {begin_upload(world.port, world.name) for _ in range(20)}
    assert len(ids) == 20
    assert all(len(upload.replace("-", "")) >= 32 for upload in ids)
    for unguessable in (slice(14, 36), slice(-32, None)):  # beside the time, and the proof
        assert len({upload[unguessable] for upload in ids}) == 20


RANGES = ["bytes=9-1", "bytes=99999999999999999999-", "bytes=-0", f"bytes={len(BLOB)}-", "bytes=999999999-1000000000"]


@pytest.mark.parametrize("asked", RANGES)
def test_a_range_outside_the_blob_is_refused_or_passed_over(world: World, civility: Civility, asked: str) -> None:
    answer = ask(world.port, "GET", f"/v2/{world.name}/blobs/{world.blob_digest}", ("Range", asked))
    assert answer.status in (200, 416)
    assert answer.status == 416 or answer.body == BLOB
    civility.require(answer, api=True)


@pytest.mark.parametrize(
    "asked", ["a-b", "5-1", "-1-5", "0-99999999999999999999", "1001-1004", "0-3", "\xb2-\xb3", "0-5,7-9"]
)
def test_a_chunk_that_is_not_where_the_upload_ends_is_refused_and_changes_nothing(
    world: World, civility: Civility, asked: str
) -> None:
    target = f"/v2/{world.name}/blobs/uploads/{world.upload}"
    for method, query in (("PATCH", ""), ("PUT", f"?digest={world.blob_digest}")):
        answer = ask(world.port, method, target + query, ("Content-Range", asked), body=b"four")
        assert answer.status in (400, 416)
        civility.require(answer, api=True)
    world.require_unharmed()


@pytest.mark.parametrize(
    "path", ["/healthz/", "/readyz/", "/metrics/", "//evil.example/..", "/api/v1/repositories", "/v2//"]
)
def test_no_answer_leads_to_where_the_host_field_says(registry: Registry, civility: Civility, path: str) -> None:
    for host in ("evil.example", "evil.example\t", "127.0.0.1", "a b"):
        data = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n"
        answers = everything_said(registry, data.encode())
        assert len(answers) == 1
        civility.require(answers[0], api=False)
        assert answers[0].status in (200, 400, 404, 405)
        assert b"evil" not in b"".join(value for _, value in answers[0].fields)


def test_what_a_client_sends_never_becomes_a_header_or_a_line_of_the_log(registry: Registry, world: World) -> None:
    target = f"/v2/{world.name}/blobs/uploads/?digest-algorithm=a%0d%0aX-Injected:1"
    answers = everything_said(
        registry,
        raw(
            "POST", target, ("User-Agent", "a\\n{}\x85\xe9"), ("X-Request-Id", "a b"), ("Connection", "close"), body=b""
        ),
    )
    assert [answer.status for answer in answers] == [400]
    assert answers[0].field("x-injected") is None
    assert answers[0].field("x-request-id") != "a b"


@pytest.mark.parametrize("length", [100, 255, 8000])
def test_names_that_nearly_match_take_no_longer_than_others(world: World, length: int) -> None:
    for hard in ("a-" * length, "a" + "-" * length, "a_" * length, "a/" * length, "a__" * length):
        name = hard[:length] + "!"
        for rest in ("/tags/list", "/manifests/x", "/blobs/uploads/", "/blobs/uploads/a/", "/referrers/"):
            assert ask(world.port, "GET", f"/v2/{name}{rest}"[:8100]).status in (400, 404, 405)
