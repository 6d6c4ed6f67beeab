"""The digest: content's own name (OCI image-spec descriptor.md, section "Digests")."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from estiva.errors import DigestInvalid


class Algorithm(StrEnum):
    """The digest algorithms that this registry knows: the two that the specification registers."""

    SHA256 = "sha256"
    SHA512 = "sha512"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The algorithm of that name; DigestInvalid where it is none of ours."""
        try:
            return cls(text)
        except ValueError:
            raise DigestInvalid("unsupported digest algorithm", detail=text[:32]) from None


_DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest that is well-formed: `sha256:` + 64 or `sha512:` + 128 lower-case hexadecimal digits."""

    algorithm: Algorithm
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The digest that `text` spells; DigestInvalid for anything else, whatever it is."""
        match = _DIGEST.fullmatch(text)
        if match is None:
            raise DigestInvalid("malformed digest", detail=text[:160])
        algorithm, digits = match.group(1) or match.group(3), match.group(2) or match.group(4)
        return cls(Algorithm(algorithm), digits)

    @classmethod
    def of(cls, content: bytes, algorithm: Algorithm = Algorithm.SHA256) -> Self:
        """The digest of these bytes."""
        return cls(algorithm, hashlib.new(algorithm.value, content).hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm.value}:{self.hex}"
