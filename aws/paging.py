"""`nextToken`: where the next page begins, sealed, and good for nothing but the list that it was given for."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auth.sealing import Seal, SealBrokenError
from aws.errors import invalid_parameter

LONGEST = 2048
DEFAULT_SIZE = 100
_NOT_BOUND = frozenset({"nextToken", "maxResults"})


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page is asked for: at most `size` entries after `position`, which is empty for the first page."""

    size: int
    position: str


class Pages:
    """Gives out and takes back page tokens; every process with the same master key takes them."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def asked(self, what: str, parameters: Mapping[str, Any], default: int = DEFAULT_SIZE) -> Asked:
        """The page that `maxResults` and `nextToken` ask for. AwsError."""
        token = parameters.get("nextToken")
        position = "" if token is None else self.take(what, parameters, token)
        return Asked(parameters.get("maxResults", default), position)

    def give(self, what: str, parameters: Mapping[str, Any], position: str) -> str:
        """A token for the page after `position`, of the list that operation and parameters describe."""
        return base64.urlsafe_b64encode(self._seal.seal(_purpose(what, parameters), position.encode())).decode()

    def take(self, what: str, parameters: Mapping[str, Any], token: str) -> str:
        """The position in a token that `give` made for the same operation and parameters. AwsError."""
        try:
            if len(token) > LONGEST:
                raise ValueError
            sealed = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
            return self._seal.unseal(_purpose(what, parameters), sealed).decode()
        except (SealBrokenError, binascii.Error, ValueError):
            raise invalid_parameter("nextToken", "must be the token of a page of the same list") from None


def _purpose(what: str, parameters: Mapping[str, Any]) -> str:
    bound = {name: value for name, value in parameters.items() if name not in _NOT_BOUND}
    return f"page of {what}:{hashlib.sha256(json.dumps(bound, sort_keys=True).encode()).hexdigest()}"
