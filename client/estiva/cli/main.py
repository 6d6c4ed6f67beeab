"""The `estiva` command. Its verbs come from installed distributions: entry points of the group `estiva.commands`."""

from importlib.metadata import entry_points
from typing import Annotated

import typer

from estiva import __version__

GROUP = "estiva.commands"


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"estiva {__version__}")
        raise typer.Exit


def build() -> typer.Typer:
    """The command with every verb that is installed."""
    app = typer.Typer(name="estiva", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=True)

    @app.callback()
    def estiva(
        version: Annotated[
            bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
        ] = False,
    ) -> None:
        """A container registry that is one command."""

    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        app.command(entry.name)(entry.load())
    return app


def main() -> None:
    """Run the command line."""
    build()()
