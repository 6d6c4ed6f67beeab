"""An upload is begun in the call that brought the request, and answered as it would be the ordinary way."""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from tests.estiva_server.process import eventually
from tests.hostile.conversation import Answer, Conversation, ask, raw
from tests.security.secured import Secured, basic, secured, statement

ORDINARILY = ("X-Request-Id", "mine")
"""A request that brings an id of its own is left to the parser and the application."""
BEGUN = 'estiva_http_request_seconds_count{method="POST",route="uploads",status="202"}'


class World:
    """A registry with the repository `known`, a user who may push anywhere, and one who may do nothing."""

    def __init__(self, running: Secured) -> None:
        self.running = running
        running.done("POST", "/repositories", {"name": "known"})
        pusher, stranger = running.user("pusher", statement("ecr:*", "*")), running.user("stranger")
        names = ("known", "missing", "first", "second", "counted")
        self.tokens = {
            "pusher": running.token_for(pusher, *names, actions="pull,push"),
            "another's token": running.token_for(pusher, "other", actions="pull,push"),
            "stranger": running.token_for(stranger, *names, actions="pull,push"),
            "password": pusher,
            "wrong password": basic("pusher", "wrong"),
            "spoiled token": "Bearer spoiled",
            "nonsense": "Digest nonsense",
            "nobody": "",
        }
        self.begin("known", "pusher")  # the first upload of a server waits: for what its id is proved with
        self.prefix = self.prefix_of(self.begin("known", "nobody"))

    def fields(self, who: str) -> list[tuple[str, str]]:
        """The header fields that say who asks."""
        return [("Authorization", self.tokens[who])] if self.tokens[who] else []

    def begin(self, name: str, who: str, *fields: tuple[str, str], method: str = "POST") -> Answer:
        """Begin an upload, as docker does."""
        with Conversation(self.running.port) as talk:
            target = f"/v2/{name}/blobs/uploads/"
            return talk.ask(raw(method, target, *self.fields(who), *fields, body=b""), method)

    def prefix_of(self, answer: Answer) -> str:
        return (answer.field("x-request-id") or "").rpartition("-")[0]

    def log_lines(self) -> list[dict[str, object]]:
        """The access log, as far as it has been written."""
        lines = self.running.registry.log.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{") and '"request_id"' in line]


def settled(folder: Callable[[str], object], **settings: str) -> Iterator[World]:
    with secured(folder("data"), **settings) as running:  # type: ignore[arg-type]
        yield World(running)
        log = running.registry.log.read_text()
        assert "Traceback" not in log
        assert "never retrieved" not in log


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from settled(tmp_path_factory.mktemp)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One whose pushes create no repositories."""
    yield from settled(tmp_path_factory.mktemp, create_on_push="never")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One that is to keep more free than there is."""
    yield from settled(tmp_path_factory.mktemp, reserve="9" * 18)


def shape(answer: Answer) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """All of an answer but for what differs from one request to the next: moment, request, upload."""
    apart = (b"date", b"x-request-id")
    upload = re.compile((answer.field("docker-upload-uuid") or "none").encode() + rb"[-0-9a-z]*")
    fields = [(name, upload.sub(b"<id>", value)) for name, value in answer.fields if name not in apart]
    return answer.status, sorted(fields), answer.body


def assert_alike(world: World, name: str, who: str, status: int) -> None:
    """Both ways give that status and the same answer, the one at once."""
    at_once, ordinary = world.begin(name, who), world.begin(name, who, ORDINARILY)
    assert shape(at_once) == shape(ordinary)
    assert at_once.status == status
    assert ordinary.field("x-request-id") == "mine"
    assert world.prefix_of(at_once) == world.prefix
    assert {name for name, _ in at_once.fields} >= {b"date", b"content-length", b"docker-distribution-api-version"}


@pytest.mark.parametrize(
    ("name", "who", "status"),
    [
        ("known", "pusher", 202),
        ("known", "nobody", 401),
        ("known", "spoiled token", 401),
        ("known", "nonsense", 401),
        ("known", "another's token", 401),
        ("known", "stranger", 403),
        ("missing", "nobody", 401),
        ("missing", "stranger", 403),
        ("Not/A/Name", "pusher", 400),
    ],
)
def test_what_needs_no_waiting_is_answered_at_once_and_alike(world: World, name: str, who: str, status: int) -> None:
    assert_alike(world, name, who, status)


def test_a_full_disk_is_told_at_once_and_alike(full: World) -> None:
    assert_alike(full, "known", "pusher", 507)


def test_a_refusal_says_why_and_where_a_token_is_to_be_had(world: World) -> None:
    refused = world.begin("known", "nobody")
    assert [error["code"] for error in json.loads(refused.body)["errors"]] == ["UNAUTHORIZED"]
    assert 'scope="repository:known:pull,push"' in (refused.field("www-authenticate") or "")


def test_a_password_is_checked_the_ordinary_way(world: World) -> None:
    for who, status in (("password", 202), ("wrong password", 401)):
        answer = world.begin("known", who)
        assert answer.status == status
        assert world.prefix_of(answer) != world.prefix
        assert shape(answer) == shape(world.begin("known", who, ORDINARILY))


def test_a_repository_that_is_not_known_is_created_once_whichever_way(world: World) -> None:
    for name, *fields in (("first",), ("second", ORDINARILY)):
        assert world.begin(name, "pusher", *fields).status == 202
        trail = json.loads(world.running.done("GET", f"/audit?target=repository/{name}").body)["records"]
        assert [record["action"] for record in trail] == ["CreateRepository"]
    assert_alike(world, "first", "pusher", 202)


def test_a_repository_that_may_not_be_created_is_unknown_whichever_way(strict: World) -> None:
    answer = strict.begin("missing", "pusher")
    assert [error["code"] for error in json.loads(answer.body)["errors"]] == ["NAME_UNKNOWN"]
    assert shape(answer) == shape(strict.begin("missing", "pusher", ORDINARILY))
    assert_alike(strict, "known", "pusher", 202)


def test_an_upload_begun_at_once_takes_a_blob(world: World) -> None:
    who = world.fields("pusher")
    with Conversation(world.running.port) as talk:
        begun = talk.ask(raw("POST", "/v2/known/blobs/uploads/", *who, body=b""), "POST")
        assert world.prefix_of(begun) == world.prefix
        location = begun.field("location") or ""
        assert talk.ask(raw("PATCH", location, *who, body=b"{}"), "PATCH").status == 202
        digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        assert talk.ask(raw("PUT", f"{location}?digest={digest}", *who), "PUT").status == 201
        assert talk.ask(raw("GET", f"/v2/known/blobs/{digest}", *who)).body == b"{}"


def test_each_upload_is_another(world: World) -> None:
    with Conversation(world.running.port) as talk:
        begin = raw("POST", "/v2/known/blobs/uploads/", *world.fields("pusher"), body=b"")
        assert len({talk.ask(begin, "POST").field("location") for _ in range(50)}) == 50


def test_requests_that_follow_each_other_without_waiting_are_answered_in_order(world: World) -> None:
    who = world.fields("pusher")
    begin, look = raw("POST", "/v2/known/blobs/uploads/", *who, body=b""), raw("GET", "/v2/known/tags/list", *who)
    with Conversation(world.running.port) as talk:
        talk.say(begin + look + begin)
        answers = [talk.answer() for _ in range(3)]
        assert [answer.status for answer in answers if answer] == [202, 200, 202]


def test_a_connection_that_is_to_end_ends(world: World) -> None:
    answer = world.begin("known", "pusher", ("Connection", "close"))
    assert world.prefix_of(answer) == world.prefix
    assert answer.closes
    assert shape(answer) == shape(world.begin("known", "pusher", ("Connection", "close"), ORDINARILY))


def test_another_method_with_the_same_fields_is_not_taken_for_it(world: World) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert world.begin("known", "pusher", method=method).status == 405
    assert world.begin("known", "pusher").status == 202


def test_both_ways_are_counted_and_logged_alike(world: World) -> None:
    def counted() -> float:
        page = ask(world.running.port, "GET", "/metrics").body.decode()
        (line,) = [line for line in page.splitlines() if line.startswith(BEGUN)]
        return float(line.split()[1])

    assert world.begin("counted", "pusher").status == 202
    before, agent = counted(), ("User-Agent", "docker/28")
    answers = [world.begin("counted", "pusher", agent, *fields) for fields in ((), (("X-Request-Id", "counted.1"),))]
    assert world.prefix_of(answers[0]) == world.prefix
    ids = {answer.field("x-request-id") for answer in answers}
    eventually(lambda: counted() == before + 2)
    eventually(lambda: len([line for line in world.log_lines() if line["request_id"] in ids]) == 2)
    first, second = (
        {name: value for name, value in line.items() if name not in ("time", "request_id", "seconds")}
        for line in world.log_lines()
        if line["request_id"] in ids
    )
    assert first == second
    assert (first["method"], first["path"], first["status"]) == ("POST", "/v2/counted/blobs/uploads/", 202)
