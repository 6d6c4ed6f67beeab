"""`estiva users import-htpasswd`: users of another registry come with their passwords, which nobody here knows."""

from collections.abc import Sequence
from typing import Annotated

import typer

from estiva.cli.failing import CommandError, ServerRefused
from estiva.cli.server import Server, read_document, server_of, show

File = Annotated[str, typer.Argument(help="A htpasswd file with bcrypt entries, or - for standard input.")]
Policies = Annotated[list[str] | None, typer.Option("--policy", help="A policy that each of them gets.")]


def import_htpasswd(context: typer.Context, file: File, policy: Policies = None) -> None:
    """Create the users of a htpasswd file; who is there already stays as they are."""
    entries = _entries(file)
    server = server_of(context)
    for name in policy or ():
        server.call("GET", "policies", name)  # fails before anybody is there without it
    outcomes = [{"name": name, "outcome": _outcome(server, name, stored, policy or ())} for name, stored in entries]
    show(context, outcomes, ("name", "outcome"))
    failed = [entry for entry in outcomes if entry["outcome"] not in (CREATED, EXISTS)]
    if failed:
        raise CommandError(f"{len(failed)} of {len(outcomes)} users could not be imported")


CREATED, EXISTS = "created", "there already"


def _outcome(server: Server, name: str, stored: str, policies: Sequence[str]) -> str:
    try:
        server.call("POST", "users", body={"name": name, "password_hash": stored})
        for policy in policies:
            server.call("PUT", "users", name, "policies", policy)
    except ServerRefused as refusal:
        if refusal.status == 400:  # this name or hash: others may fare better
            return str(refusal)
        if refusal.status != 409:
            raise
        return EXISTS
    return CREATED


def _entries(file: str) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for number, line in enumerate(read_document(file).splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        name, _, stored = entry.partition(":")
        if not name or not stored:
            raise CommandError(f"{file}: line {number} is not NAME:HASH")
        found[name] = stored
    return list(found.items())
