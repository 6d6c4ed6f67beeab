"""Passwords for `docker login --username AWS`: sealed, good for twelve hours, and no more than a pointer to a key.

What its owner may do is asked at each use, and so is whether the key is still there.
"""

import base64
import binascii
import json
import time

from auth.sealing import Seal, SealBrokenError

USERNAME = "AWS"
LIFE = 12 * 3600.0
PURPOSE = "password for AWS"
LONGEST = 1024


class Passes:
    """Issues such passwords and reads them."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def issue(self, key_id: str) -> tuple[str, float]:
        """A password that points to the access key, and until when it is good (seconds since the epoch)."""
        until = time.time() + LIFE
        sealed = self._seal.seal(PURPOSE, json.dumps([key_id, until]).encode())
        return base64.urlsafe_b64encode(sealed).decode(), until

    def key_id(self, password: str) -> str | None:
        """The access key that the password points to; None for one that is not ours, or no longer good."""
        try:
            if len(password) > LONGEST:
                return None
            sealed = base64.b64decode(password.encode(), altchars=b"-_", validate=True)
            key_id, until = json.loads(self._seal.unseal(PURPOSE, sealed))
        except (SealBrokenError, binascii.Error, ValueError):
            return None
        return str(key_id) if time.time() < until else None
