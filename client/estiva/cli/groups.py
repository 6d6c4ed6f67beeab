"""`estiva groups`."""

from typing import Annotated

import typer

from estiva.cli.attachments import attachments
from estiva.cli.server import server_of, show

Name = Annotated[str, typer.Argument(help="Its name.")]
Member = Annotated[str, typer.Argument(help="A user's or robot's name.")]


def groups() -> typer.Typer:
    """The verbs of `estiva groups`."""
    app = typer.Typer(help="Groups of users and robots that share policies.", no_args_is_help=True)

    @app.command("ls")
    def ls(context: typer.Context) -> None:
        """List the groups by name."""
        show(context, server_of(context).every("groups"))

    @app.command("show")
    def show_one(context: typer.Context, name: Name) -> None:
        """Show a group with its members and policies."""
        show(context, server_of(context).call("GET", "groups", name))

    @app.command()
    def create(context: typer.Context, name: Name) -> None:
        """Create an empty group."""
        show(context, server_of(context).call("POST", "groups", body={"name": name}))

    @app.command("rm")
    def remove(context: typer.Context, name: Name) -> None:
        """Remove a group; its members stay."""
        server_of(context).call("DELETE", "groups", name)

    @app.command()
    def add(context: typer.Context, name: Name, member: Member) -> None:
        """Make a user or robot a member."""
        server_of(context).call("PUT", "groups", name, "members", member)

    @app.command()
    def take(context: typer.Context, name: Name, member: Member) -> None:
        """End a membership."""
        server_of(context).call("DELETE", "groups", name, "members", member)

    attachments(app, "groups")
    return app
