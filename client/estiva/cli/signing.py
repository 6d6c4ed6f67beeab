"""`estiva login` and `estiva logout`."""

import json
import sys
from typing import Annotated

import typer

from estiva.cli.completing import hosts
from estiva.cli.failing import CommandError
from estiva.cli.hosts import split_host
from estiva.cli.registries import PlainHTTP
from estiva.cli.server import trust_of

Host = Annotated[
    str, typer.Argument(autocompletion=hosts, help="The registry, such as registry.example.com or 127.0.0.1:5000.")
]


def login(
    context: typer.Context,
    host: Host,
    username: Annotated[
        str, typer.Option("--username", "-u", help="Who you are; asked for where it is not given.")
    ] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    plain_http: PlainHTTP = False,
) -> None:
    """Sign in to a registry; docker and others find the credential too, and estiva finds theirs."""
    from estiva import Client

    if not (password_stdin or sys.stdin.isatty()):
        raise CommandError("there is no terminal to ask for the password: pipe it in with --password-stdin")
    if password_stdin and not username:
        raise typer.BadParameter("--password-stdin needs --username")
    name = username or typer.prompt("Username", err=True)
    secret = (
        sys.stdin.readline().rstrip("\r\n") if password_stdin else typer.prompt("Password", hide_input=True, err=True)
    )
    with Client(plain_http=plain_http or None, context=trust_of(context)) as client:
        where = client.login(_host(host), name, secret)
    _tell(context, _host(host), f"signed in to {_host(host)}; the credential is kept in {where}", kept=where)


def logout(context: typer.Context, host: Host) -> None:
    """Forget the credential for a registry."""
    from estiva import Client

    with Client() as client:
        if not client.logout(_host(host)):
            raise CommandError(f"there is no credential for {_host(host)}")
    _tell(context, _host(host), f"signed out of {_host(host)}")


def _tell(context: typer.Context, host: str, text: str, **more: str) -> None:
    root = context.find_root().obj
    if root["json"]:
        typer.echo(json.dumps({"registry": host, **more}, indent=2))
    elif not root["quiet"]:
        typer.echo(text)


def _host(text: str) -> str:
    return split_host(text)[0]
