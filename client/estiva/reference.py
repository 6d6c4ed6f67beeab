"""Names of repositories and tags (OCI distribution-spec, section "Pulling manifests")."""

import re
from dataclasses import dataclass
from typing import Self

from estiva.digest import Digest
from estiva.errors import ManifestInvalid, NameInvalid

MAX_NAME_LENGTH = 255
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class RepositoryName:
    """A repository's name, well-formed and at most 255 characters long.

    A server may hold the registries of several accounts: `account` is empty for the one that the server is named after.
    """

    text: str
    account: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The name that `text` spells; NameInvalid where it breaks the grammar."""
        # The length is looked at first: the grammar's nested repetition is only safe on short text.
        if len(text) > MAX_NAME_LENGTH or _NAME.fullmatch(text) is None:
            raise NameInvalid(detail=text[:MAX_NAME_LENGTH])
        return cls(text)

    @property
    def key(self) -> str:
        """The name by which storage finds the repository, among those of all accounts.

        Other accounts' sort after all of the server's own, and are no names that anybody could ask for.
        """
        return f"~{self.account}:{self.text}" if self.account else self.text

    @classmethod
    def of_key(cls, key: str) -> Self:
        """The repository of that `key`."""
        account, _, text = key.removeprefix("~").rpartition(":")
        return cls(text, account)

    def within(self, account: str) -> Self:
        """The same name in the registry of another account; empty for the server's own."""
        return type(self)(self.text, account)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, well-formed and at most 128 characters long."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The tag that `text` spells; ManifestInvalid where it breaks the grammar."""
        if _TAG.fullmatch(text) is None:
            raise ManifestInvalid("invalid tag", detail=text[:160])
        return cls(text)

    def __str__(self) -> str:
        return self.text


Reference = Tag | Digest


def parse_reference(text: str) -> Reference:
    """A tag or a digest; DigestInvalid for what looks like a digest (has a colon) and is none."""
    return Digest.parse(text) if ":" in text else Tag.parse(text)
