"""TLS with the certificate of the moment: a renewed one is used without a restart, and a broken one never."""

import logging
import ssl
from pathlib import Path

logger = logging.getLogger("estiva.tls")

LOOK_EVERY = 5.0

Seen = tuple[tuple[int, int, int], ...]


class CertificateError(Exception):
    """Certificate and key can't be used; the text says why."""


class Certificates:
    """The TLS context of one process. Handshakes that begin after `renew` see the renewed certificate."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._seen = self._look()
        self._failure = ""
        self._current = self.context = self._load()
        # A renewal is a context of its own, loaded completely or not at all; the first hands each handshake to it.
        self.context.sni_callback = self._use_current

    async def renew(self) -> None:
        """Use the files as they are now, where they have changed; what can't be used is logged and left alone."""
        try:
            seen = self._look()
            if seen == self._seen:
                return
            self._current = self._load()
        except CertificateError as error:
            self._log(str(error))
        else:
            self._seen, self._failure = seen, ""
            logger.info("certificate renewed")

    def _use_current(
        self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext
    ) -> None:
        connection.context = self._current

    def _log(self, failure: str) -> None:
        """Say it once, and not every five seconds."""
        if failure != self._failure:
            logger.error("certificate not renewed: %s", failure)
        self._failure = failure

    def _look(self) -> Seen:
        return tuple(_seen(path) for path in (self._certificate, self._key))

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # Without a password, OpenSSL would ask the terminal for that of an encrypted key.
            context.load_cert_chain(self._certificate, self._key, password="")
        except (ssl.SSLError, OSError) as error:
            reason = getattr(error, "reason", None) or error.strerror or "unreadable"
            files = f"{self._certificate} and {self._key}"
            raise CertificateError(f"cannot use certificate and key {files}: {reason}") from None
        return context


def _seen(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}") from None
    return status.st_mtime_ns, status.st_ino, status.st_size
