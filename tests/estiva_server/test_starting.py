"""A start that fails ends with one line for a person and an exit code for a program."""

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

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


def test_a_port_in_use_is_exit_code_1(tmp_path: Path, taken: str) -> None:
    said = one_line(1, ended(tmp_path, "--listen", taken))
    assert said == f"cannot listen on {taken}: Address already in use"
    assert not (tmp_path / "estiva-data").exists()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "x" * 300])
def test_an_address_that_is_not_this_machines_is_exit_code_1(tmp_path: Path, host: str) -> None:
    assert one_line(1, ended(tmp_path, "--listen", f"{host}:5000")).startswith(f"cannot listen on {host}:5000: ")


def test_a_data_directory_that_can_not_be_made_is_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    for data in ("file", "file/below"):
        said = one_line(1, ended(tmp_path, "--data", data, "--listen", "127.0.0.1:0"))
        assert said.startswith(f"cannot use data directory {data}: ")


def test_a_data_directory_that_can_not_be_written_to_is_exit_code_1(tmp_path: Path) -> None:
    said = one_line(1, ended(tmp_path, "--data", "/proc/self/fdinfo", "--listen", "127.0.0.1:0"))
    assert said.startswith("cannot use data directory /proc/self/fdinfo: ")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_something_else_in_the_place_of_the_blobs_is_exit_code_1(tmp_path: Path, workers: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "blobs").write_text("not a directory")
    said = one_line(1, ended(tmp_path, "--data", "data", "--listen", "127.0.0.1:0", "--workers", workers))
    assert said.startswith("cannot use data directory data: ")


@pytest.mark.parametrize("content", [b"not a database, whatever its name says" * 100, None])
def test_a_database_that_is_none_is_exit_code_1(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "data" / "estiva.db"
    if content is None:
        file.mkdir(parents=True)
    else:
        file.parent.mkdir()
        file.write_bytes(content)
    said = one_line(1, ended(tmp_path, "--data", "data", "--listen", "127.0.0.1:0"))
    assert said.startswith("cannot use data directory data: ")


def test_a_database_of_a_later_version_is_exit_code_1_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "data" / "estiva.db"
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    before = file.read_bytes()
    said = one_line(1, ended(tmp_path, "--data", "data", "--listen", "127.0.0.1:0"))
    assert said.startswith("cannot use data directory data: ")
    assert file.read_bytes() == before


def test_a_setting_that_nobody_knows_is_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "estiva.toml").write_text("wrokers = 2\n")
    assert one_line(2, ended(tmp_path, "--config", "estiva.toml")) == "wrokers: unknown setting"
    said = one_line(2, ended(tmp_path, environment={"ESTIVA_WROKERS": "2"}))
    assert said == "unknown setting in the environment: ESTIVA_WROKERS"


def test_a_value_that_makes_no_sense_is_exit_code_2(tmp_path: Path) -> None:
    assert one_line(2, ended(tmp_path, "--listen", "nowhere")) == "listen: is not HOST:PORT"
    assert one_line(2, ended(tmp_path, "--config", "none.toml")) == "no configuration file none.toml"


def test_a_start_says_where_it_listens_and_what_to_type(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        said = served.out.read_text()
        host = f"127.0.0.1:{served.port}"
        assert f"http://{host} from {served.data}" in said
        for line in (f"docker tag IMAGE {host}/hello:1", f"docker push {host}/hello:1", f"docker pull {host}/hello:1"):
            assert f"  {line}\n" in said


def test_a_second_start_finds_what_the_first_left(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        assert served.ask("POST", "/v2/kept/blobs/uploads/").status == 202
    with serving(tmp_path, environment={"ESTIVA_ACCESS_LOG": "false", "ESTIVA_LOG_LEVEL": "error"}) as served:
        assert served.ask("GET", "/v2/_catalog").body == b'{"repositories":["kept"]}'
        assert served.access_log() == []
    assert served.err.read_text() == ""
    assert (served.data.stat().st_mode & 0o777) == 0o700
