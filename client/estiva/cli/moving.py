"""`estiva push`, `pull`, `cp` and `pack`: images on their way."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from estiva.cli import transfers
from estiva.cli.options import PARALLEL
from estiva.cli.registries import (
    AsJSON,
    OfPlatform,
    Parallel,
    PlainHTTP,
    Quiet,
    Reference,
    bars_of,
    client_of,
    pairs,
    show_pushed,
)
from estiva.cli.transfers import platform_of


def push(  # noqa: PLR0913, PLR0917 - each is a flag
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="An OCI layout (folder or tar file), or what docker save wrote.")],
    reference: Reference,
    select: Annotated[
        str, typer.Option("--select", help="Which image, by tag or digest, where there are several.")
    ] = "",
    mount_from: Annotated[
        list[str] | None, typer.Option("--mount-from", help="A repository that may have some of the layers.")
    ] = None,
    parallel: Parallel = PARALLEL,
    plain_http: PlainHTTP = False,
    quiet: Quiet = False,
    as_json: AsJSON = False,
) -> None:
    """Push an image; what was broken off goes on when it is repeated."""
    transfers.push(
        context.find_root().obj,
        source,
        reference,
        select=select,
        mount_from=mount_from or (),
        parallel=parallel,
        plain_http=plain_http,
        quiet=quiet,
        as_json=as_json,
    )


def pull(  # noqa: PLR0913, PLR0917 - each is a flag
    context: typer.Context,
    reference: Reference,
    target: Annotated[Path, typer.Argument(help="A folder for an OCI layout, or a file that ends with .tar.")],
    platform: OfPlatform = "",
    parallel: Parallel = PARALLEL,
    plain_http: PlainHTTP = False,
    quiet: Quiet = False,
    as_json: AsJSON = False,
) -> None:
    """Pull an image: into an OCI layout, or into a tar file for docker load.

    A layout gets all platforms unless one is named, a tar file this machine's. What was broken off goes on when it is
    repeated.
    """
    transfers.pull(
        context.find_root().obj,
        reference,
        target,
        platform=platform,
        parallel=parallel,
        plain_http=plain_http,
        quiet=quiet,
        as_json=as_json,
    )


def copy(
    context: typer.Context,
    source: Reference,
    target: Reference,
    parallel: Parallel = PARALLEL,
    plain_http: PlainHTTP = False,
    quiet: Quiet = False,
    as_json: AsJSON = False,
) -> None:
    """Copy an image with all its platforms, within a registry or to another."""
    with (
        client_of(context, plain_http=plain_http, parallel=parallel) as client,
        bars_of(context, quiet or as_json) as bars,
    ):
        copied = client.copy(source, target, progress=bars)
    show_pushed(context, target, copied, quiet=quiet, as_json=as_json)


def pack(  # noqa: PLR0913, PLR0917 - each is a flag
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The folder that becomes the image's root.")],
    tag: Annotated[str, typer.Option("--tag", "-t", help="Where to push it: host/name:tag.")],
    entrypoint: Annotated[str, typer.Option("--entrypoint", help="Words, or a JSON list.")] = "",
    cmd: Annotated[str, typer.Option("--cmd", help="Words, or a JSON list.")] = "",
    env: Annotated[list[str] | None, typer.Option("--env", "-e", help="NAME=VALUE.")] = None,
    workdir: Annotated[str, typer.Option("--workdir", "-w", help="Where the program starts.")] = "",
    user: Annotated[str, typer.Option("--user", help="Who runs it.")] = "",
    label: Annotated[list[str] | None, typer.Option("--label", help="NAME=VALUE.")] = None,
    expose: Annotated[list[str] | None, typer.Option("--expose", help="A port, such as 80 or 53/udp.")] = None,
    platform: OfPlatform = "",
    plain_http: PlainHTTP = False,
    quiet: Quiet = False,
    as_json: AsJSON = False,
) -> None:
    """Make an image of a folder and push it, without a daemon; the same files make the same image."""
    from estiva import ContentInvalid, PackConfig, Platform

    words, started = _words(entrypoint, "--entrypoint"), _words(cmd, "--cmd")
    environment, labels = pairs(env, "--env"), pairs(label, "--label")
    target = platform_of(platform) or Platform.of_containers_here()
    try:
        config = PackConfig(words, started, environment, workdir, user, labels, expose or (), target)
    except ContentInvalid as error:
        raise typer.BadParameter(str(error), param_hint="--expose") from None
    with client_of(context, plain_http=plain_http) as client, bars_of(context, quiet or as_json) as bars:
        pushed = client.pack(folder, tag, config, progress=bars)
    show_pushed(context, tag, pushed, quiet=quiet, as_json=as_json)


def _words(text: str, option: str) -> list[str]:
    try:
        words = json.loads(text) if text.startswith("[") else shlex.split(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no command: {error}", param_hint=option) from None
    if not all(isinstance(word, str) for word in words):
        raise typer.BadParameter(f"{text!r} is no list of words", param_hint=option)
    return list(words)
