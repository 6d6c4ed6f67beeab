"""The checks of `estiva doctor --here`: whether a server with these settings can work on this machine.

Nothing is changed, and a server may run meanwhile. Each finding is a name, an outcome and a sentence
(`estiva/cli/findings.py`); what rests on a failed check is left out.
"""

import asyncio
import os
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter, time
from typing import Literal
from urllib.parse import urlsplit

from estiva_server.blob_stores import BlobsError, build_blobs, prove, told
from estiva_server.certificates import CertificateError
from estiva_server.config import ConfigurationError, Settings, load
from estiva_server.orchestration import connecting, engine_endpoint
from orchestrator.engines import EngineDown, EngineInfo
from storage.metadata.migrations import HEAD, MigrationError, revision
from storage.metadata.opening import shown, sqlite_file

Finding = tuple[str, Literal["ok", "warning", "failed", "skipped"], str]

SYNCS = 20
SLOW_SYNC = 0.05
"""Seconds: a push waits for about five syncs, one after the other."""
FEW_DESCRIPTORS = 4096
FEW_FILES = 0.01
DAY = 86_400
SOON = 14 * DAY
MIB = 1 << 20
HANDING_ON = Path("/proc/sys/net/ipv4/tcp_migrate_req")
"""Whether the kernel hands on who waits at a port that its program closes, and has opened once more."""


def checks(config: Path | None, data: Path | None) -> Iterator[Finding]:
    """Every check, one after the other; the settings are those that `estiva serve` would have."""
    try:
        settings = load(config, dict(os.environ), data=data)
    except ConfigurationError as error:
        yield "settings", "failed", f"{error}; mend it in the file or the environment that the server is started with"
        return
    yield "settings", "ok", f"data in {settings.data.absolute()}, listening on {settings.listen}"
    yield _descriptors(settings)
    if settings.tls_certificate is not None:
        yield _certificate(settings.tls_certificate, settings)
    directory = _directory(settings)
    yield directory
    if directory[1] != "failed":
        yield _syncing(settings.data)
        yield _database(settings)
        yield from _blobs(settings)
    yield _engine(settings)
    if settings.caddy_admin is not None:
        yield _caddy(settings.caddy_admin)


def _descriptors(settings: Settings) -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < FEW_DESCRIPTORS:
        text = f"{soft} per process, which bounds connections: set LimitNOFILE=65536 (systemd) or ulimit -n 65536"
        return "descriptors", "warning", text
    return "descriptors", "ok", f"{soft} per process"


def _certificate(file: Path, settings: Settings) -> Finding:
    from cryptography import x509

    from estiva_server.app import build_certificates

    try:
        build_certificates(settings)
        until = x509.load_pem_x509_certificates(file.read_bytes())[0].not_valid_after_utc
    except (CertificateError, OSError, ValueError) as error:
        return "certificate", "failed", f"{error}; name a PEM chain and its key in tls_certificate and tls_key"
    left, text = until.timestamp() - time(), f"{file} is good until {until:%Y-%m-%d}"
    if left <= 0:
        return "certificate", "failed", f"{file} ended on {until:%Y-%m-%d}: replace it; a running server takes it up"
    return "certificate", "ok" if left > SOON else "warning", text if left > SOON else f"{text}: have it renewed"


def _directory(settings: Settings) -> Finding:
    data = settings.data
    if not data.is_dir():
        return "data", "failed", f"there is no directory {data}: name it with --data, or let `estiva serve` make it"
    try:
        with tempfile.TemporaryFile(dir=data):
            pass
    except OSError as error:
        text = f"cannot write to {data} ({error.strerror}): it has to belong to the user who runs the server"
        return "data", "failed", text
    room = os.statvfs(data)
    if room.f_files and room.f_favail < room.f_files * FEW_FILES:
        return "data", "warning", f"{data} is writable, but has only {room.f_favail} inodes left: make room"
    return "data", "ok", f"{data} is writable"


def _syncing(data: Path) -> Finding:
    """How long it takes until a small write is on disk: every acknowledged push waits for that."""
    took = []
    try:
        with tempfile.TemporaryFile(dir=data, buffering=0) as file:
            for _ in range(SYNCS):
                file.write(b"\0" * 4096)
                begun = perf_counter()
                os.fsync(file.fileno())
                took.append(perf_counter() - begun)
    except OSError as error:
        return "fsync", "failed", f"cannot write to {data} ({error.strerror}): make room, or check the disk"
    text = f"{median(took) * 1000:.1f} ms, the slowest of {SYNCS} {max(took) * 1000:.0f} ms"
    if median(took) > SLOW_SYNC:
        return "fsync", "warning", f"{text}: pushes wait for it; a local SSD, or one that is less busy, helps"
    return "fsync", "ok", text


def _database(settings: Settings) -> Finding:
    name = shown(settings.database)
    file = sqlite_file(settings.database)
    if file is not None and not file.exists():
        return "database", "skipped", f"{name} is not there yet: `estiva serve` makes it"
    try:
        at = revision(settings.database)
    except MigrationError as error:
        advice = "check database_url, and that the server runs" if file is None else "restore a backup if it is damaged"
        return "database", "failed", f"cannot use {name}: {error}; {advice}"
    if at == HEAD:
        return "database", "ok", f"{name} has this version's schema ({HEAD})"
    if at < HEAD:
        text = f"{name} has schema {at or 'none'}: the next start brings it to {HEAD}; back it up before"
        return "database", "warning", text
    return "database", "failed", f"{name} has schema {at}, this version knows {HEAD}: install the newer version"


def _blobs(settings: Settings) -> Iterator[Finding]:
    try:
        prove(settings)
    except (BlobsError, OSError) as error:
        yield "blobs", "failed", f"{error}; check the setting blobs, its credentials and the place itself"
        return
    yield "blobs", "ok", f"{told(settings)} takes blobs"
    blobs = build_blobs(settings)
    try:
        figures = blobs.reserve.figures()
    finally:
        blobs.close()
    yield ("space", "skipped", "an object store tells no limit") if figures is None else _space(*figures)


def _space(free: int, reserved: int) -> Finding:
    text = f"{free // MIB} MiB free, {reserved // MIB} MiB reserved"
    if free < reserved:
        return "space", "failed", f"{text}: pushes are refused; delete images and run `estiva gc run`, or add room"
    if free < 2 * reserved:
        return "space", "warning", f"{text}: pushes will be refused soon; delete images, or add room"
    return "space", "ok", text


def _engine(settings: Settings) -> Finding:
    endpoint = engine_endpoint(settings)
    if not settings.orchestrator or not endpoint:
        return "engine", "skipped", "tasks are not run by these settings"
    path = endpoint.removeprefix("unix://")
    if path != endpoint and not Path(path).is_socket():
        return "engine", "skipped", f"there is none at {endpoint}; tasks want docker or podman, or the setting engine"
    try:
        info = asyncio.run(_ask(settings, endpoint))
    except (EngineDown, ValueError, OSError) as error:
        return "engine", "failed", f"{endpoint} does not answer ({error}): start it, and let the server's user use it"
    return "engine", "ok", f"{info.name} {info.version}, {info.cpu // 1024} processors, {info.memory} MiB"


async def _ask(settings: Settings, endpoint: str) -> EngineInfo:
    driver = connecting(settings)(endpoint)
    try:
        return await driver.info()
    finally:
        await driver.close()


def _caddy(admin: str) -> Finding:
    host = urlsplit(admin).hostname or ""
    if host != "localhost" and not host.startswith("127."):
        return (
            "caddy",
            "skipped",
            f"it is on {host}: set net.ipv4.tcp_migrate_req=1 there, or changes cut connections off",
        )
    if not HANDING_ON.exists():
        return "caddy", "warning", "changes of targets cut connections off, which only Linux 5.14 and newer can prevent"
    if HANDING_ON.read_text().strip() != "1":
        return "caddy", "warning", "changes of targets cut connections off: sysctl -w net.ipv4.tcp_migrate_req=1"
    return "caddy", "ok", "the kernel hands connections on when targets change"
