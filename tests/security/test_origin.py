"""What a request says of hosts, schemes and addresses: whom it can lead astray, and whom it can pretend to be."""

import json
from ipaddress import ip_network

import pytest
from pydantic import ValidationError
from starlette.types import Scope

from estiva.errors import RequestInvalid
from estiva_server.config import Settings
from registry.api.origin import Origin
from tests.hostile.conversation import Answer, ask
from tests.security.people import People
from tests.security.secured import Content, Secured, statement

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
Fields = list[tuple[str, str]]


def scope(client: str | None, *fields: tuple[str, str], scheme: str = "http") -> Scope:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
    return {
        "type": "http",
        "scheme": scheme,
        "client": (client, 1234) if client is not None else None,
        "headers": headers,
    }


def address(client: str | None, *fields: tuple[str, str]) -> str:
    return Origin(None, PROXIES).context(scope(client, *fields))["aws:sourceip"][0]


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["10.0.0.1"], "192.0.2.1"),  # nobody we trust says so
        ("192.0.2.1", ["198.51.100.1, 10.0.0.9"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),  # what the client wrote itself is left of it
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.1"], "198.51.100.1"),  # proxies that add a field of their own
        ("10.0.0.1", ["203.0.113.9", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),  # as a socket for both families calls it
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        (None, [], ""),
    ],
)
def test_only_a_trusted_proxys_word_on_the_address_counts(
    client: str | None, forwarded: list[str], expected: str
) -> None:
    assert address(client, *(("X-Forwarded-For", value) for value in forwarded)) == expected


@pytest.mark.parametrize(
    ("client", "said", "secure"),
    [
        ("192.0.2.1", ["https"], "false"),
        ("10.0.0.1", ["https"], "true"),
        ("10.0.0.1", ["http"], "false"),
        ("10.0.0.1", ["https", "http"], "false"),  # the last is the proxy's own
        ("10.0.0.1", ["javascript"], "false"),
    ],
)
def test_only_a_trusted_proxys_word_on_tls_counts_in_policies(client: str, said: list[str], secure: str) -> None:
    context = Origin(None, PROXIES).context(scope(client, *(("X-Forwarded-Proto", value) for value in said)))
    assert context["aws:securetransport"] == (secure,)


def test_every_request_says_when_it_came_and_what_with() -> None:
    context = Origin().context(scope("192.0.2.1", ("User-Agent", "docker/1"), ("Referer", "https://a/")))
    assert context["aws:useragent"] == ("docker/1",)
    assert context["aws:referer"] == ("https://a/",)
    assert context["aws:currenttime"][0].endswith("Z")
    assert context["aws:epochtime"][0].isdigit()


@pytest.mark.parametrize(
    "host",
    ["", "evil.example/path", "evil.example?x", "a b", "a@b", 'a"b', "a,b", "a\r\nX: y", "a;b", "[::1", "a:b",
     "a:123456", "ä.example", "https://evil.example", "a\\b", "a#b", "x" * 300],
)  # fmt: skip
def test_what_is_no_host_leads_nowhere(host: str) -> None:
    with pytest.raises(RequestInvalid):
        Origin().base_url(scope("192.0.2.1", ("Host", host)))


@pytest.mark.parametrize("host", ["registry.example", "registry.example:5000", "127.0.0.1:5000", "[::1]:5000", "[::1]"])
def test_a_host_is_called_what_its_client_calls_it(host: str) -> None:
    assert Origin().base_url(scope("192.0.2.1", ("Host", host))) == f"http://{host}"
    assert Origin("https://r.example/").base_url(scope("192.0.2.1", ("Host", host))) == "https://r.example"


@pytest.mark.parametrize("url", ["https://registry.example.com", "http://127.0.0.1:5000", "https://[::1]:5000"])
def test_a_public_url_is_scheme_and_host(url: str) -> None:
    assert Settings.model_validate({"public_url": url}).public_url == url


@pytest.mark.parametrize(
    "url", ["registry.example", "ftp://a", 'https://a"b', "https://a b", "https://a/b", "https://a\n"]
)
def test_anything_else_is_no_public_url(url: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"public_url": url})


@pytest.fixture(scope="module")
def people(registry: Secured) -> People:
    people = People.settled(registry, "o")
    registry.push(Content.of("o/private"))
    return people


def asked(registry: Secured, request: str) -> Answer:
    with registry.talk() as talk:
        return talk.ask(request.encode("latin-1"), request.partition(" ")[0])


EVIL = "evil.example"
TRICKS: list[Fields] = [
    [("Host", EVIL)],
    [("Host", "registry.example"), ("X-Forwarded-Host", EVIL)],
    [("Host", "registry.example"), ("X-Forwarded-Host", f"{EVIL}/x")],
    [("Host", "registry.example"), ("X-Forwarded-Host", f'{EVIL}",service="x')],
    [("Host", "registry.example"), ("X-Forwarded-Host", f"{EVIL}, registry.example")],
    [("Host", "registry.example"), ("X-Forwarded-Proto", "javascript")],
    [("Host", "registry.example"), ("X-Forwarded-Prefix", "//evil.example")],
    [("Host", "registry.example"), ("Forwarded", f"host={EVIL};proto=https")],
    [("Host", "registry.example"), ("X-Original-URL", "/api/v1/users"), ("X-Rewrite-URL", "/api/v1/users")],
]


@pytest.mark.parametrize("fields", TRICKS, ids=lambda fields: f"{fields[-1][0]}={fields[-1][1]}")
def test_nobody_is_led_elsewhere(registry: Secured, people: People, fields: Fields) -> None:
    """Locations are paths, whatever a request says; a realm only goes back to whoever asked for it."""
    said = "".join(f"{name}: {value}\r\n" for name, value in fields)
    owner = f"Authorization: {people.owner}\r\n"
    begun = asked(registry, f"POST /v2/o/private/blobs/uploads/ HTTP/1.1\r\n{said}{owner}Content-Length: 0\r\n\r\n")
    assert (begun.field("location") or "").startswith("/v2/o/private/blobs/uploads/")
    listed = asked(registry, f"GET /v2/_catalog?n=1 HTTP/1.1\r\n{said}{owner}\r\n")
    assert (listed.field("link") or "</v2/").startswith("</v2/")
    for target in (
        "/v2/o/private/",
        "//evil.example/",
        "/%2f%2fevil.example",
        "/api/v1/users/",
        "/v2/o/private/tags/list/",
    ):
        answer = asked(registry, f"GET {target} HTTP/1.1\r\n{said}{owner}\r\n")
        assert answer.status in (400, 401, 403, 404)
        assert answer.field("location") is None
    challenge = asked(registry, f"GET /v2/ HTTP/1.1\r\n{said}\r\n").field("www-authenticate") or ""
    assert challenge.count('"') == 4
    realm = challenge.split('"')[1]
    assert realm in ("http://registry.example/token", f"http://{EVIL}/token", "/token")


@pytest.mark.parametrize(
    "target",
    ["/v2/o%0d%0aX-Evil:%20y/tags/list", "/v2/o/private/manifests/a%0d%0aX-Evil:%20y",
     "/v2/o/private/blobs/%0d%0aX-Evil",
     "/v2/o/private/tags/list?last=%0d%0aX-Evil:%20y&n=1", "/v2/_catalog?n=1&last=%0d%0aX-Evil:%20y",
     "/v2/o/private/blobs/uploads/%0d%0aX-Evil:%20y", "/v2/o/private/referrers/%0d%0aX-Evil",
     "/token?service=%0d%0aX-Evil:%20y", "/token?scope=%0d%0aX-Evil:%20y:a:b", "/token?account=%0d%0aX-Evil:%20y",
     "/api/v1/users/%0d%0aX-Evil:%20y", "/api/v1/users?last=%0d%0aX-Evil:%20y", "/%0d%0aX-Evil:%20y"],
)  # fmt: skip
def test_line_ends_reach_no_header_and_no_log_line(registry: Secured, people: People, target: str) -> None:
    for authorization in (people.owner, None):
        fields = [("Authorization", authorization)] if authorization else []
        answer = ask(registry.port, "GET", target, *fields, ("X-Request-Id", "a%0d%0aX-Evil"))
        assert answer.status < 500
        assert b"x-evil" not in dict(answer.fields)
        assert all(b"\r" not in value and b"\n" not in value for _, value in answer.fields)
    for line in registry.registry.log.read_text().splitlines():
        assert not line.startswith("X-Evil")


def test_a_policy_on_addresses_holds_against_forged_fields(registry: Secured) -> None:
    inside = {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
    who = registry.user("o-inside", statement("ecr:*", "*", Condition=inside))
    registry.push(Content.of("o/inside"))

    def status(*forwarded: str) -> int:
        fields = [("X-Forwarded-For", value) for value in forwarded]
        return ask(registry.port, "GET", "/v2/o/inside/tags/list", ("Authorization", who), *fields).status

    assert status("203.0.113.5") == 200
    for forwarded in ([], ["198.51.100.1"], ["203.0.113.5, 198.51.100.1"], ["203.0.113.5", "198.51.100.1"]):
        assert status(*forwarded) == 403
    assert status("203.0.113.5") == 200


def test_a_policy_on_time_holds(registry: Secured) -> None:
    registry.push(Content.of("o/timed"))
    for number, (operator, moment, expected) in enumerate(
        [
            ("DateLessThan", "2001-01-01T00:00:00Z", 403),
            ("DateGreaterThan", "2001-01-01T00:00:00Z", 200),
            ("DateGreaterThan", "2999-01-01T00:00:00Z", 403),
        ]
    ):
        condition = {operator: {"aws:CurrentTime": moment}}
        who = registry.user(f"o-timed-{number}", statement("ecr:*", "*", Condition=condition))
        assert ask(registry.port, "GET", "/v2/o/timed/tags/list", ("Authorization", who)).status == expected


def test_secrets_are_never_in_the_log(registry: Secured, people: People) -> None:
    token = registry.token(people.owner, "repository:o/private:pull")
    for authorization in (people.owner, f"Bearer {token}", "Basic bm90OnJpZ2h0", "Bearer not.a.token"):
        for target in ("/v2/o/private/tags/list", "/v2/o/private/manifests/v1", "/token", "/api/v1/users"):
            for _ in range(2):
                ask(registry.port, "GET", target, ("Authorization", authorization))
    log = registry.registry.log.read_text()
    for secret in (
        token,
        token.rpartition(".")[2],
        people.owner.partition(" ")[2],
        "bm90OnJpZ2h0",
        "password of o-owner",
    ):
        assert secret not in log
    assert '"/v2/o/private/tags/list"' in log
    assert json.loads(next(line for line in log.splitlines() if "/v2/o/private/tags/list" in line))
