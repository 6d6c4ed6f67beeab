"""Values that shells complete: what can be known at once, without asking a server."""

import json
import os
from urllib.parse import urlsplit

import typer

from estiva.cli.options import DEFAULT_SERVER

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/s390x", "windows/amd64")


def platforms(incomplete: str) -> list[str]:
    """Platforms that images are often for."""
    return _beginning(PLATFORMS, incomplete)


def formats(incomplete: str) -> list[str]:
    """Of webhooks."""
    return _beginning(("cloudevents", "eventbridge"), incomplete)


def events(incomplete: str) -> list[str]:
    """What webhooks are told of."""
    return _beginning(("PUSH", "DELETE", "EXPIRE", "REPLICATE", "PULL"), incomplete)


def rights(incomplete: str) -> list[str]:
    """What robots may do."""
    return _beginning(("pull", "push", "delete"), incomplete)


def hosts(context: typer.Context, incomplete: str) -> list[str]:
    """The registries that docker's configuration knows, and the one of `--server`; none where it can't be read."""
    server = context.find_root().params.get("server") or os.environ.get("ESTIVA_SERVER") or DEFAULT_SERVER
    return _beginning(dict.fromkeys([*_signed_in_to(), urlsplit(server).netloc]), incomplete)


def _signed_in_to() -> list[str]:
    from estiva.credentials import DockerConfig

    try:
        document = json.loads(DockerConfig().path.read_bytes())
        names = [*(document.get("auths") or {}), *(document.get("credHelpers") or {})]
    except (OSError, ValueError, AttributeError, TypeError):
        return []  # a shell has nowhere to say what is wrong; every other verb does
    return sorted({name.partition("://")[2].partition("/")[0] if "://" in name else name for name in names})


def _beginning(values: "tuple[str, ...] | dict[str, None]", incomplete: str) -> list[str]:
    return [value for value in values if value and value.startswith(incomplete)]
