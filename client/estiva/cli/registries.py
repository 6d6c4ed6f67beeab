"""What the verbs for registries share: the client, the progress on a terminal, and how results are printed."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from estiva.cli.server import CommandError, trust_of
from estiva.cli.server import show as show_result

if TYPE_CHECKING:
    from estiva import Client, Credential, Descriptor, Platform, Progress

Reference = Annotated[str, typer.Argument(help="An image: host[:port]/repository[:tag][@digest].")]
PlainHTTP = Annotated[
    bool, typer.Option("--plain-http", help="Speak HTTP to hosts that are not this machine; nothing is encrypted then.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, and print the digest alone.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
OfPlatform = Annotated[str, typer.Option("--platform", help="Such as linux/arm64, where there are several.")]
Parallel = Annotated[int, typer.Option("--parallel", min=1, max=64, help="How many layers move at the same time.")]
PARALLEL = 4


@contextmanager
def client_of(context: typer.Context, *, plain_http: bool = False, parallel: int = PARALLEL) -> "Iterator[Client]":
    """A client with docker's credentials, and for `--server` the ones that stand before the verb.

    Uploads are remembered, so that a push that was ended goes on when it is repeated.
    """
    from estiva import Client

    with Client(
        credentials=credentials_of(context),
        plain_http=plain_http or None,
        parallel=parallel,
        context=trust_of(context),
        uploads=_state(),
    ) as client:
        yield client


def credentials_of(context: typer.Context) -> "Callable[[str], Credential | None]":
    """What finds the credential of a host: before the verb for `--server`, else where docker keeps it."""
    from estiva import Credential, DockerConfig

    options = context.find_root().obj
    own = urlsplit(options["server"]).netloc

    def find(host: str) -> "Credential | None":
        if options["password"] and host == own:
            return Credential(options["username"], options["password"])
        return DockerConfig().find(host)

    return find


@contextmanager
def progress_on(quiet: bool) -> "Iterator[Progress | None]":
    """Bars on standard error where that is a terminal and nobody wants quiet."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from estiva.cli.bars import Bars

    with Bars() as bars:
        yield bars


def show(context: typer.Context, value: Any, as_json: bool, columns: tuple[str, ...] = ()) -> None:
    """Print a result: as JSON where that is asked for before or after the verb."""
    context.find_root().obj["json"] |= as_json
    show_result(context, value, columns)


def show_pushed(context: typer.Context, reference: str, pushed: "Descriptor", *, quiet: bool, as_json: bool) -> None:
    """Print what was pushed or pulled: a line, its digest alone, or JSON."""
    if as_json or context.find_root().obj["json"]:
        show(context, {"reference": reference, **pushed.as_json()}, as_json)
    else:
        typer.echo(pushed.digest if quiet else f"{reference.partition('@')[0]}@{pushed.digest}")


def platform_of(text: str) -> "Platform | None":
    """The platform in an option, None where it is not given."""
    from estiva import Platform

    return Platform.parse(text) if text else None


def pairs(texts: list[str] | None, option: str) -> Mapping[str, str]:
    """NAME=VALUE from an option that is given any number of times."""
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
        found[name] = value
    return found


def readable(size: int) -> str:
    """A number of bytes for a person."""
    amount, units = float(size), iter(("B", "KiB", "MiB", "GiB"))
    unit = next(units)
    while amount >= 1024 and unit != "GiB":
        amount, unit = amount / 1024, next(units)
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def document_of(content: bytes) -> dict[str, Any]:
    """A manifest as JSON."""
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CommandError("the registry answers with something that is no manifest")
    return document


def _state() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "estiva" / "uploads"
