"""The server that a command speaks to: `/api/v1/`, with the operator's own name and password."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx2
import typer

DEFAULT_SERVER = "http://127.0.0.1:5000"
TIMEOUT = 30.0


class CommandError(Exception):
    """The command failed; the text is the one line that tells why."""


class Server:
    """Sends one request after the other; a refusal becomes a CommandError with the server's own words."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self._url = url.rstrip("/")
        self._client = httpx2.Client(auth=(username, password), timeout=TIMEOUT)

    def call(self, method: str, *path: str, body: Any = None, query: dict[str, str] | None = None) -> Any:
        """The answer's JSON, None where it has none. `body` is sent as JSON, or as it is where it is text."""
        url = f"{self._url}/api/v1/" + "/".join(quote(part, safe="") for part in path)
        content = body if isinstance(body, str) or body is None else json.dumps(body)
        try:
            response = self._client.request(method, url, content=content, params=query or {})
        except httpx2.HTTPError as error:
            raise CommandError(f"cannot reach {self._url}: {error}") from None
        if response.is_success:
            return response.json() if response.content else None
        raise CommandError(_refusal(response))

    def repository_policy(self, method: str, name: str, body: str | None = None) -> Any:
        """The same for the policy of a repository, whose name has slashes of its own."""
        return self.call(method, "repositories", *name.split("/"), "policy", body=body)


def server_of(context: typer.Context) -> Server:
    """The server that the options before the verb, or the environment, name."""
    options = context.find_root().obj
    if not isinstance(options, dict) or not options.get("password"):
        raise CommandError("no password: set ESTIVA_PASSWORD (and ESTIVA_USERNAME, ESTIVA_SERVER where they differ)")
    return Server(options["server"], options["username"], options["password"])


def show(context: typer.Context, value: Any, columns: Iterable[str] = ()) -> None:
    """Print a result: JSON where `--json` asks for it, else a table of these columns, or a line per member."""
    if context.find_root().obj["json"]:
        typer.echo(json.dumps(value, indent=2))
    elif isinstance(value, list):
        _table(value, list(columns))
    elif isinstance(value, dict):
        for name, member in value.items():
            typer.echo(f"{name}: {_text(member)}")


def _table(rows: list[Any], columns: list[str]) -> None:
    if not columns:
        for row in rows:
            typer.echo(row)
        return
    texts = [columns, *([_text(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in texts) for index in range(len(columns))]
    for line in texts:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    if isinstance(value, float):  # times are the only numbers with a fraction
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, list):
        return ", ".join(_text(entry) for entry in value) or "-"
    if isinstance(value, dict):
        return json.dumps(value)
    return {None: "-", True: "yes", False: "no"}.get(value, str(value))


def _refusal(response: httpx2.Response) -> str:
    try:
        error = response.json()["errors"][0]
        text = f"{error['message']}"
    except (ValueError, KeyError, IndexError, TypeError):
        return f"the server answered {response.status_code}"
    detail = error.get("detail")
    return f"{text} ({_text(detail)})" if detail else text
