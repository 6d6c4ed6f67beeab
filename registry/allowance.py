"""How much of a blob a repository may still hold: what is asked before and while its bytes come in."""

from collections.abc import Sequence
from dataclasses import dataclass

from estiva.digest import Digest
from estiva.reference import RepositoryName
from storage.metadata import blobs, quotas, uploads
from storage.metadata.database import Work
from storage.metadata.quotas import Quota
from storage.metadata.uploads import UploadRecord


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
    return (yield from _allowed(name, digest, (yield from quotas.of(name))))


def upload_and_allowance(
    name: RepositoryName, upload_id: str, digest: Digest | None = None
) -> Work[tuple[UploadRecord | None, Allowance]]:
    """The upload, None where the repository has none of that id, and the allowance: mostly one statement for both."""
    record, found = yield from uploads.find_with_quotas(name, upload_id)
    return record, (yield from _allowed(name, digest, found))


def _allowed(name: RepositoryName, digest: Digest | None, found: Sequence[Quota]) -> Work[Allowance]:
    if not found or (digest is not None and (yield from blobs.find(name, digest)) is not None):
        return ANYTHING
    return Allowance(found)
