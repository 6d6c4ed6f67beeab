"""Managing who there is: users, robots, access keys, groups. Every change leaves a line in the audit trail."""

import re
import secrets
import string
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from auth.passwords import (
    LEAST_COST,
    LONGEST_PASSWORD,
    MOST_COST,
    SHORTEST_PASSWORD,
    hash_password,
    hash_secret,
    is_bcrypt,
    make_secret,
)
from auth.sealing import Seal
from auth.threads import Threads
from auth.uses import PolicyUses
from estiva.errors import RegistryError
from storage.metadata import audit, groups, policies, principals
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work
from storage.metadata.principals import AccessKeyRecord, PrincipalRecord

T = TypeVar("T")

KEY_PURPOSE = "access key"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_KEY_LETTERS = string.ascii_uppercase + "234567"


class IdentityInvalid(RegistryError):
    """A name or value that no identity can have."""

    code, status, message = "IDENTITY_INVALID", 400, "invalid identity"


class IdentityUnknown(RegistryError):
    """No user, robot, key, group or policy of that name."""

    code, status, message = "IDENTITY_UNKNOWN", 404, "no such identity"


class IdentityExists(RegistryError):
    """The name is taken."""

    code, status, message = "IDENTITY_EXISTS", 409, "the name is taken"


@dataclass(frozen=True, slots=True)
class NewAccessKey:
    """An access key with its secret, which is shown this once."""

    id: str
    secret: str


class Identities:
    """Creates, changes and removes identities."""

    def __init__(self, database: Database, seal: Seal, threads: Threads, uses: PolicyUses | None = None) -> None:
        self._database = database
        self._seal = seal
        self._threads = threads
        self._uses = uses or PolicyUses()

    async def find(self, kind: str, name: str) -> PrincipalRecord:
        """The user or robot of that name. IdentityUnknown."""
        return _known(await self._database.read(principals.find(name)), kind, name)

    async def page(self, kind: str, last: str, limit: int) -> list[PrincipalRecord]:
        """At most `limit` users or robots after `last`, by name."""
        return await self._database.read(principals.page(kind, last, limit))

    async def create_user(self, actor: Actor, name: str, password: str, policy: str | None = None) -> PrincipalRecord:
        """A new user, with that policy from the beginning. IdentityInvalid, IdentityExists."""
        stored = await self._hash(password)

        def attach(created: PrincipalRecord) -> Work[None]:
            if policy is not None:
                yield from policies.attach("principal", created.id, policy)
                yield from audit.record(actor, "AttachPolicy", f"user/{name}", policy=policy)

        return await self._create(actor, PrincipalRecord(0, "user", name, stored, False, 0, None), attach)

    async def import_user(self, actor: Actor, name: str, stored: str) -> PrincipalRecord:
        """A new user whose password is known by its bcrypt hash only, until the first sign-in.

        IdentityInvalid, IdentityExists.
        """
        if not is_bcrypt(stored):
            raise IdentityInvalid(f"password_hash is no bcrypt hash of a cost from {LEAST_COST} to {MOST_COST}")
        return await self._create(actor, PrincipalRecord(0, "user", name, stored, False, 0, None), _nothing)

    async def create_robot(
        self, actor: Actor, name: str, expires_at: float | None, document: str | None = None
    ) -> tuple[PrincipalRecord, str]:
        """A new robot and its secret, which is shown this once. IdentityInvalid, IdentityExists.

        With `document`, a policy of the robot's own that has been checked, named `robot-<name>`.
        """
        if expires_at is not None and expires_at <= time.time():
            raise IdentityInvalid("the robot would be expired already")
        secret = make_secret()
        own = f"robot-{name}"

        def attach(created: PrincipalRecord) -> Work[None]:
            if document is None:
                return
            if (yield from policies.find(own)) is not None:
                raise IdentityExists(detail={"policy": own})
            yield from policies.put(own, document)
            yield from policies.attach("principal", created.id, own)

        wanted = PrincipalRecord(0, "robot", name, hash_secret(secret), False, 0, expires_at)
        return await self._create(actor, wanted, attach), secret

    async def set_password(self, actor: Actor, name: str, password: str) -> None:
        """Give the user another password. IdentityInvalid, IdentityUnknown."""
        stored = await self._hash(password)
        await self._change("user", name, actor, "SetPassword", lambda found: principals.set_secret(found.id, stored))

    async def renew_secret(self, actor: Actor, name: str) -> str:
        """Give the robot another secret, which is shown this once. IdentityUnknown."""
        secret = make_secret()
        stored = hash_secret(secret)
        await self._change("robot", name, actor, "RenewSecret", lambda found: principals.set_secret(found.id, stored))
        return secret

    async def set_disabled(self, actor: Actor, kind: str, name: str, disabled: bool) -> None:
        """Shut the user or robot out at once, or let it in again. IdentityUnknown."""
        action = "Disable" if disabled else "Enable"
        await self._change(kind, name, actor, action, lambda found: principals.set_disabled(found.id, disabled))

    async def delete(self, actor: Actor, kind: str, name: str) -> None:
        """Remove the user or robot with everything it has, a policy of its own too. IdentityUnknown."""

        def work(found: PrincipalRecord) -> Work[None]:
            own = f"{kind}-{name}"
            had_own = own in (yield from policies.attached_to("principal", found.id))
            yield from principals.delete(found.id)
            if had_own and not (yield from self._uses.of(own)):
                yield from policies.delete(own)

        await self._change(kind, name, actor, "Delete", work)

    async def create_key(self, actor: Actor, kind: str, name: str, key: NewAccessKey | None = None) -> NewAccessKey:
        """A new access key of the user or robot; the one given, or a generated one. IdentityUnknown."""
        made = key or NewAccessKey(_key_id(), make_secret())
        sealed = self._seal.seal(KEY_PURPOSE, made.secret.encode())

        def work(found: PrincipalRecord) -> Work[None]:
            yield from principals.create_key(made.id, found.id, sealed)

        await self._change(kind, name, actor, "CreateAccessKey", work, key=made.id)
        return made

    async def keys(self, kind: str, name: str) -> list[AccessKeyRecord]:
        """The access keys of the user or robot. IdentityUnknown."""
        found = await self.find(kind, name)
        return await self._database.read(principals.keys(found.id))

    async def delete_key(self, actor: Actor, kind: str, name: str, key_id: str) -> None:
        """Remove an access key. IdentityUnknown."""

        def work(found: PrincipalRecord) -> Work[None]:
            yield from _require_key(found, key_id)
            yield from principals.delete_key(key_id)

        await self._change(kind, name, actor, "DeleteAccessKey", work, key=key_id)

    async def set_key_disabled(self, actor: Actor, kind: str, name: str, key_id: str, disabled: bool) -> None:
        """Make an access key useless at once, or useful again. IdentityUnknown."""

        def work(found: PrincipalRecord) -> Work[None]:
            yield from _require_key(found, key_id)
            yield from principals.set_key_disabled(key_id, disabled)

        action = "DisableAccessKey" if disabled else "EnableAccessKey"
        await self._change(kind, name, actor, action, work, key=key_id)

    async def create_group(self, actor: Actor, name: str) -> None:
        """A new, empty group. IdentityInvalid, IdentityExists."""
        _check_name(name)

        def work() -> Work[None]:
            if (yield from groups.create(name)) is None:
                raise IdentityExists(detail={"group": name})
            yield from audit.record(actor, "CreateGroup", f"group/{name}")

        await self._database.write(work)

    async def delete_group(self, actor: Actor, name: str) -> None:
        """Remove the group; its members stay. IdentityUnknown."""
        await self._change_group(actor, name, "DeleteGroup", groups.delete)

    async def group_page(self, last: str, limit: int) -> list[str]:
        """At most `limit` groups after `last`, by name."""
        return await self._database.read(groups.page(last, limit))

    async def group(self, name: str) -> tuple[list[str], list[str]]:
        """The group's members and its policies, by name. IdentityUnknown."""

        def work() -> Work[tuple[list[str], list[str]]]:
            group = yield from _group(name)
            members = yield from groups.members(group)
            return members, (yield from policies.attached_to("group", group))

        return await self._database.read(work())

    async def set_member(self, actor: Actor, group_name: str, principal_name: str, member: bool) -> None:
        """Make a user or robot a member of the group, or end that. Idempotent. IdentityUnknown."""

        def work(group: int) -> Work[None]:
            found = yield from principals.find(principal_name)
            if found is None:
                raise IdentityUnknown(detail={"name": principal_name[:64]})
            yield from (groups.add if member else groups.remove)(group, found.id)

        action = "AddToGroup" if member else "RemoveFromGroup"
        await self._change_group(actor, group_name, action, work, member=principal_name)

    async def _hash(self, password: str) -> str:
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise IdentityInvalid(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
        return await self._threads.run(hash_password, password)

    async def _create(
        self, actor: Actor, wanted: PrincipalRecord, further: Callable[[PrincipalRecord], Work[None]]
    ) -> PrincipalRecord:
        kind, name, expires_at = wanted.kind, wanted.name, wanted.expires_at
        _check_name(name)

        def work() -> Work[PrincipalRecord]:
            created = yield from principals.create(kind, name, wanted.secret_hash, expires_at)
            if created is None:
                raise IdentityExists(detail={"name": name})
            yield from audit.record(actor, f"Create{kind.title()}", f"{kind}/{name}", expires_at=expires_at)
            yield from further(created)
            return created

        return await self._database.write(work)

    async def _change(
        self,
        kind: str,
        name: str,
        actor: Actor,
        action: str,
        change: Callable[[PrincipalRecord], Work[T]],
        **detail: str,
    ) -> T:
        def work() -> Work[T]:
            found = _known((yield from principals.find(name)), kind, name)
            result = yield from change(found)
            yield from audit.record(actor, action, f"{kind}/{name}", **detail)
            return result

        return await self._database.write(work)

    async def _change_group(
        self, actor: Actor, name: str, action: str, change: Callable[[int], Work[None]], **detail: str
    ) -> None:
        def work() -> Work[None]:
            yield from change((yield from _group(name)))
            yield from audit.record(actor, action, f"group/{name}", **detail)

        await self._database.write(work)


def check_names(names: Sequence[str]) -> None:
    """Return where each may name an identity or policy. IdentityInvalid."""
    for name in names:
        _check_name(name)


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise IdentityInvalid("a name has 1 to 64 of a-z 0-9 . _ @ + - and begins with a letter or digit")


def _known(found: PrincipalRecord | None, kind: str, name: str) -> PrincipalRecord:
    if found is None or found.kind != kind:
        raise IdentityUnknown(detail={kind: name[:64]})
    return found


def _nothing(created: PrincipalRecord) -> Work[None]:
    yield from ()


def _require_key(owner: PrincipalRecord, key_id: str) -> Work[None]:
    key = yield from principals.find_key(key_id)
    if key is None or key.principal_id != owner.id:
        raise IdentityUnknown(detail={"key": key_id[:64]})


def _group(name: str) -> Work[int]:
    group = yield from groups.find(name)
    if group is None:
        raise IdentityUnknown(detail={"group": name[:64]})
    return group


def _key_id() -> str:
    return "AKIA" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(16))
