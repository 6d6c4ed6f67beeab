"""The server that a command speaks to: `/api/v1/`, with the operator's own name and password."""

import json
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import typer

from estiva.cli import tables
from estiva.cli.failing import CommandError, ServerRefused, line
from estiva.cli.transfers import trusting
from estiva.cli.words import cell, with_details

if TYPE_CHECKING:
    import ssl

    import httpx2

TIMEOUT = 30.0
PAGE = 1000
SWITCHING_PROTOCOLS = 101
UNAUTHORIZED = 401


class Server:
    """Sends one request after the other; a refusal becomes a ServerRefused with the server's own words."""

    def __init__(self, url: str, username: str, password: str, trust: "ssl.SSLContext | None" = None) -> None:
        import httpx2  # here, as `estiva serve` and `estiva --help` have no use for it

        self._url = url.rstrip("/")
        self._options: dict[str, Any] = {"auth": (username, password), "verify": trust or True}
        self._client = httpx2.Client(timeout=TIMEOUT, **self._options)
        self._failures = (httpx2.HTTPError, httpx2.InvalidURL)

    def call(self, method: str, *path: str, body: Any = None, query: dict[str, str] | None = None) -> dict[str, Any]:
        """The answer's JSON object, an empty one where there is none.

        `body` is sent as JSON, or as it is where it is text.
        """
        url = f"{self._url}/api/v1/" + "/".join(map(_segment, path))
        content = body if isinstance(body, str) or body is None else json.dumps(body)
        try:
            response = self._client.request(method, url, content=content, params=query or {})
        except self._failures as error:
            raise CommandError(f"cannot reach {self._url}: {_reason(error)}") from None
        if response.is_success:
            return _object(response)
        raise ServerRefused(_refusal(response), response.status_code)

    def lines(
        self, method: str, *path: str, body: str | None = None, query: dict[str, str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """The JSON objects of an answer that has one in each line, as they come."""
        url = f"{self._url}/api/v1/" + "/".join(map(_segment, path))
        try:
            with self._client.stream(method, url, content=body, params=query or {}, timeout=None) as response:
                if not response.is_success:
                    response.read()
                    raise ServerRefused(_refusal(response), response.status_code)
                for text in response.iter_lines():
                    yield json.loads(text)
        except self._failures as error:
            raise CommandError(f"cannot reach {self._url}: {_reason(error)}") from None
        except ValueError:
            raise CommandError("that is no estiva server: it answers with something else") from None

    @asynccontextmanager
    async def upgraded(self, protocol: str, *path: str, body: Any) -> AsyncIterator["Upgraded"]:
        """A POST that turns its connection into another protocol's."""
        import httpx2

        url = f"{self._url}/api/v1/" + "/".join(map(_segment, path))
        headers = {"Connection": "Upgrade", "Upgrade": protocol}
        try:
            async with (
                httpx2.AsyncClient(timeout=TIMEOUT, **self._options) as client,
                client.stream("POST", url, json=body, headers=headers) as response,
            ):
                if response.status_code != SWITCHING_PROTOCOLS:
                    await response.aread()
                    if not response.is_success:
                        raise ServerRefused(_refusal(response), response.status_code)
                    raise CommandError("the server, or a proxy before it, does not let a command be typed at")
                yield Upgraded(response.extensions["network_stream"])
        except self._failures as error:
            raise CommandError(f"cannot reach {self._url}: {_reason(error)}") from None

    def every(self, noun: str) -> list[Any]:
        """Everything of that noun, page after page."""
        found: list[Any] = []
        last = ""
        while True:
            page = member(self.call("GET", noun, query={"n": str(PAGE), "last": last}), noun)
            found += page
            if len(page) < PAGE:
                return found
            entry = page[-1]["name"] if isinstance(page[-1], dict) else page[-1]
            if not entry > last:
                raise CommandError("the server's pages do not go on")
            last = entry

    def repository_policy(self, method: str, name: str, body: str | None = None) -> dict[str, Any]:
        """The same for the policy of a repository, whose name has slashes of its own."""
        return self.call(method, "repository-policies", *name.split("/"), body=body)

    def close(self) -> None:
        """Hang up."""
        self._client.close()


class Upgraded:
    """A connection that is no longer HTTP. CommandError where it breaks."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def read(self) -> bytes:
        """What comes next; nothing at the end."""
        import httpcore2

        try:
            return bytes(await self._stream.read(65536))
        except httpcore2.NetworkError:
            return b""

    async def write(self, data: bytes) -> None:
        """Send it."""
        import httpcore2

        try:
            await self._stream.write(data, timeout=TIMEOUT)
        except (httpcore2.NetworkError, httpcore2.TimeoutException) as error:
            raise CommandError(f"the connection broke: {_reason(error)}") from None


def server_of(context: typer.Context) -> Server:
    """The server that the options before the verb, or the environment, name; a person is asked for the password."""
    root = context.find_root()
    options = root.obj
    password = options["password"]
    if not password and sys.stdin.isatty():
        password = typer.prompt(f"Password of {options['username']}", hide_input=True, err=True)
    if not password:
        raise CommandError("no password: set ESTIVA_PASSWORD (and ESTIVA_USERNAME, ESTIVA_SERVER where they differ)")
    if not options["server"].lower().startswith(("http://", "https://")):
        raise CommandError(
            f"{options['server']!r} is no server: --server (ESTIVA_SERVER) begins with http:// or https://"
        )
    server = Server(options["server"], options["username"], password, trust_of(context))
    root.call_on_close(server.close)
    return server


def trust_of(context: typer.Context) -> "ssl.SSLContext | None":
    """What verifies certificates, as `--ca-file` says; None where the machine's own settings do."""
    return trusting(context.find_root().obj["ca_file"])


def _reason(error: Exception) -> str:
    from estiva.connections import reason  # only where something went wrong

    return line(reason(error, plain="--server (ESTIVA_SERVER) has to begin with http:// then"))


def read_document(document: str) -> str:
    """The text of a file, or of standard input where that is `-`."""
    try:
        return (sys.stdin.buffer.read() if document == "-" else Path(document).read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read {document}: {getattr(error, 'strerror', None) or 'not text'}") from None


def member(answer: dict[str, Any], name: str) -> list[Any]:
    """A list in an answer."""
    found = answer.get(name)
    if not isinstance(found, list):
        raise CommandError("that is no estiva server: it answers with something else")
    return found


def show(context: typer.Context, value: Any, columns: Sequence[str] = (), spare: Sequence[str] = ()) -> None:
    """Print a result: JSON where `--json` asks for it, else a table of these columns, or a line per member.

    With `--quiet`, of a table the first column alone. On a terminal that is too narrow for it, the table goes without
    those that are `spare`, unless `--wide` is given.
    """
    root = context.find_root().obj
    if root["json"]:
        typer.echo(json.dumps(value, indent=2))
    elif isinstance(value, list) and columns and not root["quiet"]:
        _table(value, columns, spare, wide=root["wide"])
    elif isinstance(value, list):
        for row in value:
            typer.echo(cell(row.get(columns[0])) if columns else row)
    elif isinstance(value, dict):
        for name, member in value.items():
            typer.echo(f"{name}: {cell(member)}")


def _table(rows: list[Any], columns: Sequence[str], spare: Sequence[str], *, wide: bool) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() and not wide else None
    shown, left_out = tables.lines(rows, columns, spare, width)
    for text in shown:
        typer.echo(text)
    if left_out and sys.stderr.isatty():
        typer.echo(f"(--wide shows {', '.join(left_out)}, too)", err=True)


def _segment(name: str) -> str:
    """A name as one segment of a path."""
    if name in ("", ".", ".."):  # of which a path would make something else
        raise CommandError(f"{name!r} is no name")
    return quote(name, safe="")


def _object(response: "httpx2.Response") -> dict[str, Any]:
    if not response.content:
        return {}
    try:
        value = response.json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise CommandError("that is no estiva server: it answers with something else")
    return value


def _refusal(response: "httpx2.Response") -> str:
    try:
        error = response.json()["errors"][0]
        text = line(str(error["message"]))
    except (ValueError, KeyError, IndexError, TypeError):
        return f"the server answered {response.status_code}"
    text = with_details(text, error.get("detail"))
    return f"{text}; ESTIVA_USERNAME and ESTIVA_PASSWORD say who asks" if response.status_code == UNAUTHORIZED else text
