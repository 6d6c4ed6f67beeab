"""Whose password of `docker login --username AWS` it is, as things are now."""

from auth.credentials import is_good
from auth.dev_accounts import DevAccounts
from auth.passes import Passes
from auth.principals import Kind, Principal
from auth.signers import owner_of
from storage.metadata.database import Database


class PassHolders:
    """An `auth.credentials.PassTokens` over the stored access keys."""

    def __init__(self, database: Database, passes: Passes, dev_accounts: DevAccounts | None = None) -> None:
        self._database = database
        self._passes = passes
        self._dev_accounts = dev_accounts

    async def principal(self, password: str) -> Principal | None:
        """See `PassTokens.principal`."""
        key_id = self._passes.key_id(password)
        if key_id is None:
            return None
        if self._dev_accounts and self._dev_accounts.secret_of(key_id) is not None:
            return self._dev_accounts.principal(key_id)
        found = await self._database.read(owner_of(key_id))
        if found is None or found[0].disabled or not is_good(found[1]):
            return None
        owner = found[1]
        return Principal(Kind(owner.kind), owner.name, owner.id, key=key_id)
