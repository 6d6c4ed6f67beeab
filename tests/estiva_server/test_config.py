import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from estiva_server.config import ConfigurationError, Settings, load, split_listen

EVERY = {
    "blobs": "s3://bucket/pre/fix?region=eu-west-1",
    "blob_redirect": "proxy",
    "data": "/var/lib/estiva",
    "database_url": "postgresql://estiva@db/estiva",
    "database_connections": 20,
    "database_wait": 5.0,
    "listen": "[::1]:5001",
    "workers": 4,
    "log_level": "debug",
    "access_log": False,
    "gc_every": 60.0,
    "gc_grace": 120.0,
    "gc_trash": 0.0,
    "reserve": "5%",
    "scrub_every": 600.0,
    "scrub_rate": 1000,
    "upload_expiry": 60.0,
    "drain_timeout": 0.0,
    "storage_threads": 8,
    "upload_threads": 16,
    "header_timeout": 1.5,
    "keep_alive_timeout": 2.5,
    "stall_timeout": 3.5,
    "body_rate": 0,
    "max_connections": 100,
    "max_connections_per_client": 10,
    "open": True,
    "dev_accounts": True,
    "account": "123456789012",
    "region": "eu-west-1",
    "admin_password": "correct horse",
    "admin_access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "admin_secret_access_key": "wJalrXUtnFEMI",
    "master_key": "00" * 32,
    "public_url": "https://registry.example",
    "trusted_proxies": ["10.0.0.0/8"],
    "token_service": "registry.example",
    "token_life": 120.0,
    "htpasswd": "/etc/htpasswd",
    "htpasswd_policies": ["AdministratorAccess"],
    "private_issuers": True,
    "audit_retention": 31_536_000.0,
    "lifecycle_every": 3600.0,
    "private_webhooks": True,
    "private_upstreams": True,
    "pull_through_fresh": 60.0,
    "create_on_push": "templates",
    "scanner": "trivy image --input {layout} --format json",
    "scan_timeout": 60.0,
    "event_expiry": 3600.0,
    "orchestrator": False,
    "engine": "tcp://127.0.0.1:2375",
    "engine_registry": "registry.example:5000",
    "engine_reserve": 1000,
    "caddy_admin": "http://127.0.0.1:2019",
    "signature_keys": "/etc/estiva/keys",
    "task_publish_on": "127.0.0.1",
    "task_privileged": True,
    "task_host_paths": ["/srv/tasks"],
    "task_drain": 3.5,
    "task_lost_after": 7.5,
    "requests_per_address": 20.0,
    "requests_per_principal": 50.0,
    "request_burst": 3.0,
    "uploads_per_address": 8,
    "uploads_per_principal": 16,
    "tls_certificate": "/etc/tls/certificate.pem",
    "tls_key": "/etc/tls/key.pem",
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests."""
    for name in [name for name in os.environ if name.upper().startswith("ESTIVA_")]:
        monkeypatch.delenv(name)


def plain(settings: Settings) -> dict[str, object]:
    """The settings as they are written, secrets too."""
    secret = {name: value.get_secret_value() for name, value in settings if isinstance(value, SecretStr)}
    return {**settings.model_dump(mode="json"), **secret}


def toml(folder: Path, text: str) -> Path:
    file = folder / "estiva.toml"
    file.write_text(text)
    return file


def refusal(*arguments: object, **flags: object) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(*arguments, **flags)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_without_any_configuration_it_listens_on_loopback_only() -> None:
    settings = load()
    assert (settings.data, settings.address, settings.workers) == (Path("estiva-data"), ("127.0.0.1", 5000), 1)


def test_the_last_word_is_the_flags_then_the_environments_then_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = toml(tmp_path, "workers = 2\nbody_rate = 2\nlog_level = 'error'\n")
    monkeypatch.setenv("ESTIVA_WORKERS", "3")
    monkeypatch.setenv("ESTIVA_BODY_RATE", "3")
    settings = load(file, workers=4)
    assert (settings.workers, settings.body_rate, settings.log_level, settings.upload_expiry) == (4, 3, "error", 86_400)


def test_a_flag_that_is_not_given_leaves_the_others_their_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTIVA_WORKERS", "3")
    assert load(None, workers=None, data=None).workers == 3


def test_every_setting_can_be_set_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(EVERY) == set(Settings.model_fields)
    for name, value in EVERY.items():
        monkeypatch.setenv(f"ESTIVA_{name.upper()}", json.dumps(value) if isinstance(value, list) else str(value))
    settings = load()
    assert plain(settings) == EVERY
    assert settings.address == ("::1", 5001)


def test_every_setting_can_be_set_in_the_file(tmp_path: Path) -> None:
    lines = [
        f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for name, value in EVERY.items()
    ]
    assert plain(load(toml(tmp_path, "\n".join(lines)))) == EVERY


def test_a_file_that_sets_nothing_is_fine(tmp_path: Path) -> None:
    assert load(toml(tmp_path, "# nothing\n")) == load()


def test_an_unknown_name_is_refused_wherever_it_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert refusal(toml(tmp_path, "wrokers = 2")) == "wrokers: unknown setting"
    assert refusal(toml(tmp_path, "[server]\nworkers = 2")) == "server: unknown setting"
    assert refusal(None, {"ESTIVA_WROKERS": "2", "PATH": ""}) == "unknown setting in the environment: ESTIVA_WROKERS"
    assert refusal(None, None, wrokers=2) == "wrokers: unknown setting"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("workers = 0", "workers: "),
        ("workers = 65", "workers: "),
        ("workers = 'many'", "workers: "),
        ("listen = '5000'", "listen: is not HOST:PORT"),
        ("listen = 5000", "listen: "),
        ("log_level = 'loud'", "log_level: is none of debug, info, warning, error"),
        ("drain_timeout = -1", "drain_timeout: "),
        ("upload_expiry = 0", "upload_expiry: "),
        ("access_log = 'perhaps'", "access_log: "),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(tmp_path: Path, line: str, said: str) -> None:
    assert refusal(toml(tmp_path, line)).startswith(said)


@pytest.mark.parametrize("text", ["workers = ", "\xff\xfe", "a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "estiva.toml"
    file.write_bytes(text.encode("latin-1"))
    assert refusal(file).startswith(f"{file}: ")


def test_a_file_that_is_not_there_is_refused_by_its_name(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.toml") == f"no configuration file {tmp_path}/none.toml"
    assert refusal(tmp_path) == f"no configuration file {tmp_path}"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        ("localhost:0", ("localhost", 0)),
        ("[::]:65535", ("::", 65535)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert split_listen(text) == address


@pytest.mark.parametrize(
    "text", ["", ":", ":5000", "host", "host:", "host:port", "host:-1", "host:65536", "host:5000 "]
)
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        split_listen(text)


def test_levels_are_read_in_any_case() -> None:
    assert load(log_level="WARNING").log_level == "warning"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().workers = 2


@pytest.mark.parametrize(
    "blobs",
    ["/srv/blobs", "file:", "file:///", "file://host/srv", "ftp://bucket", "s3://B", "s3://bucket?nothing=1"],
)
def test_blobs_that_are_nowhere_are_refused(blobs: str) -> None:
    with pytest.raises(ConfigurationError, match="blobs: "):
        load(blobs=blobs)


def test_blobs_may_be_in_another_directory_than_the_rest() -> None:
    assert load(blobs="file:///srv/some%20blobs").blobs_directory == Path("/srv/some blobs")
    assert load().blobs_directory == load().data
