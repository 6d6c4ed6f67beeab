"""`estiva gc`: garbage collection, now and looked at."""

import re
from collections import Counter
from typing import Annotated, Any

import typer

from estiva.cli.failing import CommandError
from estiva.cli.server import server_of, show

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
COUNTS = ("judged", "trashed", "trashed_bytes", "removed", "removed_bytes")


def gc() -> typer.Typer:
    """The verbs of garbage collection."""
    app = typer.Typer(help="Garbage collection: it runs by itself; these show it, or do it now.", no_args_is_help=True)

    @app.command()
    def status(context: typer.Context) -> None:
        """Show what waits to be collected, and what a run would take away."""
        show(context, server_of(context).call("GET", "gc"))

    @app.command()
    def run(
        context: typer.Context,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what it would take away.")] = False,
    ) -> None:
        """Collect what nothing has needed for the grace, and empty the trash of what is old enough."""
        if dry_run:
            found = server_of(context).call("GET", "gc")
            show(context, {name: found.get(name) for name in ("unneeded", "unneeded_bytes")})
            return
        show(context, _run(context))

    @app.command()
    def hold(
        context: typer.Context,
        duration: Annotated[str, typer.Argument(help="How long, such as 90s, 12h or 7d; 0 ends a hold.")],
    ) -> None:
        """Collect nothing for a while, in any process: after a restored backup, for instance."""
        server_of(context).call("PUT", "gc", "hold", body={"seconds": _seconds(duration)})

    return app


def _run(context: typer.Context) -> dict[str, Any]:
    total: Counter[str] = Counter()
    while True:
        done = server_of(context).call("POST", "gc")
        if done.get("postponed"):
            raise CommandError(
                "nothing was collected: a hold is in force, or the server's clock jumped; see `estiva gc status`"
            )
        total.update({name: int(done.get(name, 0)) for name in COUNTS})
        if done.get("finished", True):
            return {name: total[name] for name in COUNTS}


def _seconds(duration: str) -> int:
    match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", duration)
    if match is None:
        raise typer.BadParameter("a duration is a number and one of s, m, h, d, such as 12h")
    return int(match[1]) * UNITS[match[2] or "s"]
