"""`estiva quotas`."""

import re
from typing import Annotated

import typer

from estiva.cli.server import server_of, show

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
COLUMNS = ("name", "limit_bytes", "used_bytes")
Subject = Annotated[str, typer.Argument(help="A repository's name; * is the whole account.")]


def quotas() -> typer.Typer:
    """The verbs of `estiva quotas`."""
    app = typer.Typer(help="Quotas: how many bytes repositories and the account may hold.", no_args_is_help=True)

    @app.command("ls")
    def list_all(context: typer.Context) -> None:
        """List the quotas, and how much of each is used."""
        show(context, server_of(context).every("quotas"), COLUMNS)

    @app.command("show")
    def show_one(context: typer.Context, repository: Subject) -> None:
        """Show one quota."""
        show(context, server_of(context).call("GET", "quotas", *repository.split("/")))

    @app.command()
    def put(
        context: typer.Context,
        repository: Subject,
        size: Annotated[str, typer.Argument(help="Bytes, or such as 500M, 10G (10^9 bytes) or 10Gi (2^30).")],
    ) -> None:
        """Set a quota. What is stored already stays, be it more; only new content is refused."""
        body = {"limit_bytes": _bytes(size)}
        show(context, server_of(context).call("PUT", "quotas", *repository.split("/"), body=body))

    @app.command("rm")
    def remove(context: typer.Context, repository: Subject) -> None:
        """Remove a quota."""
        server_of(context).call("DELETE", "quotas", *repository.split("/"))

    return app


def _bytes(size: str) -> int:
    match = re.fullmatch(r"([0-9]{1,18})(?:([kmgt]i?)b?)?", size, re.IGNORECASE)
    if match is None:
        raise typer.BadParameter("a size is a number of bytes, or one with k, M, G, T, Ki, Mi, Gi or Ti, such as 10G")
    return int(match[1]) * UNITS[(match[2] or "").lower()]
