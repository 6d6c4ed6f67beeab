"""Who uses an image: the one question that the registry asks before it lets one go.

Answered from facts alone, in the transaction that deletes: tasks that have not stopped, the current deployment of each
service and the one that it would go back to. What such an image consists of (an index's children) and what refers to
it (signatures, SBOMs) is used with it.
"""

from collections.abc import Mapping, Sequence

from estiva.digest import Digest
from estiva.reference import RepositoryName
from storage.metadata import image_uses
from storage.metadata.database import Work
from storage.metadata.image_uses import DEPLOYMENT, User


class Pins:
    """Implements the registry's question (`registry/users.py`, DigestUsers)."""

    def users(self, name: RepositoryName, digests: Sequence[Digest] | None) -> Work[Mapping[Digest, str]]:
        """Which of these manifests (of all: None) are used, each with one of its users: `service default/web`."""
        used = yield from image_uses.of_repository(name)
        if not used:
            return {}
        found: dict[Digest, str] = {}
        for digest, users in used.items():
            for member in (yield from image_uses.belonging(name, digest)):
                found.setdefault(member, said(users[0]))
        return found if digests is None else {digest: found[digest] for digest in digests if digest in found}


def said(user: User) -> str:
    """The user, as an operator finds it."""
    if user.kind == DEPLOYMENT:
        return f"service {user.key.cluster}/{user.service}"
    return f"task {user.key.cluster}/{user.id}"
