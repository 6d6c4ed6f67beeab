"""`estiva credentials` and `estiva upstreams`: other registries that this one pulls from."""

from typing import Annotated

import typer

from estiva.cli import asking
from estiva.cli.failing import CommandError
from estiva.cli.server import member, server_of, show

Name = Annotated[str, typer.Argument(help="Its name.")]
Prefix = Annotated[str, typer.Argument(help="What the repositories' names begin with; ROOT for all of them.")]


def credentials() -> typer.Typer:
    """The verbs of `estiva credentials`."""
    app = typer.Typer(help="Names and secrets for other registries.", no_args_is_help=True)

    @app.command("ls")
    def ls(context: typer.Context) -> None:
        """List them, without their secrets."""
        found = server_of(context).every("upstream-credentials")
        show(context, found, ("name", "username", "token_server", "updated_at"))

    @app.command()
    def put(
        context: typer.Context,
        name: Name,
        login: Annotated[str, typer.Option(help="The username at the other registry.")],
        secret: Annotated[
            str | None,
            typer.Option(help="The password or token; - reads a line of standard input; asked for where not given."),
        ] = None,
        token_server: Annotated[
            str | None, typer.Option(help="A host beside the registry's that may see them.")
        ] = None,
    ) -> None:
        """Enter a credential, or replace it."""
        given = asking.secret(secret, "Secret", "--secret")
        body = {"username": login, "secret": given, "token_server": token_server}
        server_of(context).call("PUT", "upstream-credentials", *name.split("/"), body=body)

    @app.command("rm")
    def remove(context: typer.Context, name: Name) -> None:
        """Remove a credential that nothing uses."""
        server_of(context).call("DELETE", "upstream-credentials", *name.split("/"))

    return app


def upstreams() -> typer.Typer:
    """The verbs of `estiva upstreams`."""
    app = typer.Typer(
        help="Pull-through cache rules: which repositories come from which registry.", no_args_is_help=True
    )

    @app.command("ls")
    def ls(context: typer.Context) -> None:
        """List the rules by prefix."""
        found = member(server_of(context).call("GET", "pull-through-rules"), "rules")
        show(context, found, ("prefix", "upstream", "upstream_prefix", "credential"))

    @app.command()
    def create(
        context: typer.Context,
        prefix: Prefix,
        upstream: Annotated[str, typer.Argument(help="The other registry's host, or its URL.")],
        credential: Annotated[str | None, typer.Option(help="The credential to sign in with.")] = None,
        upstream_prefix: Annotated[str | None, typer.Option(help="What the names there begin with.")] = None,
    ) -> None:
        """Create a rule."""
        body = {"prefix": prefix, "upstream": upstream, "credential": credential, "upstream_prefix": upstream_prefix}
        server_of(context).call("POST", "pull-through-rules", body=body)

    @app.command()
    def update(
        context: typer.Context,
        prefix: Prefix,
        credential: Annotated[str | None, typer.Option(help="The credential to sign in with from now on.")] = None,
    ) -> None:
        """Give a rule another credential, or none."""
        server_of(context).call("PUT", "pull-through-rules", *prefix.split("/"), body={"credential": credential})

    _upkeep(app)
    return app


def _upkeep(app: typer.Typer) -> None:
    """The verbs for a rule that is there."""

    @app.command()
    def check(context: typer.Context, prefix: Prefix) -> None:
        """Ask the other registry whether it lets us in."""
        found = server_of(context).call("GET", "pull-through-rules", *prefix.split("/"))
        if found.get("valid") is not True:
            raise CommandError(str(found.get("failure")))
        show(context, found)

    @app.command("rm")
    def remove(context: typer.Context, prefix: Prefix) -> None:
        """Remove a rule; what was cached stays."""
        server_of(context).call("DELETE", "pull-through-rules", *prefix.split("/"))
