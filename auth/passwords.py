"""Secrets that people choose (argon2id, slow on purpose) and secrets that we make (a hash is enough)."""

import hashlib
import hmac
import re
import secrets

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024
_SECRET_BYTES = 32
_MADE = "sha256$"
_BCRYPT = ("$2a$", "$2b$", "$2y$")
_BCRYPT_HASH = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
BCRYPT_BYTES = 72
LEAST_COST, MOST_COST = 4, 14
"""Of a bcrypt hash that is brought along: each step doubles the work, and 14 take about a second."""

# RFC 9106's second recommendation, with less memory so that several may run at once: about 40 ms on one core.
_HASHER = PasswordHasher(time_cost=2, memory_cost=32 * 1024, parallelism=1)


def hash_password(password: str) -> str:
    """A chosen password's argon2id hash. Slow: call it in a thread."""
    return _HASHER.hash(password)


def make_secret() -> str:
    """A secret of 256 random bits, as text."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def hash_secret(secret: str) -> str:
    """The hash of a secret that `make_secret` made: it can't be guessed, so it needs no slow hash."""
    return _MADE + hashlib.sha256(secret.encode()).hexdigest()


def is_slow(stored: str) -> bool:
    """Whether verifying against this hash takes long enough to need a thread."""
    return not stored.startswith(_MADE)


def scheme(stored: str) -> str:
    """How the hash was made, and so how long verifying against it takes: `sha256`, `argon2id` or `bcrypt`."""
    return "bcrypt" if stored.startswith(_BCRYPT) else stored.lstrip("$").partition("$")[0]


def is_bcrypt(stored: str) -> bool:
    """Whether it is a bcrypt hash as htpasswd files have them, and no dearer to verify than MOST_COST says."""
    match = _BCRYPT_HASH.fullmatch(stored)
    return match is not None and LEAST_COST <= int(match["cost"]) <= MOST_COST


def is_outdated(stored: str, secret: str) -> bool:
    """Whether this secret, which is the right one, should be hashed anew: its hash came from a htpasswd file.

    Not where bcrypt has looked at a part of it only: then nobody knows whether the rest is right.
    """
    return scheme(stored) == "bcrypt" and len(secret.encode()) <= BCRYPT_BYTES


def verify(stored: str, secret: str) -> bool:
    """Whether the secret is the one behind the stored hash: ours, argon2id, or bcrypt as in a htpasswd file."""
    if len(secret) > LONGEST_PASSWORD:
        return False
    if stored.startswith(_MADE):
        return hmac.compare_digest(stored, hash_secret(secret))
    if stored.startswith(_BCRYPT):
        # bcrypt has always looked at 72 bytes only, and htpasswd files rely on it.
        try:
            return bcrypt.checkpw(secret.encode()[:BCRYPT_BYTES], stored.encode())
        except ValueError:  # no hash after all, or a secret that bcrypt can't take
            return False
    try:
        return _HASHER.verify(stored, secret)
    except (VerificationError, InvalidHashError):
        return False


class Decoy:
    """A hash of nobody's password: verified against for unknown names, so that they take as long as known ones."""

    def __init__(self) -> None:
        self.hash = hash_password(make_secret())
