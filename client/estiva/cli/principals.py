"""`estiva users` and `estiva robots`."""

from typing import Annotated

import typer

from estiva.cli import asking
from estiva.cli.attachments import attachments
from estiva.cli.completing import rights
from estiva.cli.htpasswd import import_htpasswd
from estiva.cli.server import server_of, show

Name = Annotated[str, typer.Argument(help="Its name.")]
Secret = Annotated[
    str | None,
    typer.Option(help="The new password, or - to read a line of standard input; asked for where it is not given."),
]
COLUMNS = ("name", "disabled", "created_at", "expires_at")


def users() -> typer.Typer:
    """The verbs of `estiva users`."""
    app = typer.Typer(help="People who sign in with a password.", no_args_is_help=True)
    _common(app, "users")

    @app.command()
    def create(
        context: typer.Context,
        name: Name,
        password: Secret = None,
    ) -> None:
        """Create a user; the password is asked for where it is not given."""
        given = asking.secret(password, "Password", "--password", twice=True)
        show(context, server_of(context).call("POST", "users", body={"name": name, "password": given}))

    @app.command()
    def password(
        context: typer.Context,
        name: Name,
        new: Secret = None,
    ) -> None:
        """Give a user another password; everybody may change their own."""
        given = asking.secret(new, "New password", "--new", twice=True)
        server_of(context).call("PATCH", "users", name, body={"password": given})

    app.command("import-htpasswd")(import_htpasswd)
    return app


def robots() -> typer.Typer:
    """The verbs of `estiva robots`."""
    app = typer.Typer(help="Programs that sign in with a secret that the server makes.", no_args_is_help=True)
    _common(app, "robots")

    @app.command()
    def create(
        context: typer.Context,
        name: Name,
        expires_in: Annotated[float | None, typer.Option(help="Seconds until it expires [default: never].")] = None,
        repository: Annotated[list[str] | None, typer.Option(help="A repository it is for; may hold *.")] = None,
        action: Annotated[list[str] | None, typer.Option(autocompletion=rights, help="pull, push or delete.")] = None,
    ) -> None:
        """Create a robot and show its secret, this once."""
        body: dict[str, object] = {"name": name}
        if expires_in is not None:
            body["expires_in"] = expires_in
        if repository or action:
            body |= {"repositories": repository or [], "actions": action or []}
        show(context, server_of(context).call("POST", "robots", body=body))

    @app.command()
    def renew(context: typer.Context, name: Name) -> None:
        """Give a robot another secret and show it, this once."""
        show(context, server_of(context).call("PATCH", "robots", name, body={"renew_secret": True}))

    return app


def _common(app: typer.Typer, noun: str) -> None:
    """The verbs that users and robots share."""

    @app.command("ls")
    def ls(context: typer.Context) -> None:
        """List them by name."""
        show(context, server_of(context).every(noun), COLUMNS)

    @app.command("show")
    def show_one(context: typer.Context, name: Name) -> None:
        """Show one, with its access keys and policies."""
        show(context, server_of(context).call("GET", noun, name))

    @app.command()
    def disable(context: typer.Context, name: Name) -> None:
        """Shut one out, at once."""
        server_of(context).call("PATCH", noun, name, body={"disabled": True})

    @app.command()
    def enable(context: typer.Context, name: Name) -> None:
        """Let one in again."""
        server_of(context).call("PATCH", noun, name, body={"disabled": False})

    @app.command("rm")
    def remove(context: typer.Context, name: Name) -> None:
        """Remove one with everything it has."""
        server_of(context).call("DELETE", noun, name)

    attachments(app, noun)
