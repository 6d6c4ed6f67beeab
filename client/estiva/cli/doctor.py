"""`estiva doctor`: what stands between a person and a registry, or between a server and its work."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from estiva.cli.completing import hosts
from estiva.cli.failing import CommandError
from estiva.cli.hosts import split_host
from estiva.cli.registries import AsJSON, PlainHTTP, credentials_of
from estiva.cli.server import trust_of

if TYPE_CHECKING:
    from estiva.cli.findings import Finding

CHECKS = "estiva.checks"
"""Entry points by which another distribution, the server's, brings the checks of `--here`."""
TIMEOUT = 30.0


def doctor(
    context: typer.Context,
    registry: Annotated[
        str,
        typer.Argument(
            autocompletion=hosts, help="A registry, such as registry.example.com [default: the one of --server]."
        ),
    ] = "",
    here: Annotated[
        bool, typer.Option("--here", help="Look at the server on this machine, by its settings, instead.")
    ] = False,
    config: Annotated[Path | None, typer.Option(help="With --here: TOML file with the server's settings.")] = None,
    data: Annotated[Path | None, typer.Option(help="With --here: directory of its data.")] = None,
    plain_http: PlainHTTP = False,
    as_json: AsJSON = False,
) -> None:
    """Find out why a registry can't be used, and what to do: from here, or on the machine of a server."""
    from estiva.cli.findings import tell

    if here and registry:
        raise typer.BadParameter("a registry can't be looked at together with --here")
    if not here and (config or data):
        raise typer.BadParameter("--config and --data go with --here")
    found = _of_server(config, data) if here else _from_here(context, registry, plain_http)
    tell(context, list(found), as_json)


def _of_server(config: Path | None, data: Path | None) -> "Iterator[Finding]":
    from importlib.metadata import entry_points

    from estiva.cli.findings import Finding

    entries = list(entry_points(group=CHECKS))
    if not entries:
        raise CommandError("there is no server here: --here wants the distribution estiva-server (pip install)")
    for entry in entries:
        for check, outcome, text in entry.load()(config, data):
            yield Finding(check, outcome, text)


def _from_here(context: typer.Context, registry: str, plain_http: bool) -> "Iterator[Finding]":
    from estiva.cli.dockers import docker
    from estiva.cli.surroundings import Target, surroundings
    from estiva.connections import Connections

    options = context.find_root().obj
    host, url = _place(registry or options["server"], plain_http)
    given = bool(options["password"]) and host == urlsplit(options["server"]).netloc
    connections = Connections(timeout=TIMEOUT, context=trust_of(context))
    try:
        yield from surroundings(Target(host, url, credentials_of(context), given), connections)
    finally:
        connections.close()
    yield docker(urlsplit(url).scheme, host, own_authority=bool(options["ca_file"]))


def _place(text: str, plain_http: bool) -> tuple[str, str]:
    """A registry's host and URL, of either."""
    from estiva.imagereference import base_url

    scheme, host = text.partition("://")[0] if "://" in text else "", split_host(text)[0]
    if scheme not in ("", "http", "https") or not host:
        raise typer.BadParameter(f"{text!r} is no address such as https://registry.example.com")
    return host, base_url(host, scheme == "http" if scheme else plain_http or None)
