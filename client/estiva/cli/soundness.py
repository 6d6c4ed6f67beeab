"""`estiva scrub` and `estiva fsck`: is what is stored what it should be?"""

from collections import Counter
from typing import Annotated, Any

import typer

from estiva.cli.server import Server, member, server_of, show

END = "~"
SCRUBBED = ("read", "read_bytes", "missing", "corrupt", "healed")
STRANGE = ("orphans", "young", "foreign")
COMPARED = ("rows", "keys", "missing", "corrupt", "orphans", "young", "foreign", "quotas")


def scrub(
    context: typer.Context,
    bad: Annotated[bool, typer.Option("--bad", help="Only list the blobs that are known to be bad.")] = False,
    background: Annotated[
        bool,
        typer.Option("--background", help="Only begin: the server goes on by itself, no faster than its scrub_rate."),
    ] = False,
) -> None:
    """Read every blob, then look for what is none (as `fsck`): 1 where one is bad. It also happens by itself.

    What was begun and cut off, or is under way in the background, is gone on with.
    """
    server = server_of(context)
    if background:
        server.call("POST", "scrub", query={"begin": "true", "later": "true"})
    elif not bad:
        read, compared = _scrub(server), _compare(server)
        show(context, read | {name: compared[name] for name in STRANGE})
    found = member(server.call("GET", "scrub"), "bad")
    if bad or found:
        show(context, found, ("digest", "size", "state", "key"))
    raise typer.Exit(1 if found else 0)


def fsck(context: typer.Context) -> None:
    """Hold the database and the storage against each other, both ways: 1 where a blob is bad."""
    server = server_of(context)
    show(context, _compare(server))
    raise typer.Exit(1 if member(server.call("GET", "scrub"), "bad") else 0)


def _scrub(server: Server) -> dict[str, Any]:
    total: Counter[str] = Counter()
    begin = "true"
    while True:
        done = server.call("POST", "scrub", query={"begin": begin})
        total.update({name: int(done.get(name, 0)) for name in SCRUBBED})
        if done.get("finished", True):
            return {name: total[name] for name in SCRUBBED}
        begin = "false"


def _compare(server: Server) -> dict[str, int]:
    total: Counter[str] = Counter()
    after = ""
    while after != END:
        done = server.call("POST", "fsck", query={"after": after})
        total.update({name: int(done.get(name, 0)) for name in COMPARED})
        after = str(done.get("after", END))
    return {name: total[name] for name in COMPARED}
