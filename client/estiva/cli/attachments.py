"""`attach` and `detach`: the verbs of everybody that can have a policy."""

from typing import Annotated

import typer

from estiva.cli.server import server_of

Name = Annotated[str, typer.Argument(help="Its name.")]
Policy = Annotated[str, typer.Argument(help="A policy's name.")]


def attachments(app: typer.Typer, noun: str) -> None:
    """Add the two verbs to the command of that noun."""

    @app.command()
    def attach(context: typer.Context, name: Name, policy: Policy) -> None:
        """Give it a policy."""
        server_of(context).call("PUT", noun, name, "policies", policy)

    @app.command()
    def detach(context: typer.Context, name: Name, policy: Policy) -> None:
        """Take a policy from it."""
        server_of(context).call("DELETE", noun, name, "policies", policy)
