"""What the verbs for registries share: the client, the progress on a terminal, and how results are printed."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from estiva.cli.completing import platforms
from estiva.cli.failing import CommandError
from estiva.cli.options import MOST_PARALLEL, PARALLEL
from estiva.cli.server import show as show_result
from estiva.cli.transfers import finding, opened, progress_on, show_moved

if TYPE_CHECKING:
    from estiva import Client, Credential, Descriptor, Progress

Reference = Annotated[str, typer.Argument(help="An image: host[:port]/repository[:tag]\\[@digest].")]
PlainHTTP = Annotated[
    bool, typer.Option("--plain-http", help="Speak HTTP to hosts that are not this machine; nothing is encrypted then.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, and print the digest alone.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def _platform(text: str) -> str:
    from estiva import Platform, ReferenceInvalid

    try:
        return str(Platform.parse(text)) if text else ""
    except ReferenceInvalid as error:
        raise typer.BadParameter(str(error)) from None


OfPlatform = Annotated[
    str,
    typer.Option(
        "--platform",
        callback=_platform,
        autocompletion=platforms,
        help="Such as linux/arm64, where there are several.",
    ),
]
Parallel = Annotated[
    int, typer.Option("--parallel", min=1, max=MOST_PARALLEL, help="How many layers move at the same time.")
]


def client_of(
    context: typer.Context, *, plain_http: bool = False, parallel: int = PARALLEL
) -> "AbstractContextManager[Client]":
    """A client with docker's credentials, and for `--server` the ones that stand before the verb."""
    return opened(context.find_root().obj, plain_http=plain_http, parallel=parallel)


def bars_of(context: typer.Context, quiet: bool) -> "AbstractContextManager[Progress | None]":
    """The progress of each layer, where there is somebody who sees it and nobody wants quiet."""
    return progress_on(context.find_root().obj, quiet)


def credentials_of(context: typer.Context) -> "Callable[[str], Credential | None]":
    """What finds the credential of a host: before the verb for `--server`, else where docker keeps it."""
    return finding(context.find_root().obj)


def show(context: typer.Context, value: Any, as_json: bool, columns: tuple[str, ...] = ()) -> None:
    """Print a result: as JSON where that is asked for before or after the verb."""
    context.find_root().obj["json"] |= as_json
    show_result(context, value, columns)


def show_pushed(context: typer.Context, reference: str, pushed: "Descriptor", *, quiet: bool, as_json: bool) -> None:
    """Print what was pushed or pulled: a line, its digest alone, or JSON."""
    show_moved(context.find_root().obj, reference, pushed, quiet=quiet, as_json=as_json)


def pairs(texts: list[str] | None, option: str) -> Mapping[str, str]:
    """NAME=VALUE from an option that is given any number of times."""
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
        found[name] = value
    return found


def document_of(content: bytes) -> dict[str, Any]:
    """A manifest as JSON."""
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CommandError("the registry answers with something that is no manifest")
    return document
