"""How much of a blob a repository may still hold: what is asked before and while its bytes come in."""

from collections.abc import Sequence
from dataclasses import dataclass

from estiva.digest import Digest
from estiva.reference import RepositoryName
from storage.metadata import blobs, quotas
from storage.metadata.database import Work
from storage.metadata.quotas import Quota


@dataclass(frozen=True, slots=True)
class Allowance:
    """The quotas that a blob will count for, as they were when its request began."""

    quotas: Sequence[Quota] = ()

    def require(self, size: int) -> None:
        """Return where the blob may be of so many bytes; QuotaExceeded."""
        for quota in self.quotas:
            quota.require(size)


ANYTHING = Allowance()


def allowance(name: RepositoryName, digest: Digest | None = None) -> Work[Allowance]:
    """What a blob that is new to the repository may be like; the blob `digest` may be anything where it is not new.

    Without `digest` all of it counts as new: which blob it is shows only when all its bytes are here.
    """
    found = yield from quotas.of(name)
    if not found or (digest is not None and (yield from blobs.find(name, digest)) is not None):
        return ANYTHING
    return Allowance(found)
