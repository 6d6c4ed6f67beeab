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
PRINT = ("ps", "scrub", "fsck", "audit", "discover", "diff")
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
    def estiva(
        context: typer.Context,
        server: Annotated[str, typer.Option(envvar="ESTIVA_SERVER", help="The server.")] = DEFAULT_SERVER,
        username: Annotated[str, typer.Option(envvar="ESTIVA_USERNAME", help="Who you are.")] = DEFAULT_USERNAME,
        password: Annotated[
            str, typer.Option(envvar="ESTIVA_PASSWORD", show_default=False, help="Your password.")
        ] = "",
        ca_file: CAFile = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print results as JSON.")] = False,
        version: Annotated[
            bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
        ] = False,
    ) -> None:
        """A container registry that is one command."""
        context.obj = {"server": server, "username": username, "password": password, "json": as_json}
        context.obj |= {"ca_file": ca_file, "wide": False}

    for name, verb in VERBS.items():
        panel = SERVER if name in OF_SERVERS else IMAGES
        told = printing(name, verb) if name in PRINT else verb
        app.command(name, epilog=epilog(name), rich_help_panel=panel)(told)
    for name, noun in NOUNS.items():
        panel = IMAGES if name in OF_IMAGES else SERVER
        app.add_typer(_with_examples(name, noun()), name=name, epilog=epilog(name), rich_help_panel=panel)
    if others:
        _add_others(app)
    return app


def _with_examples(name: str, noun: typer.Typer) -> typer.Typer:
    """Every verb of it prints JSON where that is asked for, and shows how it is typed."""
    for command in noun.registered_commands:
        assert command.callback is not None
        verb = command.name or command.callback.__name__.replace("_", "-")
        command.epilog = epilog(name, verb)
        if name not in OF_IMAGES:
            command.callback = printing(verb, command.callback)
    return noun


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
