"""Scanners, as a command and over HTTP: what they are given, and what becomes of those that misbehave."""

import json
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from estiva.digest import Digest
from estiva.reference import Tag
from registry import Registry
from registry.repositories import scans_on_push
from registry.scanning.findings import ReportError
from registry.scanning.scanners import CommandScanner, HttpScanner, Scanner, Target
from registry.scanning.scanning import Scanning
from registry.upstream.network import Network
from tests.fixtures.documents import CONFIG, image
from tests.fixtures.facts import NAME
from tests.fixtures.registry import push_blob, push_manifest

TARGET = Target("team/app", "sha256:" + "0" * 64, "application/x", ("1",))
REPORT = (
    b'{"SchemaVersion":2,"Results":[{"Target":"t","Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"HIGH"}]}]}'
)
GARBAGE = [b"", b"not JSON", b"[]", b"{}", b'{"SchemaVersion":2,"Results":7}', b"\xff\xfe", b"[" * 100_000]

Script = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """A program of this Python text: its command line, with the layout's folder."""

    def write(text: str) -> str:
        program = tmp_path / "scanner"
        program.write_text(f"#!{sys.executable}\nimport os, subprocess, sys, time\n{text}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return f"{program} {{layout}}"

    return write


@dataclass
class Server:
    """A scanner's server: what it answers, and what it was sent."""

    url: str = ""
    status: int = 200
    body: bytes = REPORT
    hangs: threading.Event = field(default_factory=threading.Event)
    """Set: it answers. Clear: it waits until it is."""
    sent: list[object] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Server]:
    told = Server()
    told.hangs.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            told.hangs.wait(60)
            with suppress(OSError):
                self.send_response(told.status)
                self.send_header("Content-Length", str(len(told.body)))
                self.end_headers()
                self.wfile.write(told.body)

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/scan"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield told
    finally:
        told.hangs.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def over_http(url: str, timeout: float = 30.0) -> HttpScanner:
    return HttpScanner(Network(private=True), url, timeout)


async def refusal(scanner: Scanner, layout: Path | None = None) -> str:
    with pytest.raises(ReportError) as refused:
        await scanner.scan(TARGET, layout)
    return str(refused.value)


async def test_a_command_gets_the_layout_and_the_targets_name(script: Script, tmp_path: Path) -> None:
    command = script("print(sys.argv[1], os.environ['ESTIVA_SCAN_TARGET'])")
    said = await CommandScanner(command, 30).scan(TARGET, tmp_path)
    assert said.decode().split() == [str(tmp_path), f"{TARGET.repository}@{TARGET.digest}"]


async def test_a_command_gets_no_setting_of_the_server(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESTIVA_ADMIN_PASSWORD", "a secret")
    command = script("print([name for name in os.environ if name.startswith('ESTIVA_')])")
    assert await CommandScanner(command, 30).scan(TARGET, tmp_path) == b"['ESTIVA_SCAN_TARGET']\n"


async def test_a_command_that_fails_says_why_in_its_last_line(script: Script, tmp_path: Path) -> None:
    command = script("print('first', file=sys.stderr); print('no database \\x1b[31m', file=sys.stderr); sys.exit(3)")
    assert await refusal(CommandScanner(command, 30), tmp_path) == "the scanner ended with 3: no database [31m"
    silent = script("sys.exit(4)")
    assert await refusal(CommandScanner(silent, 30), tmp_path) == "the scanner ended with 4: no word"


async def test_a_command_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    assert "can't be run: No such file" in await refusal(CommandScanner(f"{tmp_path}/none {{layout}}", 30), tmp_path)


async def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(script: Script, tmp_path: Path) -> None:
    child = tmp_path / "child"
    command = script(
        "started = subprocess.Popen(['sleep', '600'])\n"
        f"with open({str(child) + '.new'!r}, 'w') as file: file.write(str(started.pid))\n"
        f"os.rename({str(child) + '.new'!r}, {str(child)!r})\n"
        "time.sleep(600)"
    )
    assert await refusal(CommandScanner(command, 8), tmp_path) == "the scanner was not done after 8 s"
    pid = int(child.read_text())
    deadline = time.monotonic() + 30
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # ended, and nobody has asked how


async def test_a_report_that_is_too_long_is_none(
    script: Script, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.scanning.scanners.LARGEST_REPORT", 1000)
    command = script("print('x' * 1000)")
    assert await refusal(CommandScanner(command, 30), tmp_path) == "the scanner's report is too long"
    server.body = b"x" * 1001
    assert await refusal(over_http(server.url))


async def test_a_server_is_told_what_to_scan(server: Server) -> None:
    assert await over_http(server.url).scan(TARGET, None) == REPORT
    asked = {"repository": "team/app", "digest": TARGET.digest, "mediaType": "application/x", "tags": ["1"]}
    assert server.sent == [asked]


@pytest.mark.parametrize("status", [204, 302, 404, 500])
async def test_a_server_that_refuses_is_told_of(server: Server, status: int) -> None:
    server.status = status
    server.body = b""
    assert str(status) in await refusal(over_http(server.url))


async def test_a_server_that_hangs_is_not_waited_for_for_ever(server: Server) -> None:
    server.hangs.clear()
    assert await refusal(over_http(server.url, 0.5)) == "the scanner did not answer within 0 s"


async def test_a_server_that_is_not_there_is_told_of() -> None:
    with serving() as gone:
        url = gone.url
    assert "can't be reached" in await refusal(over_http(url))


@pytest.fixture
def scanning(registry: Registry) -> Iterator[Callable[[Scanner], Scanning]]:
    """Scanning by that scanner."""
    with ThreadPoolExecutor(2) as threads:

        def make(scanner: Scanner) -> Scanning:
            given = registry.scanning
            return Scanning(given.database, given.pulling, threads, scanner, scans_on_push)

        yield make


async def pushed(registry: Registry) -> Digest:
    await push_blob(registry, CONFIG.encode(), NAME)
    return await push_manifest(registry, image(CONFIG.encode()), "1", name=NAME)


async def test_a_scan_over_http_shows_what_was_found(
    registry: Registry, server: Server, scanning: Callable[[Scanner], Scanning]
) -> None:
    digest = await pushed(registry)
    by_http = scanning(over_http(server.url))
    assert await by_http.start(NAME, Tag("1")) == digest
    await by_http.worker()()
    _, scan = await by_http.find(NAME, digest)
    assert (scan.status, scan.counts) == ("COMPLETE", {"HIGH": 1})
    found = await by_http.findings(NAME, digest, 0, 10)
    assert [finding["name"] for _, finding in found] == ["CVE-1"]


async def test_a_scan_by_a_command_sees_the_image(
    registry: Registry, script: Script, scanning: Callable[[Scanner], Scanning]
) -> None:
    digest = await pushed(registry)
    name = Digest.of(CONFIG.encode()).hex
    command = script(
        f"assert os.path.getsize(sys.argv[1] + '/blobs/sha256/{name}') == {len(CONFIG)}\n"
        f"assert os.path.exists(sys.argv[1] + '/blobs/sha256/{digest.hex}')\n"
        f"print({REPORT.decode()!r})"
    )
    by_command = scanning(CommandScanner(command, 30))
    await by_command.start(NAME, digest)
    await by_command.worker()()
    assert (await by_command.find(NAME, digest))[1].status == "COMPLETE"


@pytest.mark.parametrize("garbage", range(len(GARBAGE)))
async def test_garbage_makes_a_scan_that_failed_and_says_so(
    registry: Registry, server: Server, scanning: Callable[[Scanner], Scanning], garbage: int
) -> None:
    digest = await pushed(registry)
    server.body = GARBAGE[garbage]
    by_http = scanning(over_http(server.url))
    await by_http.start(NAME, digest)
    worker = replace(by_http.worker(), attempts=2, first_delay=0)
    await worker()
    assert len(server.sent) == 2
    _, scan = await by_http.find(NAME, digest)
    assert scan.status == "FAILED"
    assert scan.description
    assert await by_http.findings(NAME, digest, 0, 10) == []
    # And it can be asked for again.
    server.body = REPORT
    await by_http.start(NAME, digest)
    await worker()
    assert (await by_http.find(NAME, digest))[1].status == "COMPLETE"
