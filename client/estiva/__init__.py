"""A client of container registries, and the words that it shares with the server (docs/client.md)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from estiva.asyncclient import AsyncClient
    from estiva.client import Client
    from estiva.credentials import Credential, DockerConfig
    from estiva.descriptor import Descriptor
    from estiva.digest import Digest
    from estiva.errors import RegistryError
    from estiva.failures import (
        ClientError,
        ConnectionFailed,
        ContentInvalid,
        CredentialsFailed,
        ReferenceInvalid,
    )
    from estiva.image import HistoryEntry, Image, ImageConfig
    from estiva.imagereference import ImageReference
    from estiva.packing import PackConfig
    from estiva.platform import Platform
    from estiva.progress import Progress
    from estiva.protocol.manifests import StoredManifest

__version__ = "0.1.0"
# Imported when they are asked for: `import estiva` costs next to nothing.
_HOMES = {
    "AsyncClient": "asyncclient",
    "Client": "client",
    "ClientError": "failures",
    "ConnectionFailed": "failures",
    "ContentInvalid": "failures",
    "Credential": "credentials",
    "CredentialsFailed": "failures",
    "Descriptor": "descriptor",
    "Digest": "digest",
    "DockerConfig": "credentials",
    "HistoryEntry": "image",
    "Image": "image",
    "ImageConfig": "image",
    "ImageReference": "imagereference",
    "PackConfig": "packing",
    "Platform": "platform",
    "Progress": "progress",
    "ReferenceInvalid": "failures",
    "RegistryError": "errors",
    "StoredManifest": "protocol.manifests",
}
__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "ContentInvalid",
    "Credential",
    "CredentialsFailed",
    "Descriptor",
    "Digest",
    "DockerConfig",
    "HistoryEntry",
    "Image",
    "ImageConfig",
    "ImageReference",
    "PackConfig",
    "Platform",
    "Progress",
    "ReferenceInvalid",
    "RegistryError",
    "StoredManifest",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'estiva' has no attribute {name!r}")
    return getattr(import_module(f"estiva.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
