"""A start that fails ends with one line for a person and an exit code for a program."""

import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from estiva.cli.app import build
from estiva_server import serve
from estiva_server.config import load
from estiva_server.serve import StartError, run
from tests.estiva_server.process import ended, serving


def one_line(code: int, outcome: tuple[int, str, str]) -> str:
    """What a failed start says on standard error; nothing else may be there."""
    ended_with, out, err = outcome
    assert (ended_with, out, err.count("\n")) == (code, "", 1), outcome
    assert err.startswith("estiva: ")
    return err.removeprefix("estiva: ").strip()


@pytest.fixture
def taken() -> Iterator[str]:
    """An address where somebody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """Starts with these settings, in this process, and gives what the start is refused with."""
    monkeypatch.setattr(serve, "configure", lambda level: None)  # the log stays pytest's
    monkeypatch.chdir(tmp_path)

    def start(**settings: object) -> str:
        with pytest.raises(StartError) as refused:
            run(load(**{"data": Path("data"), "listen": "127.0.0.1:0", **settings}))  # type: ignore[arg-type]
        assert "\n" not in str(refused.value)
        return str(refused.value)

    return start


def test_a_start_that_fails_is_exit_code_1_and_no_traceback(tmp_path: Path, taken: str) -> None:
    said = one_line(1, ended(tmp_path, "--listen", taken))
    assert said == f"cannot listen on {taken}: Address already in use"
    assert not (tmp_path / "estiva-data").exists()


def test_a_setting_that_makes_no_sense_is_exit_code_2_and_no_traceback(tmp_path: Path) -> None:
    said = one_line(2, ended(tmp_path, environment={"ESTIVA_WROKERS": "2"}))
    assert said == "unknown setting in the environment: ESTIVA_WROKERS"


@pytest.mark.parametrize("arguments", [["--config", "none.toml"], ["--listen", "nowhere"]])
def test_each_wrong_flag_is_exit_code_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(build(), ["serve", *arguments])
    assert (outcome.exit_code, outcome.stdout, outcome.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "x" * 300, "a..b"])
def test_an_address_that_is_not_this_machines(refusal: Callable[..., str], host: str) -> None:
    assert refusal(listen=f"{host}:5000").startswith(f"cannot listen on {host}:5000: ")


@pytest.mark.parametrize("data", ["file", "file/below", "/proc/self/fdinfo"])
def test_a_data_directory_that_can_not_be_made_or_written_to(
    refusal: Callable[..., str], tmp_path: Path, data: str
) -> None:
    (tmp_path / "file").write_text("not a directory")
    assert refusal(data=Path(data)).startswith(f"cannot use data directory {data}: ")


@pytest.mark.parametrize("name", ["blobs", "uploads"])
@pytest.mark.parametrize("workers", [1, 2])
def test_something_else_in_the_place_of_a_directory(
    refusal: Callable[..., str], tmp_path: Path, name: str, workers: int
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text("not a directory")
    assert refusal(workers=workers).startswith("cannot use data directory data: ")


def test_a_directory_in_the_place_of_the_database(refusal: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "data" / "estiva.db").mkdir(parents=True)
    assert refusal() == "cannot use database data/estiva.db: unable to open database file"


def test_a_database_that_is_none(refusal: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "estiva.db").write_bytes(b"not a database, whatever its name says" * 100)
    assert refusal() == "cannot use database data/estiva.db: file is not a database"


def test_a_database_of_a_later_version_is_left_alone(refusal: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "data" / "estiva.db"
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    before = file.read_bytes()
    assert refusal().startswith("cannot use database data/estiva.db: its schema is of another version: ")
    assert file.read_bytes() == before


def test_a_start_says_where_it_listens_and_the_next_finds_what_it_left(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        host = f"127.0.0.1:{served.port}"
        said = served.out.read_text()
        assert f"http://{host} from {served.data}" in said
        for line in (f"docker tag IMAGE {host}/hello:1", f"docker push {host}/hello:1", f"docker pull {host}/hello:1"):
            assert f"  {line}\n" in said
        assert served.ask("POST", "/v2/kept/blobs/uploads/").status == 202
    with serving(tmp_path, environment={"ESTIVA_ACCESS_LOG": "false", "ESTIVA_LOG_LEVEL": "error"}) as served:
        assert served.ask("GET", "/v2/_catalog").body == b'{"repositories":["kept"]}'
    assert served.access_log() == []
    assert served.err.read_text() == ""
    assert (served.data.stat().st_mode & 0o777) == 0o700
