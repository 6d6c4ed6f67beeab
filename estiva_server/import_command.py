"""`estiva import`: taking over what another registry has stored."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from estiva_server.config import Settings
    from estiva_server.importing import Imported

imports = typer.Typer(no_args_is_help=True, help="Take over what another registry has stored.")


@imports.callback()
def _noun() -> None:
    """Take over what another registry has stored."""


@imports.command()
def distribution(
    directory: Annotated[Path, typer.Argument(help="The root directory of its filesystem storage.")],
    config: Annotated[Path | None, typer.Option(help="TOML file with this registry's settings.")] = None,
) -> None:
    """Import the directory of CNCF distribution (`registry:2`, `registry:3`): blobs, manifests and tags, unchanged.

    What is here already is left alone. Exit code 1 when something was skipped; it is named.
    """
    import asyncio

    from estiva.errors import RegistryError
    from estiva_server.config import ConfigurationError, load
    from estiva_server.importing import TREE
    from estiva_server.serve import StartError, prepare

    if not (directory / TREE / "repositories").is_dir():
        raise typer.BadParameter(f"there is no {TREE}/repositories in {directory}")
    try:
        settings = load(config, dict(os.environ))
        prepare(settings)
        done = asyncio.run(_import(settings, directory))
    except ConfigurationError as error:
        typer.echo(f"estiva: {error}", err=True)
        raise typer.Exit(2) from None
    except (StartError, RegistryError, OSError) as error:
        typer.echo(f"estiva: broken off: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"imported {done.blobs} blobs, {done.manifests} manifests, {done.tags} tags; {done.present} were there")
    for what in done.skipped:
        typer.echo(f"estiva: skipped {what}", err=True)
    raise typer.Exit(1 if done.skipped else 0)


async def _import(settings: "Settings", directory: Path) -> "Imported":
    from estiva_server.app import build
    from estiva_server.importing import Importing

    parts = build(settings)
    try:
        return await Importing(parts.registry, directory).run()
    finally:
        await parts.close()
