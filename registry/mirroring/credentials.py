"""Credentials for other registries: sealed in the database, unsealed for the request that needs them."""

import re

from auth.sealing import Seal, SealBrokenError
from estiva.errors import RegistryError, Unavailable
from registry.upstream.tokens import Credential
from storage.metadata import audit, upstream_credentials
from storage.metadata.audit import Actor
from storage.metadata.database import ConstraintError, Database, Work
from storage.metadata.upstream_credentials import CredentialRecord

PURPOSE = "upstream credential"
LONGEST_SECRET = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_+=.@-]{0,199}")
_ARN = re.compile(r"arn:aws[\w-]*:secretsmanager:[^:]+:[0-9]{12}:secret:ecr-pullthroughcache/(.+)")
_ARN_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}")
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,300}")


class CredentialInvalid(RegistryError):
    """The name, username or secret can't be one; the text says why."""

    code, status, message = "CREDENTIAL_INVALID", 400, "invalid credential"


class CredentialUnknown(RegistryError):
    """No credential has that name."""

    code, status, message = "CREDENTIAL_UNKNOWN", 404, "no such credential"


class CredentialInUse(RegistryError):
    """A rule or a replication endpoint signs in with it."""

    code, status, message = "CREDENTIAL_IN_USE", 409, "the credential is in use"


class UpstreamCredentials:
    """Stores credentials and hands them to whoever speaks to a registry. Nothing shows a secret again."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    async def put(self, actor: Actor, account: str, name: str, credential: Credential) -> None:
        """Enter a credential, in place of an older one of that name. CredentialInvalid."""
        _check(name, credential)
        sealed = self._seal.seal(f"{PURPOSE} {account}/{name}", credential.secret.encode())
        record = CredentialRecord(name, credential.username, sealed, credential.token_server)

        def work() -> Work[None]:
            yield from upstream_credentials.put(account, record)
            yield from audit.record(actor, "PutUpstreamCredential", f"credential/{name}", username=credential.username)

        await self._database.write(work)

    async def find(self, account: str, name: str) -> Credential:
        """The credential of that name. CredentialUnknown; Unavailable where the master key is another one now."""
        record = await self._database.read(upstream_credentials.find(account, name))
        if record is None:
            raise CredentialUnknown(detail={"name": name[:200]})
        try:
            secret = self._seal.unseal(f"{PURPOSE} {account}/{name}", record.sealed).decode()
        except SealBrokenError:
            raise Unavailable("a credential was sealed with another master key: enter it again") from None
        return Credential(record.username, secret, record.token_server)

    async def page(self, account: str, last: str, limit: int) -> list[CredentialRecord]:
        """At most `limit` credentials after `last`, by name."""
        return await self._database.read(upstream_credentials.page(account, last, limit))

    async def named_by(self, account: str, arn: str) -> str:
        """The name of the credential that an ARN of AWS's Secrets Manager stands for. CredentialUnknown.

        `…:secret:ecr-pullthroughcache/NAME`, with or without the six characters that AWS adds to names.
        """
        match = _ARN.fullmatch(arn)
        text = match.group(1) if match else ""
        for name in (text, text[:-7] if _ARN_SUFFIX.fullmatch(text[-7:]) else text):
            if await self._database.read(upstream_credentials.find(account, name)) is not None:
                return name
        raise CredentialUnknown(detail={"arn": arn[:600]})

    async def delete(self, actor: Actor, account: str, name: str) -> None:
        """Remove a credential that nothing uses. CredentialUnknown, CredentialInUse."""

        def work() -> Work[None]:
            if not (yield from upstream_credentials.delete(account, name)):
                raise CredentialUnknown(detail={"name": name[:200]})
            yield from audit.record(actor, "DeleteUpstreamCredential", f"credential/{name}")

        try:
            await self._database.write(work)
        except ConstraintError:
            raise CredentialInUse(detail={"name": name[:200]}) from None


def _check(name: str, credential: Credential) -> None:
    if _NAME.fullmatch(name) is None or "//" in name:
        raise CredentialInvalid("a name has 1 to 200 of A-Z a-z 0-9 / _ + = . @ - and begins with a letter or digit")
    if not 1 <= len(credential.username) <= 256 or ":" in credential.username or not credential.username.isprintable():
        raise CredentialInvalid("a username has 1 to 256 characters and no colon")
    if not 1 <= len(credential.secret.encode()) <= LONGEST_SECRET or not credential.secret.isprintable():
        raise CredentialInvalid("a secret has 1 to 65536 characters on one line")
    if credential.token_server is not None and _URL.fullmatch(credential.token_server) is None:
        raise CredentialInvalid("token_server is not the scheme and host of a URL")
