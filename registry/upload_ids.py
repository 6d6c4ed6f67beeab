"""Ids of uploads: each proves by itself for which repository and whom it was made; beginning one writes nothing.

    <uuid>-<algorithm>-<mark of the repository>-<proof>

The UUID is of version 7 (RFC 9562): it begins with the time, and goes on with 74 bits that nobody can guess. The proof
is a keyed hash of all that is before it, of the repository's id and name (an id may come again), and of whom the upload
belongs to. The mark tells the uploads of one repository to those who know the secret, and nothing to others.
"""

import hashlib
import hmac
import re
import secrets
import time
from typing import NamedTuple

from estiva.digest import Algorithm
from estiva.reference import RepositoryName

SECRET_BYTES = 32
UUID_LENGTH = 36
_MARK_DIGITS = 16
_PROOF_DIGITS = 32
_ID = re.compile(
    rf"(?P<claim>[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}-(?P<algorithm>sha256|sha512)-"
    rf"(?P<mark>[0-9a-f]{{{_MARK_DIGITS}}}))-(?P<proof>[0-9a-f]{{{_PROOF_DIGITS}}})"
)


class Repository(NamedTuple):
    """The repository that an upload is to."""

    id: int
    name: RepositoryName


class UploadIds:
    """Makes ids of uploads, and tells those that it made. All processes of an installation share the secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, repository: Repository, owner: str, algorithm: Algorithm) -> str:
        """An id that was never given before, for an upload of `owner` to that repository."""
        return self.complete(_uuid7(), repository, owner, algorithm)

    def read(self, upload_id: str, repository: Repository, owner: str) -> Algorithm | None:
        """What the upload's content is hashed with while it arrives; None where the id was not made for these."""
        match = _ID.fullmatch(upload_id)
        if match is None:
            return None
        if not hmac.compare_digest(match["proof"], self._proof(match["claim"], repository, owner)):
            return None
        return Algorithm(match["algorithm"])

    def complete(self, uuid: str, repository: Repository, owner: str, algorithm: Algorithm = Algorithm.SHA256) -> str:
        """The id that begins so, of such an upload, if there is one: a UUID alone proves nothing."""
        claim = f"{uuid}-{algorithm.value}-{self.mark(repository.id)}"
        return f"{claim}-{self._proof(claim, repository, owner)}"

    def _proof(self, claim: str, repository: Repository, owner: str) -> str:
        return self._keyed(b"proof", f"{claim} {repository.id} {repository.name.key} {owner}", _PROOF_DIGITS)

    def mark(self, repository: int) -> str:
        """What the ids of all uploads to the repository of that id have in common, and no others (see `mark_of`)."""
        return self._keyed(b"mark", str(repository), _MARK_DIGITS)

    def _keyed(self, purpose: bytes, message: str, digits: int) -> str:
        # BLAKE2 (RFC 7693) is a MAC by itself, and Python's own: OpenSSL's HMAC looks for its hash anew each time, and
        # gives the interpreter's lock away, which on the event loop cost a push of 64 KiB a tenth of its time.
        return hashlib.blake2b(message.encode(), digest_size=digits // 2, key=self._secret, person=purpose).hexdigest()


def mark_of(upload_id: str) -> str | None:
    """The mark in an upload's id; None for what is none."""
    match = _ID.fullmatch(upload_id)
    return None if match is None else match["mark"]


def first_of(moment: float) -> str:
    """How ids begin that are made at that time (seconds since the epoch): what sorts before was made before."""
    milliseconds = f"{max(int(moment * 1000), 0):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:12]}"


def _uuid7() -> str:
    random = int.from_bytes(secrets.token_bytes(10), "big")
    version, variant = 0x7000 | random >> 68, 0x8000 | random >> 52 & 0x3FFF
    return f"{first_of(time.time())}-{version & 0xFFFF:04x}-{variant:04x}-{random & 0xFFFFFFFFFFFF:012x}"
