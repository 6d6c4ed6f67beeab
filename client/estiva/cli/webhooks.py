"""`estiva webhooks`."""

from typing import Annotated, Any

import typer

from estiva.cli.completing import events, formats
from estiva.cli.server import member, server_of, show

Name = Annotated[str, typer.Argument(help="Its name.")]


def webhooks() -> typer.Typer:
    """The verbs of `estiva webhooks`."""
    app = typer.Typer(help="Webhooks: who is told what happens to images.", no_args_is_help=True)

    @app.command("ls")
    def ls(context: typer.Context) -> None:
        """List the webhooks by name."""
        show(context, server_of(context).every("webhooks"), ("name", "url", "format", "actions", "prefix", "enabled"))

    @app.command("show")
    def show_one(context: typer.Context, name: Name) -> None:
        """Show a webhook."""
        show(context, server_of(context).call("GET", "webhooks", name))

    @app.command()
    def create(
        context: typer.Context,
        name: Name,
        url: Annotated[str, typer.Argument(help="Where events are sent to.")],
        form: Annotated[
            str, typer.Option("--format", autocompletion=formats, help="cloudevents or eventbridge.")
        ] = "cloudevents",
        action: Annotated[
            list[str] | None, typer.Option(autocompletion=events, help="Only of these, such as PUSH; all but PULL.")
        ] = None,
        prefix: Annotated[str, typer.Option(help="Only of repositories whose names begin so.")] = "",
    ) -> None:
        """Create a webhook and show its secret, this once."""
        body: dict[str, Any] = {"name": name, "url": url, "format": form, "prefix": prefix}
        show(context, server_of(context).call("POST", "webhooks", body=body | ({"actions": action} if action else {})))

    _changes(app)
    _failures(app)
    return app


def _changes(app: typer.Typer) -> None:
    @app.command()
    def enable(context: typer.Context, name: Name) -> None:
        """Tell it again, beginning with what waited."""
        server_of(context).call("PATCH", "webhooks", name, body={"enabled": True})

    @app.command()
    def disable(context: typer.Context, name: Name) -> None:
        """Tell it no more."""
        server_of(context).call("PATCH", "webhooks", name, body={"enabled": False})

    @app.command()
    def renew(context: typer.Context, name: Name) -> None:
        """Replace the secret and show the new one, this once."""
        show(context, server_of(context).call("PATCH", "webhooks", name, body={"renew_secret": True}))

    @app.command("rm")
    def remove(context: typer.Context, name: Name) -> None:
        """Remove a webhook, with what it has not been told yet."""
        server_of(context).call("DELETE", "webhooks", name)


def _failures(app: typer.Typer) -> None:
    @app.command()
    def failures(
        context: typer.Context,
        name: Name,
        after: Annotated[int, typer.Option(min=0, help="Only those after the one of this number.")] = 0,
    ) -> None:
        """List events that it could not be told, 100 at a time."""
        found = server_of(context).call("GET", "webhooks", name, "failures", query={"last": str(after)})
        show(context, member(found, "failures"), ("id", "occurred_at", "action", "repository", "tag", "error"))

    @app.command()
    def redeliver(context: typer.Context, name: Name) -> None:
        """Try to tell it all of these again."""
        show(context, server_of(context).call("POST", "webhooks", name, "failures"))
