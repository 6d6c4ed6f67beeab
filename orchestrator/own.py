"""Which images are this registry's own, by the names that people give them, and what engines call them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from estiva.digest import Digest
from estiva.errors import RegistryError
from estiva.reference import RepositoryName
from orchestrator.definition import TaskDefinition
from orchestrator.engines import Image

_ECR = re.compile(r"(?P<account>[0-9]{12})\.dkr\.ecr\.[a-z0-9-]+\.[a-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image as a task definition names it. `name` is None where another registry has it."""

    registry: str
    """Host and port; empty for Docker's own default."""
    path: str
    tag: str | None
    digest: Digest | None
    name: RepositoryName | None


@dataclass(frozen=True, slots=True)
class OwnRegistry:
    """Names of this registry.

    `hosts` are those that people use for it (host:port), `address` the one that engines pull from, `account` its own:
    the names of other accounts are `ACCOUNT.dkr.ecr.REGION.…`, as AWS has them.
    """

    hosts: frozenset[str]
    address: str
    account: str

    def parse(self, image: str) -> ImageName:
        """What an image's name says; a digest that is malformed counts as none."""
        rest, _, digest = image.partition("@")
        registry, rest = _host(rest)
        path, _, tag = rest.partition(":")
        return ImageName(registry, path, tag or None, _digest(digest), self._name(registry, path))

    def image(self, named: str, digest: Digest | None) -> Image:
        """What an engine is asked for: by its digest where that is known, and by our address what is ours."""
        parsed = self.parse(named)
        pinned = digest or parsed.digest
        if parsed.name is None:
            repository = f"{parsed.registry}/{parsed.path}" if parsed.registry else parsed.path
        elif parsed.name.account:
            repository = f"{parsed.registry}/{parsed.path}"
        else:
            repository = f"{self.address}/{parsed.path}"
        return Image(repository, pinned, parsed.tag)

    def images(
        self, definition: TaskDefinition, digests: Mapping[str, Digest]
    ) -> Sequence[tuple[RepositoryName, Digest]]:
        """Those images of a definition that are ours and whose digests are known."""
        found = []
        for container in definition.containers:
            parsed = self.parse(container.image)
            digest = digests.get(container.name) or parsed.digest
            if parsed.name is not None and digest is not None:
                found.append((parsed.name, digest))
        return found

    def _name(self, registry: str, path: str) -> RepositoryName | None:
        ecr = _ECR.fullmatch(registry.partition(":")[0])
        if ecr is None and registry not in self.hosts:
            return None
        try:
            name = RepositoryName.parse(path)
        except RegistryError:
            return None
        return name if ecr is None or ecr["account"] == self.account else name.within(ecr["account"])


def hosts_of(listen: str, *others: str | None) -> frozenset[str]:
    """The names of a server that listens there: its loopback names with its port, and others that it goes by."""
    port = listen.rpartition(":")[2]
    local: Iterable[str] = (f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]"))
    return frozenset([listen, *local, *(other for other in others if other)])


def _host(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return "", text


def _digest(text: str) -> Digest | None:
    try:
        return Digest.parse(text) if text else None
    except RegistryError:
        return None
