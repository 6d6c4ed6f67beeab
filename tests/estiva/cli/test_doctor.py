"""`estiva doctor`: what it says of a registry that works, and of each way in which one can't be used."""

import json
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from estiva.cli import dockers
from estiva.cli.surroundings import Target, surroundings
from estiva.connections import Connections
from estiva.credentials import Credential, DockerConfig
from tests.auth.certificate import certificate_for
from tests.estiva.cli.command import KEY_ID, KEY_SECRET, Estiva, Outcome
from tests.security.secured import Secured
from tests.serving import registry_running

Answers = dict[str, tuple[int, dict[str, str], bytes]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home with nothing in it, and no docker."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def findings(outcome: Outcome) -> dict[str, tuple[str, str]]:
    """What it found, by check."""
    return {entry["check"]: (entry["outcome"], entry["text"]) for entry in json.loads(outcome.out)}


def docker_that_says(folder: Path, text: str, code: int = 0) -> None:
    program = folder / "bin" / "docker"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{text}'\nexit {code}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@contextmanager
def answering(answers: Answers) -> Iterator[str]:
    """A server on loopback that answers these paths; its host and port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answers.get(self.path, (404, {}, b""))
            self.send_response_only(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_all_is_well(estiva: Estiva) -> None:
    outcome = estiva("doctor", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found = findings(outcome)
    assert {name for name, (outcome, _) in found.items() if outcome == "ok"} >= {
        *("credential", "proxy", "connection", "registry", "sign-in", "server")
    }
    assert found["sign-in"][1] == f"{KEY_ID} is let in"
    assert found["docker"] == ("skipped", "it is not installed here")


def test_people_read_a_line_for_each_check(estiva: Estiva) -> None:
    rows = {row[1]: row for row in estiva.done("doctor").table()}
    assert [*rows] == ["credential", "proxy", "connection", "clock", "registry", "sign-in", "server", "docker"]
    assert rows["sign-in"] == ["ok", "sign-in", KEY_ID, "is", "let", "in"]


def test_credentials_are_found_where_docker_keeps_them(registry: Secured, estiva: Estiva, tmp_path: Path) -> None:
    host = registry.registry.host
    nobody = Estiva({**estiva.environment, "ESTIVA_PASSWORD": ""})
    found = findings(nobody("doctor", "--json"))
    assert found["credential"][0] == "warning"
    assert f"`estiva login {host}`" in found["credential"][1]
    assert found["sign-in"] == ("ok", "nobody in particular is let in")
    DockerConfig().store(host, Credential(KEY_ID, KEY_SECRET))
    found = findings(nobody("doctor", host, "--json"))
    assert found["credential"] == ("ok", f"{KEY_ID}, from {tmp_path / 'docker' / 'config.json'}")
    assert found["sign-in"][0] == "ok"


def test_a_wrong_password_is_told(registry: Secured, estiva: Estiva) -> None:
    DockerConfig().store(registry.registry.host, Credential(KEY_ID, "wrong"))
    outcome = Estiva({**estiva.environment, "ESTIVA_PASSWORD": ""})("doctor", "--json")
    assert (outcome.code, outcome.err) == (1, "estiva: 1 of 8 checks failed: sign-in\n")
    assert f"`estiva login {registry.registry.host}`" in findings(outcome)["sign-in"][1]


def test_a_docker_configuration_that_is_none(estiva: Estiva, tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text("{")
    outcome = Estiva({**estiva.environment, "ESTIVA_PASSWORD": ""})("doctor", "--json")
    assert outcome.code == 1
    assert "DOCKER_CONFIG" in findings(outcome)["credential"][1]


def test_nobody_listens(estiva: Estiva) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        outcome = estiva("doctor", f"127.0.0.1:{bound.getsockname()[1]}", "--json")
    assert (outcome.code, outcome.err) == (1, "estiva: 1 of 4 checks failed: connection\n")
    assert "nobody listens there" in findings(outcome)["connection"][1]
    assert "sign-in" not in findings(outcome)


def test_a_name_that_nobody_knows(estiva: Estiva) -> None:
    outcome = estiva("doctor", "registry.invalid", "--json")
    assert "check the name" in findings(outcome)["connection"][1]


def test_a_proxy_that_is_not_there(estiva: Estiva) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        proxy = f"127.0.0.1:{bound.getsockname()[1]}"
        found = findings(estiva("doctor", "registry.invalid", "--json", HTTPS_PROXY=f"http://me:secret@{proxy}"))
    assert found["proxy"] == ("ok", f"{proxy}, as the environment says; NO_PROXY=registry.invalid goes without it")
    assert f"cannot reach the proxy {proxy}" in found["connection"][1]
    assert "secret" not in str(found)


def test_what_is_no_registry(estiva: Estiva) -> None:
    with answering({}) as host:
        outcome = estiva("doctor", host, "--json")
    assert "that is no registry" in findings(outcome)["registry"][1]
    assert outcome.code == 1


def test_another_registry_is_none_of_estiva(estiva: Estiva) -> None:
    with answering({"/v2/": (200, {}, b"{}")}) as host:
        found = findings(estiva("doctor", host, "--json"))
    assert found["sign-in"] == ("ok", "nobody in particular is let in")
    assert (found["server"][0], found["clock"][0]) == ("skipped", "skipped")


@pytest.mark.parametrize(
    ("status", "told", "outcome", "said"),
    [
        (503, {"status": "unavailable", "reason": "database"}, "failed", "not ready (database)"),
        (200, {"status": "ready", "pushes": "refused"}, "warning", "takes no pushes"),
        (200, {"status": "ready", "pushes": "taken"}, "ok", "ready"),
    ],
    ids=["not ready", "nearly full", "ready"],
)
def test_what_a_server_says_of_its_readiness(
    estiva: Estiva, status: int, told: dict[str, str], outcome: str, said: str
) -> None:
    answers: Answers = {"/v2/": (200, {}, b"{}"), "/readyz": (status, {}, json.dumps(told).encode())}
    with answering(answers) as host:
        found = findings(estiva("doctor", host, "--json"))
    assert found["server"][0] == outcome
    assert said in found["server"][1]


@pytest.mark.parametrize(
    ("ahead", "outcome", "said"),
    [(0.0, "ok", "the same"), (30.0, "warning", "30 seconds behind"), (-3600.0, "failed", "3599 seconds ahead of")],
    ids=["same", "behind", "far ahead"],
)
def test_clocks_that_differ(ahead: float, outcome: str, said: str) -> None:
    answers: Answers = {"/v2/": (200, {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}, b"{}")}
    here = 1_767_225_600.0 - ahead
    connections = Connections()
    with answering(answers) as host:
        target = Target(host, f"http://{host}", lambda _: None, given=False)
        found = {finding.check: finding for finding in surroundings(target, connections, lambda: here)}
    connections.close()
    assert found["clock"].outcome == outcome
    assert said in found["clock"].text


def test_certificates_are_looked_at(estiva: Estiva, tmp_path: Path) -> None:
    certificate, key = certificate_for(tmp_path, "127.0.0.1")
    with registry_running(tmp_path, certificate=(certificate, key)) as registry:
        url = f"https://{registry.host}"
        untrusted = estiva("doctor", url, "--json")
        assert untrusted.code == 1
        assert "--ca-file" in findings(untrusted)["connection"][1]
        elsewhere = findings(estiva("doctor", url, "--json", SSL_CERT_FILE="/nowhere/ca.pem"))
        assert "SSL_CERT_FILE=/nowhere/ca.pem is not there" in elsewhere["connection"][1]
        trusted = estiva("--ca-file", str(certificate), "doctor", url, "--json")
        assert trusted.code == 0
        assert findings(trusted)["certificate"][0] == "warning"
        assert "have it renewed" in findings(trusted)["certificate"][1]
        docker_that_says(tmp_path, "")
        assert "ca.crt" in findings(estiva("doctor", url, "--json", ESTIVA_CA_FILE=str(certificate)))["docker"][1]


def test_plain_http_where_tls_is_expected(registry: Secured, estiva: Estiva) -> None:
    outcome = estiva("doctor", f"https://{registry.registry.host}", "--json")
    assert "--plain-http" in findings(outcome)["connection"][1]


@pytest.mark.parametrize(
    ("says", "code", "outcome"),
    [
        ("{}", 0, "warning"),
        ('{"InsecureRegistryCIDRs": ["127.0.0.0/8", "192.0.2.0/24"]}', 0, "ok"),
        ('{"IndexConfigs": {"192.0.2.7:5000": {"Secure": false}}}', 0, "ok"),
        ("", 1, "warning"),
    ],
    ids=["not entered", "by network", "by name", "no daemon"],
)
def test_docker_and_plain_http(tmp_path: Path, says: str, code: int, outcome: str) -> None:
    docker_that_says(tmp_path, says, code)
    found = dockers.docker("http", "192.0.2.7:5000", own_authority=False)
    assert found.outcome == outcome
    assert outcome == "ok" or '"insecure-registries": ["192.0.2.7:5000"]' in found.text


def test_docker_speaks_plain_http_to_this_machine(tmp_path: Path) -> None:
    docker_that_says(tmp_path, "", 1)
    assert dockers.docker("http", "localhost:5001", own_authority=False).outcome == "ok"
    assert dockers.docker("https", "registry.example.com", own_authority=False).outcome == "ok"


def test_wrong_usage(estiva: Estiva) -> None:
    assert estiva("doctor", "registry.example.com", "--here").code == 2
    assert estiva("doctor", "--data", "there").code == 2
    assert estiva("doctor", "ftp://registry.example.com").code == 2
