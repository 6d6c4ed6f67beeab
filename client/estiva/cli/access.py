"""`estiva keys`, `estiva policies`, `estiva issuers` and `estiva audit`."""

import json
from typing import Annotated

import typer

from estiva.cli.server import member, read_document, server_of, show

Name = Annotated[str, typer.Argument(help="Its name.")]
Member = Annotated[str, typer.Argument(help="A user's or robot's name.")]
Document = Annotated[str, typer.Argument(help="A JSON file, or - for standard input.")]
Key = Annotated[str, typer.Argument(help="The key's id.")]
Robot = Annotated[bool, typer.Option("--robot", help="The name is a robot's, not a user's.")]


def keys() -> typer.Typer:
    """The verbs of `estiva keys`."""
    app = typer.Typer(help="Access keys of users and robots: a name and secret for programs.", no_args_is_help=True)

    @app.command("ls")
    def ls(context: typer.Context, owner: Member, robot: Robot = False) -> None:
        """List the access keys of a user or robot."""
        found = server_of(context).call("GET", _noun(robot), owner)
        show(context, member(found, "keys"), ("id", "disabled", "created_at"))

    @app.command()
    def create(context: typer.Context, owner: Member, robot: Robot = False) -> None:
        """Create an access key and show its secret, this once."""
        show(context, server_of(context).call("POST", _noun(robot), owner, "keys"))

    @app.command()
    def disable(context: typer.Context, owner: Member, key: Key, robot: Robot = False) -> None:
        """Make an access key useless, at once."""
        server_of(context).call("PATCH", _noun(robot), owner, "keys", key, body={"disabled": True})

    @app.command()
    def enable(context: typer.Context, owner: Member, key: Key, robot: Robot = False) -> None:
        """Make an access key useful again."""
        server_of(context).call("PATCH", _noun(robot), owner, "keys", key, body={"disabled": False})

    @app.command("rm")
    def remove(context: typer.Context, owner: Member, key: Key, robot: Robot = False) -> None:
        """Remove an access key."""
        server_of(context).call("DELETE", _noun(robot), owner, "keys", key)

    return app


def policies() -> typer.Typer:
    """The verbs of `estiva policies`."""
    app = typer.Typer(help="Policies in IAM's JSON, and those of repositories.", no_args_is_help=True)
    OfRepository = Annotated[bool, typer.Option("--repository", help="The name is a repository's.")]  # noqa: N806

    @app.command("ls")
    def ls(context: typer.Context) -> None:
        """List the policies by name, the ready-made ones last."""
        server = server_of(context)
        ready_made = member(server.call("GET", "policies", query={"n": "1"}), "ready_made")
        found = [{"name": name, "ready_made": False} for name in server.every("policies")]
        show(context, [*found, *({"name": name, "ready_made": True} for name in ready_made)], ("name", "ready_made"))

    @app.command("show")
    def show_one(context: typer.Context, name: Name, repository: OfRepository = False) -> None:
        """Show a policy's document."""
        server = server_of(context)
        found = server.repository_policy("GET", name) if repository else server.call("GET", "policies", name)
        typer.echo(json.dumps(found, indent=2))

    @app.command()
    def put(context: typer.Context, name: Name, document: Document, repository: OfRepository = False) -> None:
        """Enter a policy, or replace it."""
        text, server = read_document(document), server_of(context)
        if repository:
            server.repository_policy("PUT", name, text)
        else:
            server.call("PUT", "policies", name, body=text)

    @app.command("rm")
    def remove(context: typer.Context, name: Name, repository: OfRepository = False) -> None:
        """Remove a policy that nothing uses, or a repository's."""
        server = server_of(context)
        if repository:
            server.repository_policy("DELETE", name)
        else:
            server.call("DELETE", "policies", name)

    return app


def issuers() -> typer.Typer:
    """The verbs of `estiva issuers`."""
    app = typer.Typer(help="Build servers whose signed word lets a job in without a password.", no_args_is_help=True)

    @app.command("ls")
    def ls(context: typer.Context) -> None:
        """Show every trusted issuer with its rules."""
        typer.echo(json.dumps(server_of(context).call("GET", "issuers").get("issuers"), indent=2))

    @app.command()
    def put(context: typer.Context, name: Name, document: Document) -> None:
        """Trust an issuer, or replace its rules."""
        server_of(context).call("PUT", "issuers", name, body=read_document(document))

    @app.command("rm")
    def remove(context: typer.Context, name: Name) -> None:
        """Trust an issuer no more."""
        server_of(context).call("DELETE", "issuers", name)

    return app


def audit(
    context: typer.Context,
    target: Annotated[str | None, typer.Option(help="Only about this one, such as user/alice.")] = None,
    principal: Annotated[str | None, typer.Option(help="Only what this one did, such as user/alice.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this, such as DeleteImage.")] = None,
    since: Annotated[str | None, typer.Option(help="Only from then on, such as 2026-01-31T12:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Only before that.")] = None,
    before: Annotated[int | None, typer.Option(min=0, help="Only older than the record of this number.")] = None,
) -> None:
    """Show who did what to whom, the latest first, 100 at a time."""
    asked = {"target": target, "principal": principal, "action": action, "since": since, "until": until}
    query = {name: text for name, text in asked.items() if text} | {"last": "" if before is None else str(before)}
    records = member(server_of(context).call("GET", "audit", query=query), "records")
    show(context, records, ("id", "at", "actor", "address", "action", "target", "detail"), ("detail", "address"))


def _noun(robot: bool) -> str:
    return "robots" if robot else "users"
