"""Platforms: what an image runs on, as in `linux/arm64/v8`."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from estiva.failures import ReferenceInvalid

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "i386": "386"}
_USUAL_VARIANTS = {"arm64": "v8", "arm": "v7"}


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and an architecture, by Go's names, and a variant where there are several."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The platform that `os/architecture[/variant]` spells; ReferenceInvalid for anything else."""
        parts = text.lower().split("/")
        if not 2 <= len(parts) <= 3 or not all(part.replace("-", "").replace("_", "").isalnum() for part in parts):
            raise ReferenceInvalid(f"{text!r} is no platform such as linux/amd64 or linux/arm64/v8")
        return cls(parts[0], _ARCHITECTURES.get(parts[1], parts[1]), *parts[2:])

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The platform in a descriptor or in an image's config."""
        return cls(str(value.get("os", "")), str(value.get("architecture", "")), str(value.get("variant") or ""))

    @classmethod
    def of_containers_here(cls) -> Self:
        """Linux, on this machine's architecture."""
        import platform as machine

        name = machine.machine().lower()
        return cls("windows" if sys.platform == "win32" else "linux", _ARCHITECTURES.get(name, name))

    def matches(self, offered: Self) -> bool:
        """Whether something for the platform `offered` is what is asked for."""
        usual = _USUAL_VARIANTS.get(self.architecture, "")
        same = (self.os, self.architecture) == (offered.os, offered.architecture)
        return same and (self.variant or usual) == (offered.variant or usual)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
