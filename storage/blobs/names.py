"""The names in a blob store: upload ids come from the caller, storage keys are made here."""

import re
import secrets

from estiva.digest import Digest

_UPLOAD_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_STORAGE_KEY = re.compile(
    r"(?:sha256/([0-9a-f]{2})/(?=\1)[0-9a-f]{64}|sha512/([0-9a-f]{2})/(?=\2)[0-9a-f]{128})\.[0-9a-f]{32}"
)


def is_upload_id(text: str) -> bool:
    """Whether an upload may have that id: one path segment, whatever else it is."""
    return _UPLOAD_ID.fullmatch(text) is not None


def new_storage_key(digest: Digest) -> str:
    """A key that nobody ever had: `<algorithm>/<first two digits>/<digits>.<generation>`.

    The generation is 128 random bits, so a late delete of an older key can never hit content that came back.
    """
    return f"{digest.algorithm.value}/{digest.hex[:2]}/{digest.hex}.{secrets.token_hex(16)}"


def is_storage_key(text: str) -> bool:
    """Whether `new_storage_key` could have made that key."""
    return _STORAGE_KEY.fullmatch(text) is not None
