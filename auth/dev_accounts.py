"""Developer mode: any access key id of twelve digits is an account of its own, whose secret everybody knows."""

import re
from typing import ClassVar

from auth.principals import Kind, Principal

_ACCOUNT = re.compile(r"[0-9]{12}")


class DevAccounts:
    """Recognises the keys of developer mode. On loopback only: the configuration sees to that."""

    SECRET: ClassVar[str] = "test"  # noqa: S105 - documented, for development on one machine
    TRUST: ClassVar[str] = "developer account"
    POLICIES: ClassVar[tuple[str, ...]] = ("AdministratorAccess",)

    def principal(self, account: str) -> Principal:
        """Who comes with that account's key."""
        return Principal(Kind.USER, "root", trust=self.TRUST, account=account)

    def secret_of(self, key_id: str) -> str | None:
        """The secret of that access key; None where it is no account's."""
        return self.SECRET if _ACCOUNT.fullmatch(key_id) else None
