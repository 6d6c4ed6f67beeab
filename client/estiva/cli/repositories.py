"""`estiva repos`: a server's repositories."""

import json
from typing import Annotated

import typer

from estiva.cli import asking
from estiva.cli.server import Server, read_document, server_of, show

Name = Annotated[str, typer.Argument(help="A repository's name, without the host.")]
Document = Annotated[str, typer.Argument(help="A JSON file, or - for standard input.")]
COLUMNS = ("name", "created_at", "tag_mutability", "scan_on_push")


def repos() -> typer.Typer:
    """The verbs of `estiva repos`."""
    app = typer.Typer(help="A server's repositories, and who may do what in them.", no_args_is_help=True)

    @app.command("ls")
    def ls(context: typer.Context) -> None:
        """List all repositories by name, also those without a tag."""
        show(context, server_of(context).every("repositories"), COLUMNS)

    @app.command()
    def create(
        context: typer.Context,
        name: Name,
        immutable: Annotated[bool, typer.Option("--immutable", help="Tags stay where they are, once given.")] = False,
        except_tags: Annotated[
            list[str] | None, typer.Option("--except", help="Tags of which the opposite holds; may hold *.")
        ] = None,
        scan_on_push: Annotated[bool, typer.Option("--scan-on-push", help="Scan what is pushed.")] = False,
    ) -> None:
        """Create an empty repository."""
        mode = ("IMMUTABLE" if immutable else "MUTABLE") + ("_WITH_EXCLUSION" if except_tags else "")
        body = {"name": name, "tag_mutability": mode, "scan_on_push": scan_on_push}
        body |= {"mutability_exclusions": except_tags} if except_tags else {}
        show(context, server_of(context).call("POST", "repositories", body=body))

    _one(app)
    app.add_typer(_policy(), name="policy")
    return app


def _one(app: typer.Typer) -> None:
    @app.command()
    def describe(context: typer.Context, name: Name) -> None:
        """Show what a repository is like."""
        show(context, _of(server_of(context), "GET", name))

    @app.command()
    def delete(
        context: typer.Context,
        name: Name,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    ) -> None:
        """Delete a repository with everything in it."""
        server = server_of(context)
        if not yes:
            asking.confirm(f"Delete {name} with all its images?", "--yes")
        _of(server, "DELETE", name)


def _policy() -> typer.Typer:
    app = typer.Typer(help="Who may do what in a repository.", no_args_is_help=True)

    @app.command("get")
    def get(context: typer.Context, name: Name) -> None:
        """Print the repository's policy."""
        typer.echo(json.dumps(server_of(context).repository_policy("GET", name), indent=2))

    @app.command("set")
    def put(context: typer.Context, name: Name, document: Document) -> None:
        """Set the repository's policy."""
        text = read_document(document)
        server_of(context).repository_policy("PUT", name, text)

    @app.command("rm")
    def remove(context: typer.Context, name: Name) -> None:
        """Remove the repository's policy."""
        server_of(context).repository_policy("DELETE", name)

    return app


def _of(server: Server, method: str, name: str) -> dict[str, object]:
    return server.call(method, "repositories", *name.split("/"))
