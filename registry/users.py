"""Who uses an image: what nobody may delete, whether asked to, by a lifecycle policy or by whoever else deletes."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from estiva.digest import Digest
from estiva.errors import ImageInUse
from estiva.reference import RepositoryName
from storage.metadata.database import Work


class DigestUsers(Protocol):
    """Answers in the transaction that deletes, so that who begins to use an image is seen, or finds it gone."""

    def users(self, name: RepositoryName, digests: Sequence[Digest] | None) -> Work[Mapping[Digest, str]]:
        """Which of these manifests of the repository are used (of all its manifests: None), each with one of its users.

        A user is named so that an operator finds it, such as `service default/web` or a task's ARN.
        """
        ...


class NoUsers:
    """The answer where nothing runs what the registry stores."""

    def users(self, name: RepositoryName, digests: Sequence[Digest] | None) -> Work[Mapping[Digest, str]]:
        """Nobody uses anything."""
        yield from ()
        return {}


def require_unused(users: DigestUsers, name: RepositoryName, digests: Sequence[Digest] | None) -> Work[None]:
    """Return where nobody uses any of these manifests. ImageInUse."""
    used = yield from users.users(name, digests)
    for digest in sorted(used, key=str):
        user = used[digest]
        raise ImageInUse(f"the image is in use by {user}", detail={"digest": str(digest), "usedBy": user})
