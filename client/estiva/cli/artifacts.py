"""`estiva artifact`, `attach` and `discover`: files beside images."""

from pathlib import Path
from typing import Annotated

import typer

from estiva.cli.registries import (
    AsJSON,
    PlainHTTP,
    Quiet,
    Reference,
    bars_of,
    client_of,
    pairs,
    show,
    show_pushed,
)
from estiva.mediatypes import OCTETS, UNKNOWN_ARTIFACT, is_media_type

Files = Annotated[list[Path], typer.Argument(help="Files.")]


def _media_type(text: str) -> str:
    if not is_media_type(text):
        raise typer.BadParameter(f"{text!r} is no media type such as {OCTETS}")
    return text


Type = Annotated[str, typer.Option("--type", callback=_media_type, help="What the artifact is, as a media type.")]
MediaType = Annotated[str, typer.Option("--media-type", callback=_media_type, help="Of the files.")]
Annotation = Annotated[list[str] | None, typer.Option("--annotation", "-a", help="NAME=VALUE.")]


def artifact() -> typer.Typer:
    """The verbs of `estiva artifact`."""
    app = typer.Typer(help="Files as artifacts, stored as oras does.", no_args_is_help=True)

    @app.command()
    def push(  # noqa: PLR0913, PLR0917 - each is a flag
        context: typer.Context,
        reference: Reference,
        files: Files,
        artifact_type: Type = UNKNOWN_ARTIFACT,
        media_type: MediaType = OCTETS,
        annotation: Annotation = None,
        plain_http: PlainHTTP = False,
        quiet: Quiet = False,
        as_json: AsJSON = False,
    ) -> None:
        """Push files as one artifact."""
        told = pairs(annotation, "--annotation")
        with client_of(context, plain_http=plain_http) as client, bars_of(context, quiet or as_json) as bars:
            pushed = client.push_files(
                reference, files, artifact_type=artifact_type, annotations=told, media_type=media_type, progress=bars
            )
        show_pushed(context, reference, pushed, quiet=quiet, as_json=as_json)

    @app.command()
    def pull(
        context: typer.Context,
        reference: Reference,
        folder: Annotated[Path, typer.Argument(help="Where the files go.")] = Path(),
        plain_http: PlainHTTP = False,
        quiet: Quiet = False,
        as_json: AsJSON = False,
    ) -> None:
        """Write the files of an artifact into a folder."""
        with client_of(context, plain_http=plain_http) as client, bars_of(context, quiet or as_json) as bars:
            written = client.pull_files(reference, folder, progress=bars)
        show(context, [str(path) for path in written], as_json)

    return app


def attach(  # noqa: PLR0913, PLR0917 - each is a flag
    context: typer.Context,
    reference: Reference,
    files: Annotated[list[Path] | None, typer.Argument(help="Files.")] = None,
    artifact_type: Type = UNKNOWN_ARTIFACT,
    media_type: MediaType = OCTETS,
    annotation: Annotation = None,
    plain_http: PlainHTTP = False,
    quiet: Quiet = False,
    as_json: AsJSON = False,
) -> None:
    """Attach files to an image: signatures, SBOMs and the like, found by `estiva discover`."""
    told = pairs(annotation, "--annotation")
    with client_of(context, plain_http=plain_http) as client, bars_of(context, quiet or as_json) as bars:
        attached = client.attach(
            reference, files or [], artifact_type=artifact_type, annotations=told, media_type=media_type, progress=bars
        )
    repository = reference.partition("@")[0]
    show_pushed(context, repository, attached, quiet=quiet, as_json=as_json)


def discover(
    context: typer.Context,
    reference: Reference,
    artifact_type: Annotated[str, typer.Option("--type", help="Only those of this type.")] = "",
    plain_http: PlainHTTP = False,
    as_json: AsJSON = False,
) -> None:
    """List what is attached to an image."""
    with client_of(context, plain_http=plain_http) as client:
        found = [referrer.as_json() for referrer in client.referrers(reference, artifact_type=artifact_type)]
    show(context, found, as_json, ("digest", "artifactType", "size"))
