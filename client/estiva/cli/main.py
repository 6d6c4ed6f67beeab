"""The `estiva` command: verbs of its own, and those of other installed distributions (group `estiva.commands`)."""

import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from estiva import __version__
from estiva.cli import access, collection, groups, lifecycle, principals, replicas, soundness, upstreams, webhooks
from estiva.cli.server import DEFAULT_SERVER, CommandError

GROUP = "estiva.commands"
NOUNS = {
    "users": principals.users,
    "robots": principals.robots,
    "keys": access.keys,
    "groups": groups.groups,
    "policies": access.policies,
    "issuers": access.issuers,
    "gc": collection.gc,
    "lifecycle": lifecycle.lifecycle,
    "webhooks": webhooks.webhooks,
    "credentials": upstreams.credentials,
    "upstreams": upstreams.upstreams,
    "replicas": replicas.replicas,
}


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"estiva {__version__}")
        raise typer.Exit


def build() -> typer.Typer:
    """The command with every verb that is installed."""
    app = typer.Typer(name="estiva", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=True)

    @app.callback()
    def estiva(
        context: typer.Context,
        server: Annotated[str, typer.Option(envvar="ESTIVA_SERVER", help="The server.")] = DEFAULT_SERVER,
        username: Annotated[str, typer.Option(envvar="ESTIVA_USERNAME", help="Who you are.")] = "admin",
        password: Annotated[
            str, typer.Option(envvar="ESTIVA_PASSWORD", show_default=False, help="Your password.")
        ] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print results as JSON.")] = False,
        version: Annotated[
            bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
        ] = False,
    ) -> None:
        """A container registry that is one command."""
        context.obj = {"server": server, "username": username, "password": password, "json": as_json}

    for name, noun in NOUNS.items():
        app.add_typer(noun(), name=name)
    app.command("scrub")(soundness.scrub)
    app.command("fsck")(soundness.fsck)
    app.command("audit")(access.audit)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        verb = entry.load()
        if isinstance(verb, typer.Typer):
            app.add_typer(verb, name=entry.name)
        else:
            app.command(entry.name)(verb)
    return app


def main() -> None:
    """Run the command line: 0 done, 1 failed with one line on standard error, 2 wrong usage."""
    try:
        build()(prog_name="estiva")
    except CommandError as error:
        typer.echo(f"estiva: {error}", err=True)
        sys.exit(1)
