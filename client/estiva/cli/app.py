"""The `estiva` command: verbs of its own, and those of other installed distributions (group `estiva.commands`)."""

from collections.abc import Callable, Sequence
from typing import Annotated, NoReturn

import typer

from estiva import __version__
from estiva.cli import (
    access,
    artifacts,
    collection,
    doctor,
    groups,
    lifecycle,
    looking,
    moving,
    naming,
    orchestrating,
    principals,
    quotas,
    replicas,
    repositories,
    running,
    secrets,
    signing,
    soundness,
    upstreams,
    webhooks,
)
from estiva.cli.examples import epilog
from estiva.cli.options import DEFAULT_SERVER, DEFAULT_USERNAME
from estiva.cli.printing import printing

GROUP = "estiva.commands"
CAFile = Annotated[
    str,
    typer.Option(
        envvar="ESTIVA_CA_FILE",
        show_default=False,
        help="PEM file of certificate authorities to trust besides this machine's.",
    ),
]
NOUNS = {
    "repos": repositories.repos,
    "users": principals.users,
    "robots": principals.robots,
    "keys": access.keys,
    "groups": groups.groups,
    "policies": access.policies,
    "issuers": access.issuers,
    "gc": collection.gc,
    "lifecycle": lifecycle.lifecycle,
    "quotas": quotas.quotas,
    "webhooks": webhooks.webhooks,
    "credentials": upstreams.credentials,
    "upstreams": upstreams.upstreams,
    "replicas": replicas.replicas,
    "secrets": secrets.secrets,
    "artifact": artifacts.artifact,
    "clusters": orchestrating.clusters,
    "taskdefs": orchestrating.taskdefs,
    "tasks": orchestrating.tasks,
    "services": orchestrating.services,
}
VERBS: dict[str, Callable[..., None]] = {
    "login": signing.login,
    "logout": signing.logout,
    "push": moving.push,
    "pull": moving.pull,
    "cp": moving.copy,
    "pack": moving.pack,
    "tag": naming.tag,
    "ls": naming.ls,
    "tags": naming.list_tags,
    "rm": naming.remove,
    "inspect": looking.inspect,
    "diff": looking.diff,
    "attach": artifacts.attach,
    "discover": artifacts.discover,
    "doctor": doctor.doctor,
    "scrub": soundness.scrub,
    "fsck": soundness.fsck,
    "audit": access.audit,
    "ps": orchestrating.list_tasks,
    "logs": running.logs,
    "exec": running.execute,
}
AS_THEY_ARE = ("exec",)
"""Verbs of which every further word is somebody else's."""
IMAGES, SERVER = "Images, in any registry", "A server, and what runs"
OF_IMAGES = ("artifact",)
OF_SERVERS = ("scrub", "fsck", "audit", "ps", "logs", "exec")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"estiva {__version__}")
        raise typer.Exit


def build(*, others: bool = True) -> typer.Typer:
    """The command with every verb that is installed, or without those of other distributions."""
    app = typer.Typer(name="estiva", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=True)

    @app.callback()
    def estiva(  # noqa: PLR0913, PLR0917 - each is an option
        context: typer.Context,
        server: Annotated[str, typer.Option(envvar="ESTIVA_SERVER", help="The server.")] = DEFAULT_SERVER,
        username: Annotated[str, typer.Option(envvar="ESTIVA_USERNAME", help="Who you are.")] = DEFAULT_USERNAME,
        password: Annotated[
            str, typer.Option(envvar="ESTIVA_PASSWORD", show_default=False, help="Your password.")
        ] = "",
        ca_file: CAFile = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print results as JSON.")] = False,
        quiet: Annotated[
            bool,
            typer.Option("--quiet", "-q", help="Show no progress; print digests, or a table's first column, alone."),
        ] = False,
        version: Annotated[
            bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
        ] = False,
    ) -> None:
        """A container registry that is one command."""
        context.obj = {"server": server, "username": username, "password": password, "json": as_json}
        context.obj |= {"ca_file": ca_file, "quiet": quiet, "wide": False}

    for name, verb in VERBS.items():
        panel = SERVER if name in OF_SERVERS else IMAGES
        told = verb if name in AS_THEY_ARE else printing(name, verb)
        app.command(name, epilog=epilog(name), rich_help_panel=panel)(told)
    for name, noun in NOUNS.items():
        panel = IMAGES if name in OF_IMAGES else SERVER
        app.add_typer(_with_examples(name, noun()), name=name, epilog=epilog(name), rich_help_panel=panel)
    if others:
        _add_others(app)
    return app


def _with_examples(name: str, noun: typer.Typer) -> typer.Typer:
    """It and every verb of it print as they are told to, and show how they are typed."""
    told = noun.registered_callback.callback if noun.registered_callback else None
    noun.callback()(printing("ls" if told else "", told or _no_verb))
    for inner in noun.registered_groups:
        assert inner.typer_instance is not None
        _with_examples(name, inner.typer_instance)
    for command in noun.registered_commands:
        assert command.callback is not None
        verb = command.name or command.callback.__name__.replace("_", "-")
        command.epilog = epilog(name, verb)
        command.callback = printing(verb, command.callback)
    return noun


def _no_verb(context: typer.Context) -> None:
    """A noun alone does nothing: its help is shown."""


def _add_others(app: typer.Typer) -> None:
    from importlib.metadata import entry_points

    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        other = entry.load()
        if isinstance(other, typer.Typer):
            app.add_typer(other, name=entry.name)
        else:
            app.command(entry.name)(other)


def _verb(arguments: Sequence[str]) -> str:
    """The verb or noun in these arguments, empty where there is none."""
    words = iter(arguments)
    for word in words:
        if word in ("--server", "--username", "--password", "--ca-file"):
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


def run(arguments: Sequence[str]) -> NoReturn:
    """Run a verb: SystemExit 0 when it is done, 2 for wrong usage; what else goes wrong is raised."""
    # Other distributions, a whole server among them, are loaded for their own verbs and for help alone.
    build(others=_verb(arguments) not in NOUNS.keys() | VERBS.keys())(prog_name="estiva")
    raise AssertionError
