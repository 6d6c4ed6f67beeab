"""Limits on how often one may come, on a server that runs."""

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.hostile.conversation import Answer, ask, raw
from tests.security.secured import KEY_ID, KEY_SECRET, Content, Secured, basic, secured

ADDRESS, PRINCIPAL = 20, 60
PATIENCE = 90.0
ADMIN = ("Authorization", basic(KEY_ID, KEY_SECRET))


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """So many requests per address and principal; the next may come in hours."""
    settings = {"requests_per_address": "0.00005", "requests_per_principal": "0.00015", "request_burst": "400000"}
    with secured(tmp_path_factory.mktemp("limited"), **settings) as served:
        yield served


@pytest.fixture(scope="module")
def content(limited: Secured) -> Content:
    """An image that everybody may pull."""
    content = limited.push(Content.of("public/app"))
    limited.public("public/app")
    return content


def get(limited: Secured, path: str, address: str, *fields: tuple[str, str]) -> Answer:
    return ask(limited.port, "GET", path, ("X-Forwarded-For", address), *fields)


def require_refused(answer: Answer) -> None:
    assert answer.status == 429
    assert json.loads(answer.body)["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert 0 < int(answer.field("retry-after") or 0) <= 20_001


def repeated(limited: Secured) -> float:
    """How many answers were given again."""
    page = ask(limited.port, "GET", "/metrics").body.decode()
    return float(re.findall(r"^estiva_http_repeated_answers_total (\S+)", page, re.MULTILINE)[0])


def test_an_address_gets_its_share_also_of_answers_that_are_remembered(limited: Secured, content: Content) -> None:
    path = f"/v2/{content.name}/manifests/{content.tag}"
    before = repeated(limited)
    answers = [get(limited, path, "192.0.2.1") for _ in range(ADDRESS + 2)]
    assert [answer.status for answer in answers] == [200] * ADDRESS + [429] * 2
    require_refused(answers[-1])
    assert repeated(limited) > before
    assert get(limited, path, "192.0.2.2").status == 200


def test_a_principal_gets_its_share_wherever_it_comes_from(limited: Secured, content: Content) -> None:
    path = f"/v2/{content.name}/manifests/{content.tag}"
    token = ("Authorization", limited.token_for(limited.user("ann"), content.name, actions="pull"))
    statuses = [get(limited, path, f"198.51.100.{number}", token).status for number in range(PRINCIPAL + 2)]
    assert statuses == [200] * PRINCIPAL + [429] * 2
    assert get(limited, path, "198.51.100.1").status == 200


@pytest.mark.parametrize("path", ["/v2/", "/token?service=estiva", "/api/v1/users"])
def test_every_door_counts(limited: Secured, path: str) -> None:
    address = f"203.0.113.{len(path)}"
    for _ in range(ADDRESS):
        assert get(limited, path, address).status != 429
    require_refused(get(limited, path, address))


def test_health_and_metrics_are_always_answered(limited: Secured) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert {get(limited, path, "203.0.113.99").status for _ in range(ADDRESS + 2)} == {200}


def test_the_front_of_aws_says_it_in_its_own_words(limited: Secured) -> None:
    target = ("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories")
    fields = (target, ("X-Forwarded-For", "203.0.113.98"), ("Content-Type", "application/x-amz-json-1.1"))
    for _ in range(ADDRESS):
        assert b"ThrottlingException" not in ask(limited.port, "POST", "/", *fields, body=b"{}").body
    refused = ask(limited.port, "POST", "/", *fields, body=b"{}")
    assert (refused.status, json.loads(refused.body)["__type"]) == (400, "ThrottlingException")
    assert refused.field("x-amzn-errortype") == "ThrottlingException"


def test_one_upload_at_a_time_of_each_principal(tmp_path_factory: pytest.TempPathFactory) -> None:
    with secured(tmp_path_factory.mktemp("uploads"), uploads_per_principal="1") as served:
        first, second = (served.begin_upload("team/app", basic(KEY_ID, KEY_SECRET)) for _ in range(2))

        def patched(status: int) -> Answer:
            deadline = time.monotonic() + PATIENCE
            while True:
                answer = ask(served.port, "PATCH", second, ADMIN, body=b"bytes")
                if answer.status == status or time.monotonic() > deadline:
                    return answer

        with served.talk() as talk:
            talk.say(raw("PATCH", first, ADMIN, ("Content-Length", "1000000")) + b"begun")
            refused = patched(429)
            require_refused(refused)
            assert refused.field("retry-after") == "1"
        assert patched(202).status == 202
