"""Uploads that have begun and not ended: told by their ids, and by what the database notes of some."""

import secrets
import time
from collections import OrderedDict
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from estiva.digest import Algorithm
from estiva.errors import BlobUploadUnknown
from estiva.reference import RepositoryName
from registry.known import KnownRepositories
from registry.threads import in_thread
from registry.upload_ids import SECRET_BYTES, UUID_LENGTH, Repository, UploadIds, first_of
from storage.blobs import BlobStore, UploadUnknownError
from storage.metadata import repositories, uploads
from storage.metadata.blobs import UploadOf
from storage.metadata.database import Database
from storage.metadata.uploads import Standing

BEGIN_WITHIN = 3600.0
"""Seconds for which an upload is known that has no byte yet."""
MOST_BEGUN = 10_000


@dataclass(frozen=True, slots=True)
class UploadKey:
    """Names an upload: its id counts only in its repository, and only for whoever began it.

    The UUID that the id begins with does as well where the upload has been noted, or has bytes.
    """

    repository: RepositoryName
    id: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """An upload that may go on: its content is hashed with `algorithm` while it arrives."""

    id: str
    repository: RepositoryName
    algorithm: Algorithm
    of: UploadOf | None = None
    """What its end is noted by; None where nobody was told of it."""
    is_limited: bool = True
    """Whether a quota may count what it becomes."""


class BegunUploads:
    """Begins uploads, and finds those that may go on. One per process."""

    def __init__(self, database: Database, blob_store: BlobStore, threads: Executor, known: KnownRepositories) -> None:
        self._database = database
        self._blob_store = blob_store
        self._threads = threads
        self._known = known
        self._ids: UploadIds | None = None
        self._own: OrderedDict[str, int] = OrderedDict()
        """Those of this process, and the news that there was when they began: until there is more none has ended."""

    async def begin(self, name: RepositoryName, algorithm: Algorithm, owner: str) -> str:
        """The id of a new upload. Waits for nothing where the repository is known; makes it where there is none."""
        ids = self._ids or await self._load_ids()
        known = await self._known.find(name)
        repository = known.id if known is not None else await self._created(name)
        upload_id = ids.make(Repository(repository, name), owner, algorithm)
        news = self._database.news()
        if news is not None:
            self._own[upload_id] = news
            if len(self._own) > MOST_BEGUN:
                self._own.popitem(last=False)
        return upload_id

    async def find(self, key: UploadKey) -> Begun | None:
        """The upload; None where there is none, or it is somebody else's: both are answered alike."""
        ids = self._ids or await self._load_ids()
        known = await self._known.find(key.repository)
        if known is None:
            return None
        repository = Repository(known.id, key.repository)
        is_short = len(key.id) == UUID_LENGTH
        upload_id = ids.complete(key.id, repository, key.owner) if is_short else key.id
        algorithm = ids.read(upload_id, repository, key.owner)
        if algorithm is None or not await self._is_open(upload_id, is_proved=not is_short):
            return None
        return Begun(upload_id, key.repository, algorithm, UploadOf(upload_id, known.id), known.is_limited)

    async def note(self, name: RepositoryName, owner: str) -> str:
        """The UUID of a new upload, which is all that has to be told of it from now on."""
        upload_id = await self.begin(name, Algorithm.SHA256, owner)
        await self._database.write(partial(uploads.note, upload_id), durable=False, serializable=False)
        return upload_id[:UUID_LENGTH]

    async def require(self, key: UploadKey) -> Begun:
        """The upload. BlobUploadUnknown."""
        begun = await self.find(key)
        if begun is None:
            raise BlobUploadUnknown(detail={"upload": key.id[:128]})
        return begun

    async def mark(self, repository: int) -> str:
        """See `UploadIds.mark`."""
        return (self._ids or await self._load_ids()).mark(repository)

    def ending(self, upload_id: str) -> None:
        """The upload is about to end: from now on the database says whether it has."""
        self._own.pop(upload_id, None)

    async def expire(self, idle: float) -> None:
        """Let those be unknown that have no bytes and began `idle` seconds ago, or BEGIN_WITHIN."""
        now = time.time()
        oldest, longest = first_of(now - min(idle, BEGIN_WITHIN)), first_of(now - idle)
        await self._database.write(partial(uploads.expire, oldest, longest), durable=False, serializable=False)
        self._own.clear()

    async def has_bytes(self, upload_id: str) -> bool:
        """Whether the blob store knows the upload."""
        try:
            await in_thread(self._threads, partial(self._blob_store.upload_offset, upload_id))
        except UploadUnknownError:
            return False
        return True

    async def _is_open(self, upload_id: str, *, is_proved: bool) -> bool:
        begun = self._own.get(upload_id)
        if is_proved and begun is not None and begun == self._database.news():
            return True
        standing = await self._database.read(uploads.standing(upload_id))
        if standing is Standing.ENDED:
            return False
        is_known = standing is Standing.NOTED or (standing is Standing.OPEN and is_proved)
        return is_known or await self.has_bytes(upload_id)

    async def _load_ids(self) -> UploadIds:
        secret = await self._database.write(partial(uploads.secret, secrets.token_bytes(SECRET_BYTES)))
        self._ids = UploadIds(secret)
        return self._ids

    async def _created(self, name: RepositoryName) -> int:
        return await self._database.write(partial(repositories.ensure, name), durable=False, serializable=False)
