"""`estiva serve`: the command, its flags, and what it says."""

import os
from pathlib import Path
from typing import Annotated

import typer


def serve(
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    data: Annotated[Path | None, typer.Option(help="Directory of the data [default: ./estiva-data].")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT [default: 127.0.0.1:5000].")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share port and data [default: 1].")] = None,
) -> None:
    """Run the registry until it is asked to stop (SIGTERM or Ctrl-C: running requests end first)."""
    # Imported here so that other commands start without the server's weight.
    from estiva_server.config import ConfigurationError, load
    from estiva_server.serve import StartError, run

    try:
        settings = load(config, dict(os.environ), data=data, listen=listen, workers=workers)
    except ConfigurationError as error:
        typer.echo(f"estiva: {error}", err=True)
        raise typer.Exit(2) from None
    try:
        run(settings)
    except StartError as error:
        typer.echo(f"estiva: {error}", err=True)
        raise typer.Exit(1) from None
