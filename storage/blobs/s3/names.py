"""The names of objects, and the storage keys that they hold."""

import re
import secrets

from storage.blobs.names import is_storage_key

_LARGE_KEY = re.compile(r"(.+\.([0-9a-f]{32}))\.(0|[1-9][0-9]{0,18})")
_STATE = re.compile(r"([A-Za-z0-9_-]{1,128})/")


class Names:
    """Every name under one prefix."""

    def __init__(self, prefix: str) -> None:
        self.blobs = f"{prefix}blobs/"
        self.large_content = f"{prefix}large/"
        self.uploads = f"{prefix}uploads/"
        self.probe = f"{prefix}uploads/.probe"

    def state(self, upload_id: str) -> str:
        """Where an upload's state is."""
        return f"{self.uploads}{upload_id}/state"

    def new_tail(self, upload_id: str) -> str:
        """A new name for an upload's last bytes: what is there is never written over."""
        return f"{self.uploads}{upload_id}/tail.{secrets.token_hex(8)}"

    def upload_of(self, name: str) -> str | None:
        """The id of the upload that an object below `uploads` belongs to."""
        match = _STATE.match(name.removeprefix(self.uploads))
        return match[1] if match else None

    def large(self, generation: str) -> str:
        """Where content is that came in parts."""
        return f"{self.large_content}{generation}"

    def entry(self, key: str) -> str:
        """The object that shows a key to whoever lists blobs: the content itself, or a note."""
        return f"{self.blobs}{key}"

    def content(self, key: str) -> str:
        """The object with the bytes of a key."""
        match = _LARGE_KEY.fullmatch(key)
        return self.large(match[2]) if match else self.entry(key)


def large_key(key: str, size: int) -> str:
    """The key of content that came in parts: that of a small blob and the content's size."""
    return f"{key}.{size}"


def is_key(text: str) -> bool:
    """Whether a store on S3 could have given that key."""
    match = _LARGE_KEY.fullmatch(text)
    return is_storage_key(match[1] if match else text)


def size_in(key: str) -> int | None:
    """The size that a key tells, None for a small blob's."""
    match = _LARGE_KEY.fullmatch(key)
    return int(match[3]) if match else None
