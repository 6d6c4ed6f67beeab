"""Secrets at rest: sealed with AES-256-GCM under the installation's own key, which is kept beside the data."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12


class SealBrokenError(Exception):
    """What was to be unsealed was not sealed with this key for this purpose, or has been changed since."""


class Seal:
    """Seals and unseals short secrets; `purpose` keeps a value sealed for one use from serving another."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, purpose: str, secret: bytes) -> bytes:
        """The secret, unreadable without the key."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, purpose.encode())

    def unseal(self, purpose: str, sealed: bytes) -> bytes:
        """The secret that `seal` was given. SealBrokenError."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError):
            raise SealBrokenError(purpose) from None


def load_or_create_key(path: Path) -> bytes:
    """The key in that file; a new one, durable and readable by its owner only, where there is no file."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise ValueError(f"{path} does not hold a key of {KEY_BYTES} bytes") from None
        return key
    with open(descriptor, "wb") as file:
        key = os.urandom(KEY_BYTES)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    _sync_directory(path.parent)
    return key


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
