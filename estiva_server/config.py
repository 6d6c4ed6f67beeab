"""Settings: defaults, then a TOML file, then ESTIVA_* in the environment, then the command line; resolved once."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from pydantic import Field, IPvAnyNetwork, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from registry.creating import CreateOnPush
from registry.reserve import ReserveSize
from storage.blobs.s3.location import S3Location
from storage.metadata.opening import sqlite_file

PREFIX = "ESTIVA_"
DATABASE_FILE = "estiva.db"
COMMANDS = frozenset({"ESTIVA_SERVER", "ESTIVA_USERNAME", "ESTIVA_PASSWORD", "ESTIVA_CA_FILE"})
"""Variables of the commands that speak to a server; the server itself has nothing to do with them."""
FROM_FILE = "_FILE"
"""Behind the name of a secret's variable: that of a file which holds the secret."""


class ConfigurationError(Exception):
    """The settings make no sense; the text is one line for whoever wrote them."""


class Settings(BaseSettings):
    """Everything that can be set, with its default; `docs/configuration.md` is held to this list by a test."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    data: Path = Field(Path("estiva-data"), description="Directory that holds the database and the blobs.")
    blobs: str | None = Field(
        None, description="Where blobs are kept: `file:///DIRECTORY` or `s3://BUCKET/PREFIX?...`; by default in `data`."
    )
    blob_redirect: Literal["redirect", "proxy", "auto"] = Field(
        "auto", description="Whether who pulls a blob is sent to S3 for it, or gets it from here."
    )
    database_url: SecretStr | None = Field(
        None,
        description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME; by default in the data directory.",
    )
    database_connections: int = Field(10, ge=1, le=200, description="Connections to PostgreSQL per worker, at most.")
    database_wait: float = Field(
        60, ge=0, le=3600, description="Seconds that a start waits for a PostgreSQL server that does not answer yet."
    )
    listen: str = Field("127.0.0.1:5000", description="HOST:PORT to listen on; an IPv6 host in brackets.")
    workers: int = Field(1, ge=1, le=64, description="Processes that share the port and the data.")
    log_level: str = Field("info", description="Least severe level of the application log.")
    access_log: bool = Field(True, description="Write one JSON line per request to standard output.")
    open: bool = Field(False, description="Let everybody do everything, without signing in; on loopback only.")
    account: str = Field("000000000000", pattern=r"^[0-9]{12}$", description="The account that everything belongs to.")
    region: str = Field("us-east-1", pattern=r"^[a-z0-9-]{1,32}$", description="The region in names of resources.")
    dev_accounts: bool = Field(
        False, description="Let every access key id of 12 digits be an account of its own, with the secret `test`."
    )
    admin_password: SecretStr | None = Field(
        None, description="Password of `admin` at the first start; by default one is made and printed once."
    )
    admin_access_key_id: str | None = Field(
        None, pattern=r"^AKIA[A-Z2-7]{16}$", description="Id of an access key of `admin`, made at the first start."
    )
    admin_secret_access_key: SecretStr | None = Field(None, description="The secret of that access key.")
    master_key: SecretStr | None = Field(
        None, description="64 hexadecimal digits that seal secrets; by default kept in the data directory."
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://(?:[A-Za-z0-9.:\[\]-]|\{account\}|\{region\}){1,300}$",
        description="What clients call this server, `{account}` and `{region}` filled in; by default what they used.",
    )
    trusted_proxies: list[IPvAnyNetwork] = Field(
        [], description="Networks of proxies whose word on a client's address and scheme counts in policies."
    )
    token_service: str = Field(
        "estiva", pattern=r"^[A-Za-z0-9._:-]{1,255}$", description="The service that registry tokens are for."
    )
    token_life: float = Field(300, ge=60, le=3600, description="Seconds that a registry token is good.")
    htpasswd: Path | None = Field(None, description="A htpasswd file (bcrypt) whose users may come in too.")
    htpasswd_policies: list[str] = Field(
        ["AmazonEC2ContainerRegistryPowerUser"], description="The policies of every user of the htpasswd file."
    )
    private_issuers: bool = Field(
        False, description="Fetch keys of trusted issuers over plain HTTP and from private addresses too."
    )
    audit_retention: float = Field(
        0, ge=0, description="Seconds after which records of the audit trail are removed; 0 keeps them for ever."
    )
    lifecycle_every: float = Field(
        86_400, ge=60, description="Seconds between two runs of a repository's lifecycle policy, about."
    )
    private_webhooks: bool = Field(
        False, description="Send events to webhooks over plain HTTP and to private addresses too."
    )
    event_expiry: float = Field(
        259_200, gt=0, description="Seconds after which an event that a webhook won't take is given up, and then kept."
    )
    private_upstreams: bool = Field(
        False, description="Speak to other registries over plain HTTP and on private addresses too."
    )
    pull_through_fresh: float = Field(
        300, ge=0, le=604_800, description="Seconds for which a cached tag is given without asking its upstream."
    )
    create_on_push: CreateOnPush = Field(
        CreateOnPush.ALWAYS, description="Which pushes create their repository: `always`, `templates` or `never`."
    )
    scanner: str | None = Field(
        None, description="What scans images: a command with `{layout}` in it, or a URL; its report is Trivy's JSON."
    )
    scan_timeout: float = Field(600, gt=0, description="Seconds that a scan may take.")
    orchestrator: bool = Field(True, description="Run the tasks and services that are asked for over ECS's API.")
    engine: str = Field(
        "docker", description="The container engine of clusters that have no other instance; `none`: tasks are not run."
    )
    engine_registry: str | None = Field(
        None, description="HOST:PORT by which engines pull from this registry; by default `listen`, on loopback."
    )
    task_publish_on: str | None = Field(
        None, description="The address of engines on which ports are published; by default all."
    )
    task_privileged: bool = Field(
        False, description="Let tasks be privileged, have devices and whatever else makes them root on their engine."
    )
    task_host_paths: list[str] = Field(
        [], description="Folders of engines in which tasks may have volumes (`host.sourcePath`)."
    )
    task_drain: float = Field(
        2, ge=0, le=3600, description="Seconds between a service's task leaving the targets and its being stopped."
    )
    task_lost_after: float = Field(
        60, ge=5, description="Seconds without an answer from its engine after which a task is replaced."
    )
    signature_keys: Path | None = Field(
        None, description="A folder of public keys, `NAME.pub` or `NAME.pem`, for gates that ask for signatures."
    )
    caddy_admin: str | None = Field(
        None,
        pattern=r"^http://[^/\s]+$",
        description="URL of the admin API of a Caddy that is told of healthy targets.",
    )
    engine_reserve: int = Field(
        268_435_456,
        ge=0,
        description="Bytes to be kept free on an engine's disk: images that nothing needs go for it. 0: never.",
    )
    tls_certificate: Path | None = Field(None, description="PEM file with the server's certificate chain.")
    tls_key: Path | None = Field(None, description="PEM file with the certificate's private key.")
    gc_every: float = Field(3600, gt=0, description="Seconds between two garbage collections, about.")
    gc_grace: float = Field(
        86_400, ge=0, description="Seconds that a blob which nothing needs stays after the last promise of it."
    )
    gc_trash: float = Field(86_400, ge=0, description="Seconds that the bytes of a collected blob stay.")
    reserve: str = Field(
        "1%",
        description="Room to be kept free, in bytes or as a percentage of the file system; below it pushes get 507.",
    )
    scrub_every: float = Field(
        604_800, gt=0, description="Seconds between the beginnings of two readings of all blobs, to find bad ones."
    )
    scrub_rate: int = Field(
        10_000_000, ge=0, description="Bytes per second and worker that such a reading takes; 0 reads nothing."
    )
    upload_expiry: float = Field(86_400, gt=0, description="Seconds after which an unfinished, idle upload is purged.")
    drain_timeout: float = Field(30, ge=0, description="Seconds that running requests get to end after SIGTERM.")
    storage_threads: int = Field(32, ge=4, le=512, description="Threads per worker that read, hash and write blobs.")
    upload_threads: int = Field(128, ge=4, le=4096, description="Large request bodies that a worker receives at once.")
    header_timeout: float = Field(10, gt=0, description="Seconds for a request's headers, and for a TLS handshake.")
    keep_alive_timeout: float = Field(75, gt=0, description="Seconds that an idle connection is kept.")
    stall_timeout: float = Field(30, gt=0, description="Seconds a client may take none of its response.")
    body_rate: int = Field(1024, ge=0, description="Bytes per second that a request body must bring on average.")
    requests_per_address: float = Field(
        0, ge=0, description="Requests per second and worker from one address, on average; 0 for no limit."
    )
    requests_per_principal: float = Field(
        0, ge=0, description="Requests per second and worker of one user, robot or other identity; 0 for no limit."
    )
    request_burst: float = Field(10, gt=0, le=604_800, description="Seconds' worth of these that may come at once.")
    uploads_per_address: int = Field(
        0, ge=0, description="Uploads that a worker receives from one address at once; 0 for no limit."
    )
    uploads_per_principal: int = Field(
        0, ge=0, description="Uploads that a worker receives of one identity at once; 0 for no limit."
    )
    max_connections: int | None = Field(
        None, ge=1, description="Connections per worker; by default as many as descriptors allow, at most 4096."
    )
    max_connections_per_client: int = Field(1024, ge=1, description="Connections per worker from one address.")

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        split_listen(value)
        return value

    @field_validator("blobs")
    @classmethod
    def _check_blobs(cls, value: str | None) -> str | None:
        if value is not None and value.startswith("s3:"):
            S3Location.parse(value)
        elif value is not None:
            directory_of(value)
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            sqlite_file(value.get_secret_value())
        return value

    @field_validator("reserve")
    @classmethod
    def _check_reserve(cls, value: str) -> str:
        ReserveSize.parse(value)
        return value

    @field_validator("log_level")
    @classmethod
    def _check_level(cls, value: str) -> str:
        if value.lower() not in ("debug", "info", "warning", "error"):
            raise ValueError("is none of debug, info, warning, error")
        return value.lower()

    @model_validator(mode="after")
    def _check_together(self) -> "Settings":
        if self.open and not is_loopback(self.address[0]):
            raise ValueError("open is for loopback addresses only")
        if self.dev_accounts and not is_loopback(self.address[0]):
            raise ValueError("dev_accounts is for loopback addresses only: everybody knows its secret")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if (self.admin_access_key_id is None) != (self.admin_secret_access_key is None):
            raise ValueError("admin_access_key_id and admin_secret_access_key go together")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line (as init arguments), environment, then the TOML file that the model was given."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def blobs_directory(self) -> Path:
        """The directory that blobs are in, where they are in one."""
        return self.data if self.blobs is None else directory_of(self.blobs)

    @property
    def database(self) -> str:
        """The URL of the metadata database."""
        if self.database_url is None:
            return f"sqlite:///{self.data / DATABASE_FILE}"
        return self.database_url.get_secret_value()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        return split_listen(self.listen)


def directory_of(url: str) -> Path:
    """The directory of a `file:` URL; ValueError for anything else."""
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or parts.query or not parts.path.strip("/"):
        raise ValueError("is neither file:///DIRECTORY nor s3://BUCKET/PREFIX")
    return Path(unquote(parts.path))


def split_listen(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; ValueError for anything else."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError("is not HOST:PORT")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load(file: Path | None = None, environment: dict[str, str] | None = None, **flags: Any) -> Settings:
    """The settings in force. `flags` that are None were not given. ConfigurationError, also for unknown names."""
    if file is not None and not file.is_file():
        raise ConfigurationError(f"no configuration file {file}")
    environment = environment or {}
    unknown = {name for name in environment if name.startswith(PREFIX)} - _variables() - _file_variables() - COMMANDS
    if unknown:
        raise ConfigurationError(f"unknown setting in the environment: {', '.join(sorted(unknown))}")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    given = {**_from_files(environment), **{name: value for name, value in flags.items() if value is not None}}
    try:
        resolved = FromFile(**given)
        # As the class that has a name: settings travel to worker processes.
        return Settings.model_construct(**dict(resolved))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        reason = "unknown setting" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name}: {reason}") from None
    except ValueError as error:  # tomllib's complaint
        raise ConfigurationError(f"{file}: {error}") from None


def _variables() -> set[str]:
    return {PREFIX + name.upper() for name in Settings.model_fields}


def _secrets() -> list[str]:
    return [name for name, field in Settings.model_fields.items() if SecretStr in get_args(field.annotation)]


def _file_variables() -> set[str]:
    return {f"{PREFIX}{name.upper()}{FROM_FILE}" for name in _secrets()}


def _from_files(environment: dict[str, str]) -> dict[str, str]:
    """The secrets whose variable, with `_FILE` behind its name, names a file. ConfigurationError."""
    found = {}
    for name in _secrets():
        variable = PREFIX + name.upper()
        path = environment.get(variable + FROM_FILE)
        if path is None:
            continue
        if variable in environment:
            raise ConfigurationError(f"{variable} and {variable}{FROM_FILE} exclude each other")
        try:
            found[name] = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ConfigurationError(f"{variable}{FROM_FILE}: cannot read {path}: {reason}") from None
    return found
