"""Fetching documents from servers that may be hostile, or may be somebody else's."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from auth import fetching
from auth.fetching import LARGEST_DOCUMENT, FetchError, fetch_json, is_fetchable, may_be_spoken_to
from tests.auth.certificate import certificate_for
from tests.auth.issuer import Issuer, issuing

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@contextlib.contextmanager
def answering(speak: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that does that with its one connection; gives its port."""

    def serve() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as accepted:
            connected = tls.wrap_socket(accepted, server_side=True) if tls else accepted
            with connected:
                connected.recv(65_536)
                speak(connected)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                socket.create_connection(listener.getsockname(), 1).close()  # whoever still waits for it
            serving.join()


def failure(url: str, *, private: bool = True) -> str:
    with pytest.raises(FetchError) as failed:
        fetch_json(url, private=private)
    return str(failed.value)


def answered(*pieces: bytes) -> str:
    """How fetching fails where the server says just that."""
    with answering(lambda connected: connected.sendall(b"".join(pieces))) as port:
        return failure(f"http://127.0.0.1:{port}/")


def test_a_document_is_fetched_with_its_query(issuer: Issuer) -> None:
    issuer.say("/keys?policy=a", {"keys": []})
    assert fetch_json(issuer.url + "/keys?policy=a", private=True) == {"keys": []}


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 401, 404, 500])
def test_redirects_and_failures_are_no_documents(issuer: Issuer, status: int) -> None:
    issuer.say("/elsewhere", {"keys": []})
    issuer.say("/", {"keys": []}, status, Location=issuer.url + "/elsewhere")
    assert failure(issuer.url + "/") == f"status {status}"
    assert issuer.asked == ["/"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe", b"[" * 200_000, b'{"n": ' + b"9" * 5000 + b"}"])
def test_what_is_no_json_is_no_document(issuer: Issuer, body: bytes) -> None:
    issuer.say("/", body)
    assert failure(issuer.url + "/").startswith(("JSONDecodeError: ", "RecursionError: ", "UnicodeD", "ValueError: "))


def test_only_so_much_is_read(issuer: Issuer) -> None:
    issuer.say("/", b'"' + b"a" * (LARGEST_DOCUMENT - 2) + b'"')
    assert len(fetch_json(issuer.url + "/", private=True)) == LARGEST_DOCUMENT - 2
    issuer.say("/", b'"' + b"a" * (LARGEST_DOCUMENT - 1) + b'"')
    assert failure(issuer.url + "/") == "the document is too large"
    assert answered(HEAD, b"Content-Length: 99999999999\r\n\r\n", b"a" * LARGEST_DOCUMENT * 2) == (
        "the document is too large"
    )
    assert answered(HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"fffff\r\n" + b"a" * 0xFFFFF) == (
        "the document is too large"
    )
    assert answered(HEAD, b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08").startswith("UnicodeDecodeError")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        HEAD + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
        HEAD + b"X: a\r\n" * 200 + b"\r\n",
        HEAD + b"Content-Length: 10\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_no_document(said: bytes) -> None:
    assert answered(said)


@pytest.mark.parametrize("begin", [b"", HEAD, HEAD + b"Content-Length: 1000\r\n\r\n"])
def test_a_server_that_trickles_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", 0.4)
    ended = threading.Event()

    def trickle(connected: socket.socket) -> None:
        connected.sendall(begin)
        while not ended.wait(0.05):
            connected.sendall(b"a")

    with answering(trickle) as port:
        began = time.monotonic()
        assert failure(f"http://127.0.0.1:{port}/") == "timed out"
        assert time.monotonic() - began < 2
        ended.set()


def test_a_server_that_says_nothing_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # also not a TLS greeting
        for scheme in ("http", "https"):
            assert failure(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/") == "timed out"


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert failure(f"http://127.0.0.1:{port}/") == "ConnectionRefusedError: [Errno 111] Connection refused"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_loopback_is_spoken_to_by_no_name_unless_private_issuers_are_allowed(issuer: Issuer, host: str) -> None:
    url = f"https://{host}:{issuer.port}/"
    assert failure(url, private=False) == "no address that may be spoken to"
    assert issuer.asked == []


@pytest.mark.parametrize(
    ("address", "public", "private"),
    [
        ("93.184.216.34", True, True),
        ("2606:2800:220:1::1", True, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("10.1.2.3", False, True),
        ("172.16.0.1", False, True),
        ("192.168.0.1", False, True),
        ("100.64.0.1", False, True),
        ("fd00::1", False, True),
        ("169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("fe80::1%1", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("ff02::1", False, False),
        ("::ffff:10.0.0.1", False, True),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::169.254.169.254", False, False),
        ("64:ff9b::10.0.0.1", False, True),
        ("2002:a9fe:a9fe::", False, False),
        ("2002:7f00:1::", False, True),
    ],
)
def test_which_addresses_may_be_spoken_to(address: str, public: bool, private: bool) -> None:
    assert may_be_spoken_to(ip_address(address), private=False) is public
    assert may_be_spoken_to(ip_address(address), private=True) is private


@pytest.mark.parametrize(
    ("url", "public", "private"),
    [
        ("https://ci.example/keys?a=b", True, True),
        ("https://[2606:2800:220:1::1]:8443", True, True),
        ("http://ci.example/keys", False, True),
        ("HTTPS://ci.example/", True, True),
        ("ftp://ci.example/", False, False),
        ("file:///etc/passwd", False, False),
        ("https:///keys", False, False),
        ("https://ci.example:99999/", False, False),
        ("https://name@ci.example/", False, False),
        ("https://ci.example/\r\nX: y", False, False),
        ("https://ci.example/a b", False, False),
        ("https://ci.\N{LATIN SMALL LETTER E WITH ACUTE}xample/", False, False),
        ("//ci.example/keys", False, False),
        ("", False, False),
    ],
)
def test_which_urls_are_fetched(url: str, public: bool, private: bool) -> None:
    assert is_fetchable(url, private=False) is public
    assert is_fetchable(url, private=True) is private
    if not private:
        assert "not an http" in failure(url)


def test_a_name_is_resolved_once_and_what_was_looked_at_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[str] = []
    connected: list[Any] = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
        """First harmless, then not: as a name that is out to lead inside."""
        resolved.append(host)
        harmless = [(0, 0, 0, "", (address, port)) for address in ("10.0.0.7", "93.184.216.34", "93.184.216.35")]
        return harmless if len(resolved) == 1 else [(0, 0, 0, "", ("127.0.0.1", port))]

    def create_connection(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError(f"{address[0]} refuses")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", create_connection)
    assert failure("https://ci.example/keys", private=False) == "ConnectionRefusedError: 93.184.216.35 refuses"
    assert resolved == ["ci.example"]
    assert connected == [("93.184.216.34", 443), ("93.184.216.35", 443)]


def test_https_wants_a_certificate_for_that_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificate, key = certificate_for(tmp_path, "localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    def speak(connected: socket.socket) -> None:
        connected.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")

    with answering(speak, tls) as port:
        assert "certificate verify failed" in failure(f"https://localhost:{port}/")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with answering(speak, tls) as port:
        assert fetch_json(f"https://localhost:{port}/", private=True) == {}
    with answering(speak, tls) as port:
        assert "certificate verify failed" in failure(f"https://127.0.0.1:{port}/")


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch, issuer: Issuer) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    issuer.say("/", {})
    assert fetch_json(issuer.url + "/", private=True) == {}
