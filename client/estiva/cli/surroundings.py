"""What `estiva doctor` looks at from where it is run: the way to a registry, and what docker makes of it.

Each check rests on those before it: where one fails, what rests on it is left out.
"""

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

from estiva.cli.findings import Finding, failed, ok, skipped, warning
from estiva.cli.tls import missing_trust
from estiva.connections import Connections, proxy_of
from estiva.credentials import Credential, DockerConfig
from estiva.errors import RegistryError
from estiva.failures import ClientError, ConnectionFailed
from estiva.protocol.answers import refusal
from estiva.protocol.registry import NOTHING, Registry
from estiva.protocol.steps import Request, Response
from estiva.running import run

Find = Callable[[str], Credential | None]
Clock = Callable[[], float]

DAY = 86_400
SOON = 14 * DAY
"""A certificate that ends so soon should have been renewed."""
LATE, TOO_LATE = 5.0, 60.0
"""Seconds of difference between clocks that are told, and that are too many: tokens live for minutes."""


@dataclass(frozen=True, slots=True)
class Target:
    """The registry that is looked at, and who asks."""

    host: str
    url: str
    find: Find
    given: bool
    """Whether the credential was given on the command line or in the environment."""

    @property
    def place(self) -> tuple[str, str]:
        """Scheme, and host with port."""
        parts = urlsplit(self.url)
        return parts.scheme, parts.netloc


def surroundings(target: Target, connections: Connections, clock: Clock = time.time) -> Iterator[Finding]:
    """Everything from the credential to the registry's readiness."""
    credential, told = _credential(target)
    yield told
    yield _proxy(target)
    connection = _connect(target, connections)
    yield connection
    if connection.outcome == "failed":
        return
    if target.place[0] == "https":
        yield from _certificate(target, connections, clock)
    yield from _registry(target, connections, clock, credential)


def _credential(target: Target) -> tuple[Credential | None, Finding]:
    config = DockerConfig()
    if target.given:
        return target.find(target.host), ok("credential", "given with --password or ESTIVA_PASSWORD")
    try:
        found = target.find(target.host)
    except ClientError as error:
        return None, failed("credential", f"{error}; mend it, or name another folder in DOCKER_CONFIG")
    where = config.where(target.host)
    if found is None:
        text = f"none for {target.host} in {where}; `estiva login {target.host}` enters one"
        return None, warning("credential", text)
    return found, ok("credential", f"{found.username or 'an identity token'}, from {where}")


def _proxy(target: Target) -> Finding:
    proxy = proxy_of(*target.place)
    if not proxy:
        return ok("proxy", "none: the registry is asked directly")
    shown = urlsplit(proxy).netloc.rpartition("@")[2]
    return ok("proxy", f"{shown}, as the environment says; NO_PROXY={target.place[1]} goes without it")


def _connect(target: Target, connections: Connections) -> Finding:
    try:
        connection = connections.connect(*target.place)
    except ConnectionFailed as failure:
        return failed("connection", f"{failure}{_advice(failure)}")
    connection.close()
    return ok("connection", f"{target.url} answers")


def _advice(failure: ConnectionFailed) -> str:
    cause = failure.__cause__
    if isinstance(cause, ssl.SSLError):
        lacking = missing_trust()
        return f"; {lacking} is not there" if lacking else ""
    if isinstance(cause, socket.gaierror):
        return "; check the name, and this machine's name servers"
    if isinstance(cause, ConnectionRefusedError):
        return "; nobody listens there: start the server, or name another one"
    if isinstance(cause, TimeoutError):
        return "; a firewall may be in the way, or the address is another one's"
    return "; check the address and the proxy"


def _certificate(target: Target, connections: Connections, clock: Clock) -> Iterator[Finding]:
    connection = connections.connect(*target.place)
    try:
        sock = connection.sock
        shown = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
    finally:
        connection.close()
    if not shown:
        yield warning("certificate", "it is not verified")
        return
    left = ssl.cert_time_to_seconds(str(shown["notAfter"])) - clock()
    text = f"good until {shown['notAfter']} ({left // DAY:.0f} days)"
    yield ok("certificate", text) if left > SOON else warning("certificate", f"{text}: have it renewed")


def _registry(
    target: Target, connections: Connections, clock: Clock, credential: Credential | None
) -> Iterator[Finding]:
    before = clock()
    try:
        answer = connections.ask(Request("GET", urljoin(target.url, "/v2/")))
    except ConnectionFailed as failure:
        yield failed("registry", f"{failure}; try again, and look at the server's log")
        return
    yield _clock(answer, before, clock())
    if answer.status not in (200, 401):
        yield failed(
            "registry", f"{target.url}/v2/ is answered with {answer.status}: that is no registry; check the address"
        )
        return
    yield ok("registry", f"{target.url}/v2/ is a registry's")
    yield _sign_in(target, connections, credential)
    yield _readiness(target, connections)


def _clock(answer: Response, asked: float, answered: float) -> Finding:
    """How far the registry's clock, which tells whole seconds, is from all that it may have been meanwhile."""
    try:
        said = parsedate_to_datetime(answer.header("date")).timestamp()
        ahead = max(said - answered, 0.0) + min(said + 1 - asked, 0.0)
    except ValueError:
        return skipped("clock", "the registry does not say what time it is")
    if abs(ahead) < LATE:
        return ok("clock", "the same as the registry's")
    text = f"{abs(ahead):.0f} seconds {'behind' if ahead > 0 else 'ahead of'} the registry's"
    if abs(ahead) < TOO_LATE:
        return warning("clock", f"{text}: have both set by NTP")
    return failed("clock", f"{text}, at which tokens and signatures fail: have both set by NTP (timedatectl)")


def _sign_in(target: Target, connections: Connections, credential: Credential | None) -> Finding:
    registry = Registry(target.host, target.url, lambda _: credential)
    try:
        answer = run(registry.ask("GET", "/v2/", NOTHING), connections, 1)
    except (RegistryError, ClientError) as error:
        if credential is None:
            return warning("sign-in", f"{error}")
        return failed("sign-in", f"{error}")
    who = (credential.username or "the identity token") if credential else "nobody in particular"
    if answer.status == 200:
        return ok("sign-in", f"{who} is let in")
    if credential is None:
        return warning("sign-in", f"who has not signed in is not let in; `estiva login {target.host}` signs in")
    return failed("sign-in", f"{who} is not let in: {refusal(answer)}; `estiva login {target.host}` signs in anew")


def _readiness(target: Target, connections: Connections) -> Finding:
    try:
        answer = connections.ask(Request("GET", urljoin(target.url, "/readyz")))
        told = json.loads(answer.body)
        status = told["status"]
    except (ConnectionFailed, ValueError, KeyError, TypeError):
        return skipped("server", "it is not estiva, and does not say whether it is ready")
    if status != "ready":
        why = told.get("reason", "it does not say why")
        return failed("server", f"not ready ({why}): run `estiva doctor --here` on its machine, and look at its log")
    name = f"estiva {told['version']}" if told.get("version") else "estiva of an unknown version"
    if told.get("pushes") == "refused":
        text = f"{name}: ready, but takes no pushes, as its storage is nearly full: make room there"
        return warning("server", text)
    return ok("server", f"{name}: ready")
