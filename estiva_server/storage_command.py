"""`estiva storage`: moving blobs from one place to another."""

from typing import Annotated

import typer

storage = typer.Typer(no_args_is_help=True, help="Where blobs are kept.")


@storage.callback()
def _noun() -> None:
    """Where blobs are kept."""


@storage.command()
def copy(
    source: Annotated[str, typer.Option("--from", help="file:///DIRECTORY of blobs.")],
    target: Annotated[str, typer.Option("--to", help="s3://BUCKET/PREFIX?...")],
) -> None:
    """Copy blobs from a directory into a bucket under the same keys; what is there already is left alone.

    Every copy is read back and hashed. Exit code 1 when a blob's bytes are bad; it is named and not copied.
    """
    from estiva_server.config import directory_of
    from storage.blobs.copying import Copying, copy_blobs
    from storage.blobs.filesystem import FilesystemBlobStore
    from storage.blobs.s3.location import S3Location
    from storage.blobs.s3.store import S3BlobStore

    try:
        directory, location = directory_of(source), S3Location.parse(target)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if not (directory / "blobs").is_dir():
        raise typer.BadParameter(f"there are no blobs in {directory}")
    store = S3BlobStore(location)
    done = Copying()
    try:
        copy_blobs(FilesystemBlobStore(directory), store, store, done)
    except (OSError, LookupError, RuntimeError) as error:
        typer.echo(f"estiva: broken off after {done.copied} blobs: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"copied {done.copied} blobs ({done.copied_bytes} bytes), {done.present} were there")
    for key in done.skipped:
        typer.echo(f"estiva: bad in the source, not copied: {key}", err=True)
    raise typer.Exit(1 if done.skipped else 0)
