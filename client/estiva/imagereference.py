"""Where an image is: `host[:port]/repository[:tag][@digest]`, as people type it."""

import re
from dataclasses import dataclass, replace
from typing import Self

from estiva.digest import Digest
from estiva.errors import RegistryError
from estiva.failures import ReferenceInvalid
from estiva.reference import Reference, RepositoryName, Tag

DOCKER_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"
_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A registry's host, a repository there, and a tag, a digest or neither.

    Where text has both a tag and a digest, the digest decides.
    """

    host: str
    repository: RepositoryName
    reference: Reference | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reference that `text` spells; ReferenceInvalid for anything else.

        As docker reads it: what comes before the first slash is a host where it has a dot or a colon or is `localhost`;
        otherwise the image is on Docker Hub.
        """
        before, _, digest = text.partition("@")
        host, _, path = before.partition("/")
        if not path or not (set(host) & set(".:[") or host == "localhost"):
            host, path = DOCKER_HUB, before if "/" in before else f"library/{before}"
        name, colon, tag = path.partition(":")
        try:
            repository = RepositoryName.parse(name)
            parsed = Tag.parse(tag) if colon else None
            return cls(host, repository, Digest.parse(digest) if "@" in text else parsed)
        except RegistryError as error:
            raise ReferenceInvalid(f"{text!r} is no image reference such as host/name:tag: {error.text}") from None

    @property
    def or_latest(self) -> Reference:
        """The tag or digest, and the tag `latest` where there is none."""
        return self.reference or Tag("latest")

    def at(self, reference: Reference) -> Self:
        """Another tag or digest in the same repository."""
        return replace(self, reference=reference)

    def __str__(self) -> str:
        if self.reference is None:
            return f"{self.host}/{self.repository}"
        return f"{self.host}/{self.repository}{'@' if isinstance(self.reference, Digest) else ':'}{self.reference}"


def base_url(host: str, plain_http: bool | None) -> str:
    """Where the registry of that host answers; by default in plain HTTP on the loopback interface alone.

    ReferenceInvalid where the text is no host, or a host with a port.
    """
    if _HOST.fullmatch(host) is None:
        raise ReferenceInvalid(f"{host!r} is no registry such as registry.example.com or 127.0.0.1:5000")
    plain = _is_loopback(host) if plain_http is None else plain_http
    return f"{'http' if plain else 'https'}://{_HUB_HOST if host == DOCKER_HUB else host}"


def _is_loopback(host: str) -> bool:
    name = host[1 : host.index("]")] if host.startswith("[") and "]" in host else host.partition(":")[0]
    import ipaddress

    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
