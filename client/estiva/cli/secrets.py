"""`estiva secrets`: what tasks get as environment variables."""

from typing import Annotated

import typer

from estiva.cli import asking
from estiva.cli.server import server_of, show

Name = Annotated[str, typer.Argument(help="Its name; a task definition's valueFrom is secret:NAME.")]


def secrets() -> typer.Typer:
    """The verbs of `estiva secrets`."""
    app = typer.Typer(help="Secrets of tasks.", no_args_is_help=True)

    @app.command("ls")
    def ls(context: typer.Context) -> None:
        """List them, without their values."""
        show(context, server_of(context).every("secrets"), ("name", "created_at", "updated_at"))

    @app.command()
    def put(
        context: typer.Context,
        name: Name,
        value: Annotated[
            str | None, typer.Option(help="The secret; - reads standard input; asked for where it is not given.")
        ] = None,
    ) -> None:
        """Enter a secret, or replace it; tasks that run keep what they have."""
        given = asking.secret(value, "Value", "--value", whole=True)
        server_of(context).call("PUT", "secrets", *name.split("/"), body={"value": given})

    @app.command("rm")
    def remove(context: typer.Context, name: Name) -> None:
        """Remove a secret; tasks that want it fail to start from then on."""
        server_of(context).call("DELETE", "secrets", *name.split("/"))

    return app
