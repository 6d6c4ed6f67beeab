"""`estiva lifecycle`."""

import json
from typing import Annotated, Any

import typer

from estiva.cli.server import Server, member, read_document, server_of, show

Repository = Annotated[str, typer.Argument(help="A repository's name.")]
Document = Annotated[str, typer.Argument(help="A JSON file, or - for standard input.")]
COLUMNS = ("digest", "tags", "pushed_at", "pulled_at", "manifests", "rule")


def lifecycle() -> typer.Typer:
    """The verbs of `estiva lifecycle`."""
    app = typer.Typer(help="Lifecycle policies: which images expire, and when.", no_args_is_help=True)

    @app.command("show")
    def show_one(context: typer.Context, repository: Repository) -> None:
        """Show a repository's lifecycle policy."""
        typer.echo(json.dumps(_call(server_of(context), "GET", "policies", repository), indent=2))

    @app.command()
    def put(context: typer.Context, repository: Repository, document: Document) -> None:
        """Set a repository's lifecycle policy; it is carried out within a day."""
        text = read_document(document)
        _call(server_of(context), "PUT", "policies", repository, text)

    @app.command("rm")
    def remove(context: typer.Context, repository: Repository) -> None:
        """Remove a repository's lifecycle policy."""
        _call(server_of(context), "DELETE", "policies", repository)

    _acting(app)
    return app


def _acting(app: typer.Typer) -> None:
    @app.command()
    def preview(
        context: typer.Context,
        repository: Repository,
        policy: Annotated[str | None, typer.Option(help="By this JSON file (- for standard input) instead.")] = None,
    ) -> None:
        """List the images that would expire now. Nothing is removed."""
        text = None if policy is None else read_document(policy)
        show(context, member(_call(server_of(context), "POST", "previews", repository, text), "expiring"), COLUMNS)

    @app.command()
    def run(context: typer.Context, repository: Repository) -> None:
        """Carry a repository's policy out now; list what expired, then what was kept and why."""
        done = _call(server_of(context), "POST", "runs", repository)
        if context.find_root().obj["json"]:
            show(context, done)
            return
        show(context, member(done, "expired"), COLUMNS)
        if kept := member(done, "kept"):
            show(context, kept, ("digest", "tags", "reason"))


def _call(server: Server, method: str, what: str, repository: str, body: str | None = None) -> dict[str, Any]:
    return server.call(method, f"lifecycle-{what}", *repository.split("/"), body=body)
