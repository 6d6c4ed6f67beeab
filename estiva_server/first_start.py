"""The first start: somebody has to be able to come in."""

from dataclasses import dataclass

from auth.identities import IdentityExists, NewAccessKey
from auth.passwords import make_secret
from estiva_server.config import Settings
from estiva_server.security import Security
from storage.metadata.audit import Actor
from storage.metadata.database import Database

ADMIN = "admin"
POLICY = "AdministratorAccess"
ITSELF = Actor("estiva")


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the person who starts the server has to be told; a generated password is told this once."""

    first: bool
    generated_password: str | None = None


async def first_start(settings: Settings, database: Database, security: Security) -> Welcome:
    """Create the user `admin`, unless there are users already."""
    await security.keys.load()
    if await security.identities.page("user", "", 1):
        return Welcome(first=False)
    given = settings.admin_password.get_secret_value() if settings.admin_password else None
    password = given or make_secret()
    # In one transaction: an admin who may do nothing would lock everybody out for good.
    try:
        await security.identities.create_user(ITSELF, ADMIN, password, POLICY)
    except IdentityExists:  # a replica that starts at the same time was quicker
        return Welcome(first=False)
    if settings.admin_access_key_id and settings.admin_secret_access_key:
        secret = settings.admin_secret_access_key.get_secret_value()
        await security.identities.create_key(ITSELF, "user", ADMIN, NewAccessKey(settings.admin_access_key_id, secret))
    return Welcome(first=True, generated_password=None if given else password)
