"""Runs the server: prepares the data directory, opens the port, starts one worker or several."""

import asyncio
import contextlib
import math
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from auth.htpasswd import HtpasswdError
from auth.sealing import SealBrokenError
from estiva.errors import BodyTimeout, RegistryError, Unavailable
from estiva_server.app import Parts, build, build_certificates, create_app
from estiva_server.at_once import AtOnce
from estiva_server.awaiting import migrate_in_time
from estiva_server.blob_stores import BlobsError, prove
from estiva_server.certificates import CertificateError
from estiva_server.config import Settings
from estiva_server.first_start import ADMIN, Welcome, first_start
from estiva_server.http import AnswerCache, ConnectionSettings, SimpleRequest, connection_class
from estiva_server.http.settings import affordable_connections
from estiva_server.logs import configure
from estiva_server.orchestration import signature_keys
from estiva_server.security import build_security
from estiva_server.workers import supervise
from registry.api.call import API_VERSION
from registry.api.faults import envelope
from storage.durable import make_directory
from storage.metadata.migrations import MigrationError
from storage.metadata.opening import open_database, shown
from storage.metadata.sqlite import SQLiteDatabase

BACKLOG = 2048
_CODES = {error.status: error.code for error in (BodyTimeout, Unavailable)}


class StartError(Exception):
    """The server can't start; the text is one line that says why."""


def run(settings: Settings) -> None:
    """Serve until asked to stop. StartError when that can't begin."""
    configure(settings.log_level)
    with _listener(settings) as listener:
        _greet(settings, listener, prepare(settings))
        if settings.workers == 1:
            work(settings, listener)
            return
        with tempfile.TemporaryDirectory(prefix="estiva-metrics-") as shared_metrics:
            # The port is closed here too once the end begins: else clients would still come in, and wait for nobody.
            arguments = (settings, listener, Path(shared_metrics))
            supervise(settings.workers, work, arguments, on_end=listener.close)


def prepare(settings: Settings) -> Welcome:
    """Make the data directory what this version expects, and let somebody in. StartError."""
    try:
        make_directory(settings.data.absolute())
        prove(settings)
        signature_keys(settings)
        migrate_in_time(settings.database, settings.database_wait)
        return asyncio.run(_let_somebody_in(settings))
    except OSError as error:
        raise StartError(f"cannot use data directory {settings.data}: {error.strerror}") from error
    except MigrationError as error:
        raise StartError(f"cannot use database {shown(settings.database)}: {error}") from error
    except SealBrokenError:
        raise StartError("the master key is not the one that sealed what the database holds") from None
    except (BlobsError, CertificateError, HtpasswdError, RegistryError, ValueError) as error:
        raise StartError(str(error)) from None


async def _let_somebody_in(settings: Settings) -> Welcome:
    build_certificates(settings)  # refused here, once, and not by every worker
    database = open_database(settings.database)
    try:
        security = build_security(settings, database)
        try:
            return await first_start(settings, database, security)
        finally:
            security.close()
    finally:
        await database.close()


def work(settings: Settings, listener: socket.socket, shared_metrics: Path | None = None) -> None:
    """Be one worker: serve the socket until asked to stop."""
    configure(settings.log_level)
    parts = build(settings, shared_metrics)
    config = uvicorn.Config(
        create_app(parts),
        http=_connection_class(parts),
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whose word on addresses counts is a setting of ours (registry.api.origin)
        ws="none",
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout),
        backlog=BACKLOG,
    )
    if parts.certificates is not None:
        config.load()
        config.ssl = parts.certificates.context
    DrainingServer(config, parts).run(sockets=[listener])


class DrainingServer(uvicorn.Server):
    """Ends with status 0 after running requests have ended; a second signal ends it at once."""

    def __init__(self, config: uvicorn.Config, parts: Parts) -> None:
        super().__init__(config)
        self._parts = parts

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve these sockets: as uvicorn does, but with a limit of our own for TLS handshakes.

        A connection is none of ours, and none of those that are counted, before its handshake is done.
        """
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        loop = asyncio.get_running_loop()
        tls = self.config.ssl
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=listener,
                ssl=tls,
                ssl_handshake_timeout=self._parts.settings.header_timeout if tls else None,
                backlog=self.config.backlog,
            )
            for listener in sockets or ()
        ]
        self.started = True

    def _connection(self) -> asyncio.Protocol:
        protocol: type[asyncio.Protocol] = self.config.http_protocol_class
        return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain (signal handler)."""
        self._parts.health.draining = True
        self.force_exit = self.should_exit
        self.should_exit = True


def _connection_class(parts: Parts) -> type:
    settings = parts.settings
    return connection_class(
        ConnectionSettings(
            header_timeout=settings.header_timeout,
            keep_alive_timeout=settings.keep_alive_timeout,
            stall_timeout=settings.stall_timeout,
            body_rate=settings.body_rate,
            max_connections_per_client=settings.max_connections_per_client,
            max_connections=settings.max_connections or affordable_connections(),
            refusal_headers=(API_VERSION,),
            admits=_admits(parts),
        ),
        AnswerCache(parts.database.version),
        parts.observation,
        parts.upload_threads,
        error_body=lambda status, reason: ("application/json", envelope(_CODES.get(status, "UNSUPPORTED"), reason)),
        at_once=_at_once(parts),
    )


def _admits(parts: Parts) -> Callable[[SimpleRequest], bool] | None:
    """What says whether a remembered answer may be given; None where requests are not limited."""
    limits = parts.security.admission.limits
    if limits is None:
        return None

    def admits(request: SimpleRequest) -> bool:
        fields = request.fields
        return limits.admits({"client": request.client, "headers": fields.all}, fields.authorization)

    return admits


def _at_once(parts: Parts) -> AtOnce | None:
    """Only with facts in SQLite: whoever asks a server has to wait. Nor where requests are counted: each but once."""
    if isinstance(parts.database, SQLiteDatabase) and parts.security.admission.limits is None:
        return AtOnce(parts.registry_api.respond, parts.database.holding_version)
    return None


@contextlib.contextmanager
def _listener(settings: Settings) -> Iterator[socket.socket]:
    host, port = settings.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(f"cannot listen on {settings.listen}: {error.strerror}") from error
    with listener:
        yield listener


def _greet(settings: Settings, listener: socket.socket, welcome: Welcome) -> None:
    host, port = listener.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    scheme = "https" if settings.tls_certificate else "http"
    lines = [f"estiva serves {scheme}://{address} from {settings.data.resolve()}", ""]
    if welcome.generated_password is not None:
        lines += [
            f"  The password of user {ADMIN} is {welcome.generated_password}",
            "  It is shown only this once.",
            "",
        ]
    if not settings.open:
        lines += [f"  docker login {address} --username {ADMIN}"]
    lines += [
        f"  docker tag IMAGE {address}/hello:1",
        f"  docker push {address}/hello:1",
        f"  docker pull {address}/hello:1",
        f"  aws --endpoint-url {scheme}://{address} ecr describe-repositories",
    ]
    print("\n".join(lines), end="\n\n", flush=True)  # noqa: T201 - this is what a person starts the command to see
