"""`estiva serve`, `estiva backup` and `estiva restore`: the commands, their flags, and what they say."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from estiva_server.backup import Copied

DEFAULT_DATA = Path("estiva-data")


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


Data = Annotated[
    Path | None, typer.Option(help="Directory of the data [default: ./estiva-data].", envvar="ESTIVA_DATA")
]
Config = Annotated[Path | None, typer.Option(help="TOML file with the server's settings.")]


def backup(
    target: Annotated[Path, typer.Argument(help="Folder of the backup.")], data: Data = None, config: Config = None
) -> None:
    """Copy a data directory while it is in use: the database, then the blobs that the folder does not have yet."""
    from estiva_server.backup import back_up

    def work() -> "Copied":
        return back_up(_data_directory(data, config), target)

    _report("backed up", work)


def restore(
    source: Annotated[Path, typer.Argument(help="Folder of the backup.")], data: Data = None, config: Config = None
) -> None:
    """Make a data directory of a backup; nothing is collected as garbage in it for seven days."""
    from estiva_server.backup import restore as put_back

    def work() -> "Copied":
        return put_back(source, _data_directory(data, config))

    _report("restored", work)


def _data_directory(data: Path | None, config: Path | None) -> Path:
    """The directory that holds everything of the server with these settings. BackupError."""
    from estiva_server.backup import BackupError, refuse_elsewhere, refuse_settings_elsewhere

    refuse_elsewhere(os.environ)
    if config is None:
        return data or DEFAULT_DATA
    from estiva_server.config import ConfigurationError, load

    try:
        settings = load(config, dict(os.environ), data=data)
    except ConfigurationError as error:
        raise BackupError(str(error)) from None
    refuse_settings_elsewhere(settings, config)
    return settings.data


def _report(done: str, work: "Callable[[], Copied]") -> None:
    from estiva_server.backup import BackupError

    try:
        copied = work()
    except BackupError as error:
        typer.echo(f"estiva: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{done} {copied.blobs} blobs; {copied.copied} of them copied, {copied.copied_bytes} bytes")
    if copied.left_out:
        told = f"left out {copied.left_out} blobs that are known to be bad; `estiva scrub --bad` names them"
        typer.echo(f"estiva: {told}", err=True)
