"""`estiva tag`, `ls`, `tags` and `rm`: what images are called."""

from typing import Annotated

import typer

from estiva.cli.completing import hosts
from estiva.cli.hosts import split_host
from estiva.cli.registries import AsJSON, PlainHTTP, Quiet, Reference, client_of, show, show_pushed


def tag(
    context: typer.Context,
    reference: Reference,
    tags: Annotated[list[str], typer.Argument(help="Further tags in the same repository.")],
    plain_http: PlainHTTP = False,
    quiet: Quiet = False,
    as_json: AsJSON = False,
) -> None:
    """Give an image further tags; nothing is transferred."""
    with client_of(context, plain_http=plain_http) as client:
        tagged = client.tag(reference, *tags)
    show_pushed(context, reference, tagged, quiet=quiet, as_json=as_json)


def ls(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Argument(
            autocompletion=hosts, help="A registry, with the beginning of repositories' names where wanted."
        ),
    ],
    plain_http: PlainHTTP = False,
    as_json: AsJSON = False,
) -> None:
    """List the repositories of a registry."""
    name, prefix = split_host(host)
    with client_of(context, plain_http=plain_http) as client:
        found = [repository for repository in client.repositories(name) if repository.startswith(prefix)]
    show(context, found, as_json)


def list_tags(
    context: typer.Context,
    repository: Annotated[str, typer.Argument(help="A repository: host/name.")],
    plain_http: PlainHTTP = False,
    as_json: AsJSON = False,
) -> None:
    """List the tags of a repository."""
    with client_of(context, plain_http=plain_http) as client:
        found = client.tags(repository)
    show(context, found, as_json)


def remove(
    context: typer.Context,
    references: Annotated[list[str], typer.Argument(help="Images by tag (only the tag goes) or by digest.")],
    plain_http: PlainHTTP = False,
) -> None:
    """Delete tags, or by digest manifests with all their tags."""
    with client_of(context, plain_http=plain_http) as client:
        for reference in references:
            client.delete(reference)
