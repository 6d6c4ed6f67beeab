"""What is taken away is gone with the very next request, on every connection and at every worker, repeated answers too.

A manifest or small blob that was asked for before is answered by the connection itself, without the application.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostile.conversation import Answer, Conversation, raw
from tests.security.secured import (
    ADMIN,
    ADMIN_PASSWORD,
    PULL_ACTIONS,
    Content,
    Secured,
    basic,
    for_everyone,
    repository_arn,
    secured,
    statement,
)

CONNECTIONS = 3
_numbers = itertools.count()


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A registry of its own: these tests look at how its workers share what they know."""
    folder = tmp_path_factory.mktemp("revoking")
    with secured(folder, workers=str(request.param)) as running:
        yield running


def workers(served: Secured) -> int:
    """How many there are: with one, the process that was started serves by itself."""
    pid = served.registry.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return 2 if children else 1


def said(name: str, target: str, authorization: str | None, method: str = "GET") -> bytes:
    fields = [("Authorization", authorization)] if authorization else []
    return raw(method, f"/v2/{name}/{target}", *fields)


class Connections:
    """Several connections that stay open, at every worker there is."""

    def __init__(self, served: Secured) -> None:
        self._all: list[Conversation] = []
        seen: set[str] = set()
        deadline = time.monotonic() + 20
        while len(self._all) < CONNECTIONS or len(seen) < workers(served):
            conversation = served.talk()
            worker = (conversation.ask(raw("GET", "/healthz")).field("x-request-id") or "").partition("-")[0]
            if worker not in seen or len(self._all) < CONNECTIONS:
                seen.add(worker)
                self._all.append(conversation)
                continue
            conversation.socket.close()
            assert time.monotonic() < deadline, f"only {len(seen)} workers answered"
            time.sleep(0.01)  # one of the workers may still be starting

    def __enter__(self) -> "Connections":
        return self

    def __exit__(self, *_: object) -> None:
        for conversation in self._all:
            conversation.socket.close()

    def ask(self, request: bytes, times: int = 1) -> list[Answer]:
        """The last answer of each connection to that many of these requests."""
        return [[conversation.ask(request, request.partition(b" ")[0].decode()) for _ in range(times)][-1]
                for conversation in self._all]  # fmt: skip

    def statuses(self, request: bytes, times: int = 1) -> set[int]:
        """What they all say."""
        return {answer.status for answer in self.ask(request, times)}


def requests(content: Content, authorization: str | None) -> list[bytes]:
    targets = (f"manifests/{content.tag}", f"manifests/{content.manifest_digest}", f"blobs/{content.blob_digest}")
    return [said(content.name, target, authorization) for target in targets]


@pytest.fixture
def world(served: Secured) -> tuple[Content, str, str]:
    """A private repository, the name of someone who may pull from it, and their Basic Authorization."""
    number = next(_numbers)
    content = served.push(Content.of(f"r/{number}"))
    name = f"r-user-{number}"
    return content, name, served.user(name, statement(PULL_ACTIONS, repository_arn(content.name)))


def policy_path(name: str) -> str:
    return f"/users/{name}/policies/{name}-0"


CHANGES: dict[str, tuple[Callable[[Secured, Content, str], object], int]] = {
    "the user is shut out": (lambda s, c, n: s.done("PATCH", f"/users/{n}", {"disabled": True}), 401),
    "the user is deleted": (lambda s, c, n: s.done("DELETE", f"/users/{n}"), 401),
    "the policy is taken away": (lambda s, c, n: s.done("DELETE", policy_path(n)), 403),
    "the policy is replaced": (lambda s, c, n: s.done("PUT", f"/policies/{n}-0", statement("ecr:*", "*", "Deny")), 403),
    "the repository is closed": (lambda s, c, n: s.public(c.name, for_everyone("ecr:*", "Deny")), 403),
    "the repository is deleted": (lambda s, c, n: s.done("DELETE", f"/repositories/{c.name}"), 404),
}


@pytest.mark.parametrize("with_token", [False, True], ids=["password", "token"])
@pytest.mark.parametrize("change", CHANGES)
def test_the_next_request_on_every_connection_is_refused(
    served: Secured, world: tuple[Content, str, str], change: str, with_token: bool
) -> None:
    content, name, password = world
    who = served.token_for(password, content.name) if with_token else password
    make, status = CHANGES[change]
    with Connections(served) as connections:
        for request in requests(content, who):
            assert connections.statuses(request, times=3) == {200}
        make(served, content, name)
        # A password that is wrong by now costs a slow hash each time, and is at some point not even looked at.
        by_password = status == 401 and not with_token
        refused = {status, 429} if by_password else {status}
        for request in requests(content, who)[: 1 if by_password else None]:
            assert connections.statuses(request) <= refused
            assert connections.statuses(request.replace(b"GET", b"HEAD", 1)) <= refused


@pytest.mark.parametrize("with_token", [False, True], ids=["nothing", "anonymous token"])
def test_what_was_public_is_private_with_the_next_request(
    served: Secured, world: tuple[Content, str, str], with_token: bool
) -> None:
    content, _, _ = world
    served.public(content.name)
    who = served.token_for(None, content.name) if with_token else None
    with Connections(served) as connections:
        for request in requests(content, who):
            assert connections.statuses(request, times=3) == {200}
        served.done("DELETE", f"/repository-policies/{content.name}")
        for request in requests(content, who):
            assert connections.statuses(request) == {401}


def test_what_is_deleted_is_gone_on_every_connection(served: Secured, world: tuple[Content, str, str]) -> None:
    content, _, who = world
    with Connections(served) as connections:
        for request in requests(content, who):
            assert connections.statuses(request, times=3) == {200}
        served.done("DELETE", f"/v2/{content.name}/manifests/{content.tag}")
        assert connections.statuses(said(content.name, f"manifests/{content.tag}", who)) == {404}
        served.done("DELETE", f"/v2/{content.name}/manifests/{content.manifest_digest}")
        assert connections.statuses(said(content.name, f"manifests/{content.manifest_digest}", who)) == {404}
        served.done("DELETE", f"/v2/{content.name}/blobs/{content.blob_digest}")
        assert connections.statuses(said(content.name, f"blobs/{content.blob_digest}", who)) == {404}


def test_a_changed_password_ends_the_old_one_and_keeps_tokens(served: Secured, world: tuple[Content, str, str]) -> None:
    content, name, old = world
    token = served.token_for(old, content.name)
    with Connections(served) as connections:
        for who in (old, token):
            assert connections.statuses(requests(content, who)[0], times=3) == {200}
        served.done("PATCH", f"/users/{name}", {"password": "another password"})
        assert connections.statuses(requests(content, basic(name, "another password"))[0], times=2) == {200}
        assert connections.ask(requests(content, old)[0])[0].status in (401, 429)


def test_an_answer_is_given_to_nobody_else(served: Secured, world: tuple[Content, str, str]) -> None:
    content, _, password = world
    token = served.token_for(password, content.name)
    stranger = served.user(f"r-stranger-{next(_numbers)}")
    spoiled = f"{token[:-9]}{'A' * 9}"
    for owner in (password, token):
        with Connections(served) as connections:
            for request, *others in zip(
                requests(content, owner),
                requests(content, None),
                requests(content, stranger),
                requests(content, served.token_for(None, content.name)),
                requests(content, served.token_for(stranger, content.name)),
                requests(content, spoiled),
                requests(content, owner + " "),
                strict=True,
            ):
                assert connections.statuses(request, times=3) == {200}
                assert [connections.statuses(other) for other in others[:5]] == [{401}, {403}, {401}, {403}, {401}]
                assert connections.statuses(request) == {200}
                empty = request.replace(owner.encode(), b"")
                assert connections.statuses(empty) == {401}


def test_two_callers_in_one_breath_get_each_their_own_answer(served: Secured, world: tuple[Content, str, str]) -> None:
    content, _, password = world
    stranger = served.user(f"r-stranger-{next(_numbers)}")
    good, bad = requests(content, password)[0], requests(content, stranger)[0]
    with served.talk() as talk:
        talk.ask(good)
        talk.say(bad + good + bad + good)
        answers = [talk.answer() for _ in range(4)]
    assert [answer.status for answer in answers if answer] == [403, 200, 403, 200]


def test_a_robots_answer_is_not_repeated_for_long_after_it_expired(served: Secured) -> None:
    content = served.push(Content.of(f"r/{next(_numbers)}"))
    name = f"r-robot-{next(_numbers)}"
    body = {"name": name, "expires_in": 2, "repositories": ["r/*"], "actions": ["pull"]}
    secret = json.loads(served.done("POST", "/robots", body).body)["secret"]
    robot = basic(name, secret)
    token = served.token_for(robot, content.name)
    with Connections(served) as connections:
        assert connections.statuses(requests(content, token)[0], times=3) == {200}
        time.sleep(2.1)
        assert connections.statuses(requests(content, token)[0]) == {401}


def test_a_rotated_key_does_not_shut_anybody_out(served: Secured, world: tuple[Content, str, str]) -> None:
    content, _, password = world
    old = served.token_for(password, content.name)
    with Connections(served) as connections:
        assert connections.statuses(requests(content, old)[0], times=2) == {200}
        served.done("POST", "/signing-keys")
        new = served.token_for(password, content.name)
        assert connections.statuses(requests(content, old)[0]) == {200}
        assert connections.statuses(requests(content, new)[0]) == {200}


def test_the_administrator_can_not_be_shut_out_by_mistake(served: Secured) -> None:
    assert served.admin("PATCH", f"/users/{ADMIN}", {"disabled": True}).status == 400
    assert served.admin("DELETE", f"/users/{ADMIN}").status == 400
    with served.talk() as talk:
        assert talk.ask(raw("GET", "/v2/", ("Authorization", basic(ADMIN, ADMIN_PASSWORD)))).status == 200
