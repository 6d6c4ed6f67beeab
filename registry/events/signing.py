"""Signed deliveries, as Standard Webhooks 1.0 has them: who has the secret can tell that we sent it, and when."""

import base64
import hashlib
import hmac
import os

PREFIX = "whsec_"
SECRET_BYTES = 32


def make_secret() -> str:
    """A new secret, in the form that receivers' libraries take."""
    return PREFIX + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


def signed_headers(secret: str, event: str, at: int, content: bytes) -> dict[str, str]:
    """The headers that sign this body, sent at that time (seconds since the epoch).

    `webhook-id` is the event's: the same whenever it is sent, so that a receiver can tell one that it knows.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signature = hmac.new(key, f"{event}.{at}.".encode() + content, hashlib.sha256).digest()
    return {
        "webhook-id": event,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
