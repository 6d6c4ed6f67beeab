"""Where blobs are kept, as the settings say, put together for one process."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from estiva_server.config import Settings
from registry.elsewhere import Elsewhere, Reach, Redirect
from registry.reserve import Reserve, ReserveSize
from storage.blobs import BlobStore
from storage.blobs.filesystem import FilesystemBlobStore


class BlobsError(Exception):
    """Blobs can't be kept there; the text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Blobs:
    """A blob store, with what it takes to send its blobs where they are not on this machine."""

    store: BlobStore
    reserve: Reserve
    elsewhere: Elsewhere | None = None
    threads: tuple[ThreadPoolExecutor, ...] = ()

    def close(self) -> None:
        """End the threads, when nobody uses the store any more."""
        for pool in self.threads:
            pool.shutdown()
        if self.elsewhere is not None:
            self.elsewhere.hang_up()


def build_blobs(settings: Settings) -> Blobs:
    """The blob store of the settings. BlobsError."""
    if settings.blobs is None or settings.blobs.startswith("file:"):
        store = FilesystemBlobStore(settings.blobs_directory)
        return Blobs(store, _reserve(settings, store))
    return _in_a_bucket(settings, settings.blobs)


def _in_a_bucket(settings: Settings, url: str) -> Blobs:
    from botocore.exceptions import BotoCoreError  # here, as boto3 is heavy and mostly of no use

    from storage.blobs.s3.location import S3Location
    from storage.blobs.s3.store import S3BlobStore

    location = S3Location.parse(url)
    parts = ThreadPoolExecutor(settings.storage_threads, thread_name_prefix="s3-part")
    reading = ThreadPoolExecutor(settings.storage_threads, thread_name_prefix="s3-read")
    try:
        store = S3BlobStore(location, parts)
    except BotoCoreError as error:
        raise BlobsError(f"cannot use {location}: {error}") from error
    reach = Reach(known=location.clients_can_reach_it, encrypted=location.is_encrypted)
    elsewhere = Elsewhere(store, reading, Redirect(settings.blob_redirect), reach)
    return Blobs(store, _reserve(settings, store), elsewhere, (parts, reading))


def _reserve(settings: Settings, store: BlobStore) -> Reserve:
    return Reserve(store.room, ReserveSize.parse(settings.reserve))


def prove(settings: Settings) -> None:
    """Return when blobs can be kept where the settings say. BlobsError, or OSError where that is the data directory."""
    blobs = build_blobs(settings)
    try:
        blobs.store.probe()
    except OSError as error:
        if settings.blobs is None:
            raise  # trouble with the data directory, which holds more than blobs
        raise BlobsError(f"cannot keep blobs in {told(settings)}: {error.strerror or error}") from error
    except LookupError as error:
        raise BlobsError(f"cannot keep blobs in {told(settings)}: {error}") from error
    finally:
        blobs.close()


def told(settings: Settings) -> str:
    """The place in words for people."""
    return (settings.blobs or str(settings.data)).partition("?")[0]
