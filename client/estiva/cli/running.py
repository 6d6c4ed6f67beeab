"""`estiva logs` and `exec`: what a task says, and a command in it."""

import base64
import json
import sys
from typing import Annotated, Any

import typer

from estiva.cli.asking import standard_input
from estiva.cli.failing import CommandError, line
from estiva.cli.server import server_of

Cluster = Annotated[str, typer.Option(help="The cluster.")]
Task = Annotated[str, typer.Argument(help="A task's id, or its ARN.")]
Container = Annotated[str | None, typer.Option(help="The container, where the task has several.")]


def logs(
    context: typer.Context,
    task: Task,
    cluster: Cluster = "default",
    container: Container = None,
    since: Annotated[float, typer.Option(help="Unix seconds.")] = 0,
    tail: Annotated[int | None, typer.Option(help="The last so many lines.")] = None,
) -> None:
    """Show what a task wrote; also when it has stopped: its last 200 lines then."""
    query = {"since": str(since)}
    query |= {} if tail is None else {"tail": str(tail)}
    query |= {} if container is None else {"container": container}
    path = ("clusters", cluster, "tasks", _id(task), "logs")
    for one in server_of(context).lines("GET", *path, query=query):
        if context.find_root().obj["json"]:
            typer.echo(json.dumps(one))
        else:
            typer.echo(line(str(one.get("text", ""))), err=one.get("stream") == "stderr")


def execute(
    context: typer.Context,
    task: Task,
    command: Annotated[list[str], typer.Argument(help="The command and its words, behind --.")],
    cluster: Cluster = "default",
    container: Container = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Standard input goes on while it runs.")
    ] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="It gets a terminal, and every key; with -i.")] = False,
) -> None:
    """Run a command in a task, with this command's standard input where that is no terminal; its exit code is ours."""
    body: dict[str, Any] = {"command": command}
    body |= {} if container is None else {"container": container}
    path = ("clusters", cluster, "tasks", _id(task), "exec")
    if interactive or tty:
        raise typer.Exit(_typed_at(context, path, body, terminal=tty))
    body["stdin"] = "" if sys.stdin.isatty() else standard_input(whole=True)
    for one in server_of(context).lines("POST", *path, body=json.dumps(body)):
        if "exit_code" in one:
            raise typer.Exit(int(one["exit_code"]))
        stream = sys.stderr.buffer if one.get("stream") == "stderr" else sys.stdout.buffer
        stream.write(base64.b64decode(one.get("data", "")))
        stream.flush()
    raise CommandError("the connection ended before the command did")


def _typed_at(context: typer.Context, path: tuple[str, ...], body: dict[str, Any], *, terminal: bool) -> int:
    import asyncio

    from estiva.cli.terminal import converse, size, wants_terminal

    if terminal:
        wants_terminal()
        body |= {"terminal": True, "size": size()}
    server = server_of(context)

    async def run() -> int:
        async with server.upgraded("estiva-exec", *path, body=body) as connection:
            return await converse(connection, terminal=terminal)

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:  # we were told to end
        raise CommandError("ended by a signal; the command may go on") from None


def _id(task: str) -> str:
    return task.rpartition("/")[2]
