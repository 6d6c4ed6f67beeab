"""How commands fail: one line for a person, an exit code for a program, and nothing that a terminal would obey."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.auth.issuer import Issuer, issuing
from tests.estiva.cli.command import KEY_ID, Estiva
from tests.security.secured import statement
from tests.serving import ESTIVA, free_port

NOUNS = {
    "users": {"ls", "show", "create", "import-htpasswd", "password", "disable", "enable", "attach", "detach", "rm"},
    "robots": {"ls", "show", "create", "renew", "disable", "enable", "attach", "detach", "rm"},
    "keys": {"ls", "create", "disable", "enable", "rm"},
    "groups": {"ls", "show", "create", "add", "take", "attach", "detach", "rm"},
    "policies": {"ls", "show", "put", "rm"},
    "issuers": {"ls", "put", "rm"},
}


@pytest.fixture
def stranger() -> Iterator[Issuer]:
    """A web server that is no estiva server."""
    with issuing() as server:
        yield server


def asking(estiva: Estiva, server: str) -> str:
    return estiva.failed("users", "ls", ESTIVA_SERVER=server)


def test_a_server_that_can_not_be_reached(estiva: Estiva) -> None:
    port = free_port()
    assert asking(estiva, f"http://127.0.0.1:{port}").startswith(f"cannot reach http://127.0.0.1:{port}: ")
    for url in ("http://no.such.host.invalid", "http://[", "http://a:port"):
        assert asking(estiva, url).startswith("cannot reach")


def test_an_address_that_does_not_fit_says_how_it_has_to_begin(estiva: Estiva) -> None:
    url = estiva.environment["ESTIVA_SERVER"]
    said = asking(estiva, url.replace("http:", "https:"))
    assert said.endswith("it speaks HTTP without TLS there; --server (ESTIVA_SERVER) has to begin with http:// then")
    assert "plain-http" not in said
    for address in (url.removeprefix("http://"), f"ftp://{url}", "nonsense"):
        assert asking(estiva, address).endswith(
            "is no server: --server (ESTIVA_SERVER) begins with http:// or https://"
        )


def test_a_wrong_password_or_none(estiva: Estiva) -> None:
    said = estiva.failed("users", "ls", ESTIVA_PASSWORD="wrong")
    assert said == "invalid username or password; ESTIVA_USERNAME and ESTIVA_PASSWORD say who asks"
    assert estiva.failed("users", "ls", ESTIVA_PASSWORD="").startswith("no password: set ESTIVA_PASSWORD")


def test_a_right_that_is_lacking(estiva: Estiva) -> None:
    estiva.done("users", "create", "nobody", "--password", "a password of nobody")
    nobody = Estiva({**estiva.environment, "ESTIVA_USERNAME": "nobody", "ESTIVA_PASSWORD": "a password of nobody"})
    assert nobody.failed("users", "ls") == "requested access to the resource is denied (not allowed by policy)"
    nobody.done("users", "password", "nobody", "--new", "another password")


@pytest.mark.parametrize(
    "arguments",
    [
        ["users", "show", "none"],
        ["users", "rm", "none"],
        ["users", "disable", "none"],
        ["users", "attach", "admin", "none"],
        ["robots", "renew", "none"],
        ["robots", "show", "admin"],
        ["keys", "ls", "none"],
        ["keys", "create", "none", "--robot"],
        ["keys", "rm", "admin", "none"],
        ["keys", "disable", "admin", "none"],
        ["keys", "enable", "none", "none"],
        ["groups", "show", "none"],
        ["groups", "add", "none", "admin"],
        ["policies", "show", "none"],
        ["policies", "rm", "none"],
        ["issuers", "rm", "none"],
    ],
)
def test_a_name_that_nobody_has(estiva: Estiva, arguments: list[str]) -> None:
    assert estiva.failed(*arguments).startswith("no such identity")


def test_a_name_that_is_taken_or_none(estiva: Estiva) -> None:
    assert estiva.failed("users", "create", "admin", "--password", "long enough").startswith("the name is taken")
    assert estiva.failed("users", "create", "No Name", "--password", "long enough")
    assert estiva.failed("users", "create", "short", "--password", "short")
    assert estiva.failed("robots", "create", "r", "--expires-in", "-1")
    assert estiva.failed("robots", "create", "r", "--repository", "a")


def test_a_document_that_is_none(estiva: Estiva, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    said = []
    for content in (b"", b"{", b"[]", b"{}", statement("ecr:*", "*", "Perhaps").encode(), b'{"Version": "2012-10-17"}'):
        file.write_bytes(content)
        said.append(estiva.failed("policies", "put", "p", str(file)))
        said.append(estiva.failed("issuers", "put", "i", str(file)))
    assert all(said)
    file.write_bytes(b"\xff")
    for document, given in ((str(file), b""), ("-", b"\xff")):
        assert estiva.failed("policies", "put", "p", document, given=given) == f"cannot read {document}: not text"
    assert estiva.failed("policies", "put", "p", f"{tmp_path}/none").endswith("none: No such file or directory")
    assert estiva.failed("policies", "put", "p", str(tmp_path)).endswith(": Is a directory")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b"null", b'{"users": 7}', b"\xff", b""])
def test_a_server_that_is_none_of_ours(estiva: Estiva, stranger: Issuer, body: bytes) -> None:
    stranger.say("/api/v1/users?n=1000&last=", body)
    assert asking(estiva, stranger.url) == "that is no estiva server: it answers with something else"


def test_a_server_that_refuses_in_its_own_way(estiva: Estiva, stranger: Issuer) -> None:
    assert asking(estiva, stranger.url) == "the server answered 404"
    for status in (301, 502):
        stranger.say("/api/v1/users?n=1000&last=", b"<html>", status, Location="http://127.0.0.1/")
        assert asking(estiva, stranger.url) == f"the server answered {status}"


def test_pages_that_lead_nowhere_have_an_end(estiva: Estiva, stranger: Issuer) -> None:
    page = [{"name": f"user{number:04}"} for number in range(1000)]
    for last in ("", "user0999"):
        stranger.say(f"/api/v1/users?n=1000&last={last}", {"users": page})
    assert asking(estiva, stranger.url) == "the server's pages do not go on"


def test_nothing_that_is_shown_drives_the_terminal(estiva: Estiva, stranger: Issuer) -> None:
    evil = "\x1b]0;title\x07\x1b[2Ja\r\nb\N{RIGHT-TO-LEFT OVERRIDE}"
    record = {"id": 1, "at": 1.0, "actor": evil, "address": "", "action": evil, "target": evil, "detail": {"a": evil}}
    stranger.say("/api/v1/audit?last=", {"records": [record]})
    shown = estiva("audit", ESTIVA_SERVER=stranger.url)
    assert shown.code == 0
    assert len(shown.out.splitlines()) == 2
    assert all(character.isprintable() or character == "\n" for character in shown.out)
    stranger.say("/api/v1/audit?last=", {"errors": [{"message": evil, "detail": {"a": [evil]}}]}, 403)
    said = estiva.failed("audit", ESTIVA_SERVER=stranger.url)
    assert said.isprintable()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["users", "nonsense"],
        ["users", "show"],
        ["users", "ls", "--nonsense"],
        ["robots", "create", "r", "--expires-in", "soon"],
        ["audit", "--before", "yesterday"],
        ["--nonsense"],
    ],
)
def test_wrong_usage_is_exit_code_2(estiva: Estiva, arguments: list[str]) -> None:
    outcome = estiva(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Usage: estiva" in outcome.err


def test_help_names_every_noun_and_each_nouns_every_verb(estiva: Estiva) -> None:
    whole = estiva.done("--help").out
    for word in (*NOUNS, "audit", "serve", "ESTIVA_SERVER", "ESTIVA_USERNAME", "ESTIVA_PASSWORD", "--json"):
        assert word in whole
    for noun, verbs in NOUNS.items():
        shown = estiva.done(noun, "--help").out
        assert {verb for verb in verbs if f" {verb} " in shown} == verbs
        for verb in verbs:
            assert f"Usage: estiva {noun} {verb} " in estiva.done(noun, verb, "--help").out


def test_a_process_of_its_own_ends_the_same_way(estiva: Estiva) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        environment = {**os.environ, **estiva.environment}
        done = subprocess.run(
            [ESTIVA, *arguments], capture_output=True, text=True, timeout=60, env=environment, check=False
        )
        return done.returncode, done.stdout, done.stderr

    assert run("users", "show", "none")[::2] == (
        1,
        "estiva: no such identity (user: none); `estiva users ls` lists what there is\n",
    )
    code, out, err = run("--json", "users", "show", "admin")
    assert (code, json.loads(out)["name"], err) == (0, "admin", "")


def test_verbs_start_without_the_servers_weight() -> None:
    look = """
import sys
from estiva.cli.app import build
build()
print([name for name in ("pydantic", "sqlalchemy", "starlette", "uvicorn", "httpx2", "rich") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_passwords_that_are_asked_for_are_not_shown(estiva: Estiva) -> None:
    terminal, end = os.openpty()
    environment = {**os.environ, **estiva.environment, "ESTIVA_PASSWORD": "", "PYTHONWARNINGS": "ignore"}
    command = [str(ESTIVA), "users", "create", "typed"]
    with subprocess.Popen(
        command, stdin=end, stdout=end, stderr=end, env=environment, start_new_session=True
    ) as typing:
        os.close(end)
        shown = ""
        for question, secret in (
            ("Password: ", "a typed password"),
            ("Repeat for confirmation: ", "a typed password"),
            (f"Password of {KEY_ID}: ", estiva.environment["ESTIVA_PASSWORD"]),
        ):
            while not shown.endswith(question):
                shown += os.read(terminal, 1024).decode()
            os.write(terminal, f"{secret}\n".encode())
        while "created_at" not in shown:
            shown += os.read(terminal, 1024).decode()
        assert typing.wait(20) == 0
        os.close(terminal)
    assert "a typed password" not in shown
    assert estiva.environment["ESTIVA_PASSWORD"] not in shown
    assert estiva.json("users", "show", "typed")["name"] == "typed"
