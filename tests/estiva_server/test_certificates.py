"""TLS: with the certificate of the moment, and never with half of one."""

import asyncio
import contextlib
import hashlib
import http.client
import logging
import os
import shutil
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from estiva_server.certificates import CertificateError, Certificates
from tests.auth.certificate import certificate_for
from tests.estiva_server.process import ended, eventually
from tests.serving import ESTIVA, free_port
from tests.tools import running

HOST = "127.0.0.1"
NAMES = ("first", "second", "third")
Files = tuple[Path, Path]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Certificate and key that a server uses."""
    files = tmp_path / "tls.crt", tmp_path / "tls.key"
    renewed(files, "first")
    return files


def renewed(files: Files, name: str) -> None:
    """Put a certificate of that name in the place of another, as those do who renew: by renaming."""
    for new, place in zip(certificate_for(files[0].parent, HOST, name), files, strict=True):
        shutil.move(new, place)


def trusting_anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def shown_at(port: int, server_name: str | None = None, context: ssl.SSLContext | None = None) -> str:
    """The name in the certificate that a new connection is shown."""
    with socket.create_connection((HOST, port), 20) as connection:
        tls = context or trusting_anybody()
        with tls.wrap_socket(connection, server_hostname=server_name) as secured:
            certificate = secured.getpeercert(binary_form=True) or b""
    return next(name for name in NAMES if name.encode() in certificate)


@contextlib.asynccontextmanager
async def serving_with(certificates: Certificates) -> AsyncIterator[int]:
    """A server that shows them; gives its port."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(hang_up, HOST, 0, ssl=certificates.context) as server:
        yield server.sockets[0].getsockname()[1]


Work = Callable[[Certificates, Files], Coroutine[Any, Any, None]]


async def renews(certificates: Certificates, files: Files) -> None:
    async with serving_with(certificates) as port:
        assert await asyncio.to_thread(shown_at, port) == "first"
        renewed(files, "second")
        assert await asyncio.to_thread(shown_at, port) == "first"
        await certificates.renew()
        for name in (None, "registry.example", HOST):
            assert await asyncio.to_thread(shown_at, port, name) == "second"
        renewed(files, "third")
        await certificates.renew()
        assert await asyncio.to_thread(shown_at, port) == "third"


async def keeps_what_works(certificates: Certificates, files: Files) -> None:
    good = [file.read_bytes() for file in files]
    other = certificate_for(files[0].parent, HOST, "second")
    async with serving_with(certificates) as port:

        async def tried() -> None:
            for _ in range(3):
                await certificates.renew()
                assert await asyncio.to_thread(shown_at, port) == "first"

        shutil.copy(other[0], files[0])  # the key comes later, or never
        await tried()
        files[0].write_bytes(b"")
        await tried()
        files[0].write_bytes(good[0][:200])
        await tried()
        files[1].unlink()
        await tried()
        shutil.copy(other[0], files[0])
        shutil.copy(other[1], files[1])
        await certificates.renew()
        assert await asyncio.to_thread(shown_at, port) == "second"


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop])
@pytest.mark.parametrize("work", [renews, keeps_what_works])
def test_handshakes_see_the_certificate_of_the_moment_and_a_broken_one_never(
    files: Files, loop: Callable[[], asyncio.AbstractEventLoop], work: Work
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work(Certificates(*files), files))


async def test_a_renewal_that_fails_is_told_once_and_not_every_five_seconds(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "estiva.tls")
    certificates = Certificates(*files)
    good = files[1].read_bytes()
    files[1].unlink()
    for _ in range(3):
        await certificates.renew()
    files[1].write_bytes(b"no key")
    for _ in range(3):
        await certificates.renew()
    files[1].write_bytes(good)
    for _ in range(3):
        await certificates.renew()
    said = [record.message for record in caplog.records]
    assert said == [
        f"certificate not renewed: cannot read {files[1]}: No such file or directory",
        *[line for line in said if line.startswith("certificate not renewed: cannot use certificate and key ")],
        "certificate renewed",
    ]
    assert len(said) == 3


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_is_1_2_or_1_3(files: Files, version: ssl.TLSVersion) -> None:
    certificates = Certificates(*files)
    assert certificates.context.minimum_version is ssl.TLSVersion.TLSv1_2
    context = trusting_anybody()
    context.minimum_version = context.maximum_version = version
    async with serving_with(certificates) as port:
        assert await asyncio.to_thread(shown_at, port, None, context) == "first"


def test_files_that_can_not_be_used_are_refused(files: Files, tmp_path: Path) -> None:
    other, locked = certificate_for(tmp_path, HOST, "other"), certificate_for(tmp_path, HOST, "locked", b"secret")
    nothing = tmp_path / "nothing"
    for certificate, key in (
        (files[0], other[1]),
        (files[1], files[0]),
        (files[0], files[0]),
        locked,  # and nobody is asked for its password
        (nothing, files[1]),
        (files[0], nothing),
        (tmp_path, tmp_path),
    ):
        with pytest.raises(CertificateError) as refused:
            Certificates(certificate, key)
        assert "\n" not in str(refused.value)


def test_a_start_with_files_that_do_not_fit_is_exit_code_1_and_one_line(files: Files, tmp_path: Path) -> None:
    other = certificate_for(tmp_path, HOST, "other")
    environment = {"ESTIVA_TLS_CERTIFICATE": str(files[0]), "ESTIVA_TLS_KEY": str(other[1]), "ESTIVA_WORKERS": "2"}
    said = ended(tmp_path, "--listen", "127.0.0.1:0", environment=environment)
    reason = f"cannot use certificate and key {files[0]} and {other[1]}: KEY_VALUES_MISMATCH"
    assert said == (1, "", f"estiva: {reason}\n")


def test_blobs_go_both_ways_over_tls_while_the_certificate_is_renewed(files: Files, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    environment = {"ESTIVA_TLS_CERTIFICATE": str(files[0]), "ESTIVA_TLS_KEY": str(files[1]), "ESTIVA_OPEN": "true"}
    blob = os.urandom(20 << 20)
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    command: list[str | Path] = [ESTIVA, "serve", "--data", tmp_path / "data", "--listen", f"{HOST}:{port}"]
    with running(command, log, environment=environment):
        eventually(lambda: is_up(port))
        assert f"https://{HOST}:{port} " in log.read_text()
        client = http.client.HTTPSConnection(HOST, port, timeout=60, context=trusting_anybody())
        with contextlib.closing(client):
            client.request("GET", "/healthz")
            assert client.getresponse().read()
            renewed(files, "second")
            for method, path, body in (
                ("POST", f"/v2/big/blobs/uploads/?digest={digest}", blob),
                ("GET", f"/v2/big/blobs/{digest}", None),
            ):
                client.request(method, path, body)
                answer = client.getresponse()
                received = answer.read()
                assert answer.status == (201 if body else 200)
            assert hashlib.sha256(received).hexdigest() == digest.removeprefix("sha256:")
            client.request("GET", f"/v2/big/blobs/{digest}", headers={"Range": "bytes=1000000-19999999"})
            assert client.getresponse().read() == blob[1_000_000:20_000_000]
            eventually(lambda: shown_at(port) == "second", 8)
            client.request("GET", "/healthz")
            assert client.getresponse().status == 200
        assert "Traceback" not in log.read_text()


def test_a_handshake_that_does_not_come_ends_with_the_header_timeout(files: Files, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    environment = {"ESTIVA_TLS_CERTIFICATE": str(files[0]), "ESTIVA_TLS_KEY": str(files[1]),
                   "ESTIVA_OPEN": "true", "ESTIVA_HEADER_TIMEOUT": "1"}  # fmt: skip
    command: list[str | Path] = [ESTIVA, "serve", "--data", tmp_path / "data", "--listen", f"{HOST}:{port}"]
    with running(command, log, environment=environment):
        eventually(lambda: is_up(port))
        for said in (b"", b"\x16\x03\x01\x02\x00\x01"):
            begun = time.monotonic()
            with socket.create_connection((HOST, port), timeout=30) as silent:
                silent.sendall(said)
                with contextlib.suppress(ConnectionResetError):
                    assert silent.recv(100) == b""
            assert 0.5 < time.monotonic() - begun < 15
        assert is_up(port)
        assert "Traceback" not in log.read_text()


def is_up(port: int) -> bool:
    try:
        return shown_at(port) == "first"
    except OSError:
        return False
