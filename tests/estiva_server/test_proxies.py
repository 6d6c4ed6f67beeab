"""Behind a proxy that ends TLS: what clients are told to ask, and what the proxy's word is worth."""

import asyncio
import http.client
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.auth.certificate import certificate_for
from tests.hostile.conversation import Answer, ask
from tests.security.secured import Content, Secured, basic, repository_arn, secured, statement

PUBLIC = "registry.example"
Fields = list[tuple[str, str]]


@contextmanager
def proxied(folder: Path, port: int, *, host: str | None = None) -> Iterator[int]:
    """A proxy that ends TLS before that port and says so, as nginx and others do; gives its own port.

    It takes the place of what a client says in these fields. `host` is what it puts into Host, by default the client's.
    """
    certificate, key = certificate_for(folder, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        upstream, answers = await asyncio.open_connection("127.0.0.1", port)
        answers.write(_forwarded(head, host))
        for source, sink in ((reader, answers), (upstream, writer)):
            if source is upstream or b"content-length" in head.lower():
                length = await _length(source, sink, head if source is reader else None)
                sink.write(await source.readexactly(length))
        await writer.drain()
        answers.close()
        writer.close()

    ready, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    ports: list[int] = []

    async def serve() -> None:
        async with await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context) as server:
            ports.append(server.sockets[0].getsockname()[1])
            ready.set()
            await stop.wait()

    serving = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    serving.start()
    try:
        assert ready.wait(20)
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        serving.join()
        loop.close()


def _forwarded(head: bytes, host: str | None) -> bytes:
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    asked = next(line.partition(b": ")[2] for line in lines if line.lower().startswith(b"host:"))
    kept = [line for line in lines if not line.lower().startswith((b"host:", b"x-forwarded-"))]
    own = [
        b"Host: " + (host.encode() if host else asked),
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: " + asked,
        b"X-Forwarded-For: 198.51.100.7",
        b"Connection: close",
    ]
    return b"\r\n".join([first, *kept, *own]) + b"\r\n\r\n"


async def _length(source: asyncio.StreamReader, sink: asyncio.StreamWriter, head: bytes | None) -> int:
    """The length of the body after this head, which is read and passed on where it was not yet."""
    if head is None:
        head = await source.readuntil(b"\r\n\r\n")
        sink.write(head)
    found = re.search(rb"content-length: (\d+)", head.lower())
    return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A closed registry that trusts proxies of this machine; one user may pull over TLS, one from one network."""
    with secured(tmp_path_factory.mktemp("proxied")) as registry:
        registry.push(Content.of("team/app"))
        for name, condition in (
            ("near", {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}),
            ("safe", {"Bool": {"aws:SecureTransport": "true"}}),
        ):
            registry.user(name, statement("ecr:*", repository_arn("team/*"), Condition=condition))
        yield registry
        assert "Traceback" not in registry.registry.log.read_text()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, registry: Secured) -> Iterator[int]:
    with proxied(tmp_path_factory.mktemp("proxy"), registry.port, host="backend.internal") as port:
        yield port


def through(proxy: int, path: str, host: str = PUBLIC, **headers: str) -> http.client.HTTPResponse:
    """What the proxy brings back; its body is read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with closing(http.client.HTTPSConnection("127.0.0.1", proxy, timeout=20, context=context)) as client:
        client.request("GET", path, headers={"Host": host, **headers})
        response = client.getresponse()
        response.read()
        return response


def realm(challenge: str | None) -> str:
    found = re.fullmatch(r'Bearer realm="([^"]*)",service="estiva"(,.*)?', challenge or "")
    assert found is not None, challenge
    return found[1]


def test_clients_are_sent_to_the_proxys_public_name(proxy: int) -> None:
    for host in (PUBLIC, f"{PUBLIC}:8443", "[2001:db8::1]:8443", "127.0.0.1"):
        response = through(proxy, "/v2/", host)
        assert response.status == 401
        assert realm(response.getheader("www-authenticate")) == f"https://{host}/token"


def test_what_a_client_says_of_itself_to_the_proxy_is_replaced(proxy: int) -> None:
    said = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-For": "203.0.113.9"}
    assert realm(through(proxy, "/v2/", **said).getheader("www-authenticate")) == f"https://{PUBLIC}/token"


def test_conditions_are_met_by_what_a_trusted_proxy_says(registry: Secured, proxy: int) -> None:
    for name in ("near", "safe"):
        who = basic(name, f"the password of {name}")
        assert through(proxy, "/v2/team/app/manifests/v1", Authorization=who).status == 200
        assert ask(registry.port, "GET", "/v2/team/app/manifests/v1", ("Authorization", who)).status == 403


def test_conditions_are_not_met_by_what_anybody_else_says(tmp_path: Path) -> None:
    with secured(tmp_path, trusted_proxies='["192.0.2.0/24"]', public_url="https://public.example:8443") as registry:
        registry.push(Content.of("team/app"))
        condition = {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}
        safe = {"Bool": {"aws:SecureTransport": "true"}}
        for name, wanted in (("near", condition), ("safe", safe)):
            who = registry.user(name, statement("ecr:*", repository_arn("team/*"), Condition=wanted))
            lies: Fields = [("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-Proto", "https")]
            more: Fields = [("Forwarded", "for=198.51.100.7;proto=https"), ("X-Real-IP", "198.51.100.7")]
            answer = ask(registry.port, "GET", "/v2/team/app/manifests/v1", ("Authorization", who), *lies, *more)
            assert answer.status == 403
        # The public URL is what clients are sent to, whatever a request says.
        for fields in ([], [("X-Forwarded-Host", "evil.example")], [("X-Forwarded-Proto", "http")]):
            answer = ask(registry.port, "GET", "/v2/", *fields)
            assert realm(answer.field("www-authenticate")) == "https://public.example:8443/token"


@pytest.mark.parametrize(
    "host",
    [
        'a",realm="https://evil.example',
        "evil.example/path",
        "evil.example?a=b",
        "user@evil.example",
        "evil.example#",
        "a b",
        "a\\b",
        "a,b",
        "<script>",
        "evil.example:port",
        "evil.example:123456",
        "[::1",
        "\N{LATIN SMALL LETTER E WITH ACUTE}vil",
        "x" * 300,
    ],
)
def test_a_malformed_host_is_never_repeated(registry: Secured, host: str) -> None:
    answer = ask(registry.port, "GET", "/v2/", ("X-Forwarded-Host", host))
    assert answer.status == 401
    assert realm(answer.field("www-authenticate")) == "/token"
    assert host not in everything(answer)


@pytest.mark.parametrize("scheme", ["javascript", "https,http", "https://evil.example/", 'https"', "", "HTTP"])
def test_a_scheme_is_http_or_https(registry: Secured, scheme: str) -> None:
    answer = ask(registry.port, "GET", "/v2/", ("X-Forwarded-Host", PUBLIC), ("X-Forwarded-Proto", scheme))
    assert realm(answer.field("www-authenticate")) == f"http://{PUBLIC}/token"


def test_no_path_leads_elsewhere(registry: Secured) -> None:
    for path in ("//evil.example/v2/", "/token/", "/v2/team/app/", "/api/v1/users/", "/%2f%2fevil.example"):
        answer = ask(registry.port, "GET", path, ("X-Forwarded-Host", "evil.example"))
        assert answer.status >= 400, path
        assert answer.field("location") is None
        assert "evil.example" not in json.dumps(answer.body.decode())


def everything(answer: Answer) -> str:
    return repr(answer.fields) + answer.body.decode()
