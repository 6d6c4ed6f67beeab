"""Saying now and then that held uploads are held, so that other replicas leave them alone."""

import logging
import threading
from collections.abc import Iterable

from storage.blobs import UploadBusyError, UploadUnknownError
from storage.blobs.s3.state import LEASE, StateObject

logger = logging.getLogger("estiva.blobs")

RENEW_EVERY = LEASE / 3


class Renewal:
    """A thread that runs while anything is held."""

    def __init__(self, every: float = RENEW_EVERY) -> None:
        self._every = every
        self._held: set[StateObject] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._changed = threading.Event()

    def begin(self, record: StateObject) -> None:
        """Renew this one from now on."""
        with self._lock:
            self._held.add(record)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="s3-upload-leases", daemon=True)
                self._thread.start()

    def end(self, record: StateObject) -> None:
        """Leave this one alone."""
        with self._lock:
            self._held.discard(record)

    def _run(self) -> None:
        while True:
            self._changed.wait(self._every)
            with self._lock:
                held = list(self._held)
                if not held:
                    self._thread = None
                    return
            self._renew(held)

    def _renew(self, held: Iterable[StateObject]) -> None:
        for record in held:
            try:
                record.renew_after(self._every)
            except (UploadBusyError, UploadUnknownError):
                self.end(record)  # its holder finds out when it saves
            except OSError as error:
                logger.warning("an upload's lease could not be renewed: %s", error)
