"""`estiva inspect` and `estiva diff`: what is in an image."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from estiva.cli.registries import (
    AsJSON,
    OfPlatform,
    PlainHTTP,
    Quiet,
    Reference,
    client_of,
    document_of,
    show,
)
from estiva.cli.transfers import platform_of, readable
from estiva.mediatypes import INDEXES

if TYPE_CHECKING:
    from estiva import Image, StoredManifest


def inspect(
    context: typer.Context,
    reference: Reference,
    platform: OfPlatform = "",
    raw: Annotated[bool, typer.Option("--raw", help="Print the manifest as it is stored, byte for byte.")] = False,
    plain_http: PlainHTTP = False,
    quiet: Quiet = False,
    as_json: AsJSON = False,
) -> None:
    """Show what an image is: its platforms, or its config, layers and history."""
    with client_of(context, plain_http=plain_http) as client:
        stored = client.manifest(reference)
        if raw:
            typer.echo(stored.content.decode(errors="replace"), nl=False)
        elif _is_quiet(context, quiet, as_json):
            typer.echo(client.image(reference, platform=platform_of(platform)).digest if platform else stored.digest)
        elif stored.media_type in INDEXES and not platform:
            show(context, _index(stored), as_json)
            _platforms(context, stored)
        elif _is_artifact(stored):
            show(context, _artifact(stored), as_json)
        else:
            _show_image(context, client.image(reference, platform=platform_of(platform)), as_json)


def _is_quiet(context: typer.Context, quiet: bool, as_json: bool) -> bool:
    root = context.find_root().obj
    return bool(quiet or root["quiet"]) and not (as_json or root["json"])


def diff(
    context: typer.Context,
    left: Reference,
    right: Reference,
    platform: OfPlatform = "",
    plain_http: PlainHTTP = False,
    as_json: AsJSON = False,
) -> None:
    """Show in what two images differ: config, labels, environment, layers. Nothing printed: they are the same."""
    with client_of(context, plain_http=plain_http) as client:
        first, second = (client.image(name, platform=platform_of(platform)) for name in (left, right))
    before, after = _comparable(first), _comparable(second)
    rows = [
        {"what": name, "left": before.get(name), "right": after.get(name)}
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    if rows or as_json or context.find_root().obj["json"]:
        show(context, rows, as_json, ("what", "left", "right"))


def _comparable(image: "Image") -> dict[str, str]:
    config = image.config
    lines = {
        "platform": str(config.platform),
        "entrypoint": " ".join(config.entrypoint),
        "cmd": " ".join(config.command),
        "workdir": config.working_directory,
        "user": config.user,
        "ports": " ".join(config.exposed_ports),
        **{f"env {name}": value for name, value in config.environment.items()},
        **{f"label {name}": value for name, value in config.labels.items()},
        **{f"layer {layer.digest.hex[:12]}": readable(layer.size) for layer in image.layers},
    }
    return {name: value for name, value in lines.items() if value}


def _index(stored: "StoredManifest") -> dict[str, Any]:
    return {"digest": str(stored.digest), "mediaType": stored.media_type, **_listed(stored)}


def _listed(stored: "StoredManifest") -> dict[str, Any]:
    return {"manifests": document_of(stored.content).get("manifests")}


def _platforms(context: typer.Context, stored: "StoredManifest") -> None:
    """A hint for a person, on standard error, how to see more."""
    if not context.find_root().obj["json"]:
        typer.echo("this is an index: --platform OS/ARCHITECTURE shows one of its images", err=True)


def _is_artifact(stored: "StoredManifest") -> bool:
    media_type = str((document_of(stored.content).get("config") or {}).get("mediaType", ""))
    return stored.media_type not in INDEXES and not media_type.endswith(
        ("image.config.v1+json", "container.image.v1+json")
    )


def _artifact(stored: "StoredManifest") -> dict[str, Any]:
    document = document_of(stored.content)
    members = ["artifactType", "annotations", "subject", "layers"]
    shown = {name: document[name] for name in members if name in document}
    return {"digest": str(stored.digest), "mediaType": stored.media_type, **shown}


def _show_image(context: typer.Context, image: "Image", as_json: bool) -> None:
    config = image.config
    told = {
        "reference": str(image.reference),
        "digest": str(image.digest),
        "mediaType": image.media_type,
        "platform": str(config.platform),
        "created": config.created,
        "entrypoint": list(config.entrypoint),
        "cmd": list(config.command),
        "env": [f"{name}={value}" for name, value in config.environment.items()],
        "workdir": config.working_directory,
        "user": config.user,
        "ports": list(config.exposed_ports),
        "labels": [f"{name}={value}" for name, value in config.labels.items()],
        "size": image.size,
    }
    steps = [
        {
            "layer": str(step.layer.digest) if step.layer else None,
            "size": step.layer.size if step.layer else 0,
            "createdBy": step.created_by or step.comment,
        }
        for step in image.history
    ]
    if as_json or context.find_root().obj["json"]:
        show(context, {**told, "history": steps}, as_json)
        return
    show(context, {**told, "size": readable(image.size)}, as_json)
    show(
        context,
        [_in_a_row(step) for step in steps],
        as_json,
        ("layer", "size", "createdBy"),
    )


def _in_a_row(step: dict[str, Any]) -> dict[str, Any]:
    """A step of the history for people: as much of the digest as they look at."""
    layer = str(step["layer"] or "").partition(":")[2][:12]
    return {**step, "layer": layer or None, "size": readable(step["size"])}
