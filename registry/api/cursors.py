"""Where a list goes on, for those who may not know what stands there."""

import base64
import binascii

from auth.sealing import Seal, SealBrokenError
from estiva.errors import RequestInvalid
from estiva.reference import MAX_NAME_LENGTH

MARK = "~"
"""What a cursor begins with, and no name does."""
PURPOSE = "catalogue cursor"


class Cursors:
    """Writes a name so that nobody else can read it; the same in every process with this seal."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def hide(self, name: str) -> str:
        """The name as a cursor, which shows neither it nor its length."""
        sealed = self._seal.seal(PURPOSE, name.encode().ljust(MAX_NAME_LENGTH))
        return MARK + base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def reveal(self, text: str) -> str:
        """The name behind a cursor; any other text as it is. RequestInvalid for a cursor that is not ours."""
        if not text.startswith(MARK):
            return text
        encoded = text.removeprefix(MARK)
        try:
            sealed = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
            return self._seal.unseal(PURPOSE, sealed).decode().rstrip()
        except (binascii.Error, ValueError, SealBrokenError):
            raise RequestInvalid("last is not a name") from None
