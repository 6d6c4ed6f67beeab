"""Images moved from the command line: with whose credentials, shown how, and what is printed in the end."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from estiva.cli.options import PARALLEL, Root

if TYPE_CHECKING:
    import ssl

    from estiva import Client, Credential, Descriptor, Platform, Progress


def push(  # noqa: PLR0913 - each is a flag
    root: Root,
    source: Path,
    reference: str,
    *,
    select: str = "",
    mount_from: Sequence[str] = (),
    parallel: int = PARALLEL,
    plain_http: bool = False,
    quiet: bool = False,
    as_json: bool = False,
) -> None:
    """What `estiva push` does."""
    with (
        _going_on(),
        opened(root, plain_http=plain_http, parallel=parallel) as client,
        progress_on(root, quiet or as_json) as bars,
    ):
        pushed = client.push(source, reference, select=select, mount_from=mount_from, progress=bars)
    show_moved(root, reference, pushed, quiet=quiet, as_json=as_json)


def pull(  # noqa: PLR0913 - each is a flag
    root: Root,
    reference: str,
    target: Path,
    *,
    platform: str = "",
    parallel: int = PARALLEL,
    plain_http: bool = False,
    quiet: bool = False,
    as_json: bool = False,
) -> None:
    """What `estiva pull` does."""
    wanted = platform_of(platform)
    with (
        _going_on(),
        opened(root, plain_http=plain_http, parallel=parallel) as client,
        progress_on(root, quiet or as_json) as bars,
    ):
        fetch = client.pull_archive if target.suffix == ".tar" else client.pull
        pulled = fetch(reference, target, platform=wanted, progress=bars)
    show_moved(root, reference, pulled, quiet=quiet, as_json=as_json)


@contextmanager
def opened(root: Root, *, plain_http: bool = False, parallel: int = PARALLEL) -> "Iterator[Client]":
    """A client with docker's credentials, and for `--server` the ones that stand before the verb.

    Uploads are remembered, so that a push that was ended goes on when it is repeated.
    """
    from estiva import Client

    with Client(
        credentials=finding(root),
        plain_http=plain_http or None,
        parallel=parallel,
        context=trusting(root["ca_file"]),
        uploads=_state(),
    ) as client:
        yield client


@contextmanager
def _going_on() -> Iterator[None]:
    """Say after Ctrl-C that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("estiva: interrupted; the same command goes on from here\n")
        raise


def finding(root: Root) -> "Callable[[str], Credential | None]":
    """What finds the credential of a host: before the verb for `--server`, else where docker keeps it."""
    from estiva import Credential, DockerConfig

    own = urlsplit(root["server"]).netloc

    def find(host: str) -> "Credential | None":
        if root["password"] and host == own:
            return Credential(root["username"], root["password"])
        return DockerConfig().find(host)

    return find


def trusting(ca_file: str) -> "ssl.SSLContext | None":
    """What verifies certificates, as `--ca-file` says; None where the machine's own settings do."""
    if not ca_file:
        return None
    from estiva.cli.tls import context_of

    return context_of(ca_file)


@contextmanager
def progress_on(root: Root, quiet: bool) -> "Iterator[Progress | None]":
    """Bars on standard error where that is a terminal and nobody wants quiet."""
    if quiet or root["quiet"] or root["json"] or not sys.stderr.isatty():
        yield None
        return
    from estiva.cli.bars import Bars

    with Bars() as bars:
        yield bars


def show_moved(root: Root, reference: str, moved: "Descriptor", *, quiet: bool, as_json: bool) -> None:
    """Print what was pushed or pulled: a line, its digest alone, or JSON."""
    if as_json or root["json"]:
        text = json.dumps({"reference": reference, **moved.as_json()}, indent=2)
    else:
        text = str(moved.digest) if quiet or root["quiet"] else f"{reference.partition('@')[0]}@{moved.digest}"
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def platform_of(text: str) -> "Platform | None":
    """The platform in an option, None where it is not given."""
    from estiva import Platform

    return Platform.parse(text) if text else None


def readable(size: int) -> str:
    """A number of bytes for a person."""
    amount, units = float(size), iter(("B", "KiB", "MiB", "GiB"))
    unit = next(units)
    while amount >= 1024 and unit != "GiB":
        amount, unit = amount / 1024, next(units)
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def _state() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "estiva" / "uploads"
