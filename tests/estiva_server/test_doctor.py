"""`estiva doctor --here`: what it says of a server's machine and settings, before and after the server was started."""

import resource
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import pytest

from estiva_server import doctor
from estiva_server.config import load
from estiva_server.serve import prepare
from storage.blobs import Room
from storage.blobs.filesystem import FilesystemBlobStore
from storage.metadata.migrations import HEAD, MigrationError, revision
from tests.auth.certificate import certificate_for
from tests.estiva.cli.command import Estiva
from tests.serving import free_port

Found = dict[str, tuple[str, str]]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTIVA_ENGINE", "unix:///nowhere")


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A data directory as a first start leaves it."""
    data = tmp_path / "data"
    prepare(load(None, {}, data=data, admin_password="the password of admin"))
    return data


def found(data: Path, config: Path | None = None) -> Found:
    return {check: (outcome, text) for check, outcome, text in doctor.checks(config, data)}


def test_all_is_well(prepared: Path) -> None:
    told = found(prepared)
    assert [told[name][0] for name in ("settings", "data", "database", "blobs")] == ["ok"] * 4
    assert told["database"] == ("ok", f"{prepared / 'estiva.db'} has this version's schema ({HEAD})")
    assert told["fsync"][0] in ("ok", "warning")  # the disk's own affair
    assert told["engine"][0] == "skipped"


def test_before_the_first_start(tmp_path: Path) -> None:
    told = found(tmp_path / "data")
    assert "`estiva serve` make it" in told["data"][1]
    assert "database" not in told
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    assert found(tmp_path / "data")["database"][0] == "skipped"


def test_settings_that_make_no_sense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTIVA_WORKERS", "none")
    told = found(tmp_path)
    assert list(told) == ["settings"]
    assert told["settings"][0] == "failed"
    assert "workers" in told["settings"][1]


def test_a_directory_that_can_not_be_written_to(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # root may write everywhere
    assert found(prepared)["data"][0] == "failed"
    assert "belong to the user who runs the server" in found(prepared)["data"][1]


@pytest.mark.parametrize(
    ("free", "outcome", "said"),
    [(1 << 20, "failed", "pushes are refused"), (15 << 20, "warning", "refused soon"), (1 << 30, "ok", "1024 MiB")],
    ids=["too little", "little", "enough"],
)
def test_room(prepared: Path, monkeypatch: pytest.MonkeyPatch, free: int, outcome: str, said: str) -> None:
    monkeypatch.setattr(FilesystemBlobStore, "room", lambda _: Room(free, 1000 << 20))
    told = found(prepared)["space"]
    assert told[0] == outcome
    assert said in told[1]


def test_few_descriptors(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    assert found(prepared)["descriptors"][0] == "warning"


def test_a_slow_disk(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr("estiva_server.doctor.perf_counter", lambda: next(ticks))
    assert found(prepared)["fsync"] == (
        "warning",
        "1000.0 ms, the slowest of 20 1000 ms: pushes wait for it; a local SSD, or one that is less busy, helps",
    )


@pytest.mark.parametrize(("at", "outcome"), [("0001", "warning"), ("9999", "failed")], ids=["older", "newer"])
def test_a_schema_of_another_version(prepared: Path, at: str, outcome: str) -> None:
    with closing(sqlite3.connect(prepared / "estiva.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (at,))
    told = found(prepared)["database"]
    assert told[0] == outcome
    assert at in told[1]
    assert HEAD in told[1]


def test_a_database_that_is_none(prepared: Path) -> None:
    (prepared / "estiva.db").write_bytes(b"something else, and rather long" * 200)
    assert found(prepared)["database"][0] == "failed"
    with pytest.raises(MigrationError):
        revision(f"sqlite:///{prepared / 'estiva.db'}")


def test_a_database_that_was_migrated_is_at_the_head(database_url: str) -> None:
    assert revision(database_url) == HEAD


def test_an_empty_database_has_no_revision(tmp_path: Path) -> None:
    (tmp_path / "new.db").touch()
    assert revision(f"sqlite:///{tmp_path / 'new.db'}") == ""


def test_a_database_server_that_is_not_there(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTIVA_DATABASE_URL", f"postgresql://me:secret@127.0.0.1:{free_port()}/estiva")
    outcome, text = found(prepared)["database"]
    assert outcome == "failed"
    assert "check database_url" in text
    assert "secret" not in text


def test_a_bucket_that_is_not_there(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("ESTIVA_BLOBS", f"s3://bucket/prefix?endpoint={endpoint}&region=us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    outcome, text = found(prepared)["blobs"]
    assert outcome == "failed"
    assert "s3://bucket/prefix" in text


def test_certificates(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = certificate_for(tmp_path, "127.0.0.1")
    monkeypatch.setenv("ESTIVA_TLS_CERTIFICATE", str(certificate))
    monkeypatch.setenv("ESTIVA_TLS_KEY", str(key))
    assert found(prepared)["certificate"][0] == "warning"  # it is good for two days
    monkeypatch.setattr("estiva_server.doctor.time", lambda: 4e9)
    assert found(prepared)["certificate"][0] == "failed"
    certificate.write_text("none")
    assert "tls_certificate" in found(prepared)["certificate"][1]


@contextmanager
def silent_engine(path: Path) -> Iterator[None]:
    """A socket on which whoever asks is hung up on."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def hang_up() -> None:
            while True:
                try:
                    listener.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_an_engine_that_hangs_up(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "engine.sock"
    monkeypatch.setenv("ESTIVA_ENGINE", f"unix://{path}")
    with silent_engine(path):
        told = found(prepared)["engine"]
    assert told[0] == "failed"
    assert "let the server's user use it" in told[1]


def test_the_command_finds_these_checks(prepared: Path) -> None:
    outcome = Estiva({})("doctor", "--here", "--data", str(prepared), "--json")
    assert outcome.code == 0
    assert {entry["check"] for entry in outcome.document} >= {"settings", "database", "blobs", "engine"}


@pytest.mark.parametrize(
    ("admin", "handing_on", "outcome", "said"),
    [
        ("http://127.0.0.1:2019", "1", "ok", "hands connections on"),
        ("http://localhost:2019", "0", "warning", "sysctl -w net.ipv4.tcp_migrate_req=1"),
        ("http://127.0.0.1:2019", None, "warning", "Linux 5.14"),
        ("http://proxy.example:2019", "0", "skipped", "proxy.example"),
    ],
)
def test_a_caddy_whose_kernel_cuts_connections_off(
    prepared: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    admin: str,
    handing_on: str | None,
    outcome: str,
    said: str,
) -> None:
    monkeypatch.setenv("ESTIVA_CADDY_ADMIN", admin)
    monkeypatch.setattr(doctor, "HANDING_ON", tmp_path / "tcp_migrate_req")
    if handing_on is not None:
        doctor.HANDING_ON.write_text(f"{handing_on}\n")
    told = found(prepared)["caddy"]
    assert told[0] == outcome
    assert said in told[1]
