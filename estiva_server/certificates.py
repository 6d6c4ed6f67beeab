"""TLS with the certificate of the moment: a renewed one is used without a restart, and a broken one never."""

import logging
import ssl
from pathlib import Path

logger = logging.getLogger("estiva.tls")

LOOK_EVERY = 5.0

Seen = tuple[tuple[int, int], ...]


class CertificateError(Exception):
    """Certificate and key can't be used; the text says why."""


class Certificates:
    """The TLS context of one process. Handshakes that begin after `renew` see the renewed certificate."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._seen = self._look()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._check()
        self.context.load_cert_chain(certificate, key)

    async def renew(self) -> None:
        """Use the files as they are now, where they have changed; what can't be used is logged and left alone."""
        try:
            seen = self._look()
            if seen == self._seen:
                return
            # Tried on a context of its own first: half a renewal would leave a key that fits no certificate.
            self._check()
            self.context.load_cert_chain(self._certificate, self._key)
        except CertificateError as error:
            logger.error("certificate not renewed: %s", error)
        else:
            self._seen = seen
            logger.info("certificate renewed")

    def _look(self) -> Seen:
        try:
            statuses = [path.stat() for path in (self._certificate, self._key)]
        except OSError as error:
            raise CertificateError(f"cannot read certificate or key: {error.strerror}") from None
        return tuple((status.st_mtime_ns, status.st_ino) for status in statuses)

    def _check(self) -> None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
        except (ssl.SSLError, OSError) as error:
            raise CertificateError(f"certificate and key do not fit: {error.strerror or 'unreadable'}") from None
