"""Managing policies: documents by name, whom they are attached to, and the policies of repositories."""

from collections.abc import Callable

from auth.identities import IdentityExists, IdentityUnknown, check_names
from auth.policy import InvalidPolicyError, parse_identity_policy, parse_registry_policy, parse_repository_policy
from auth.policy.managed import MANAGED_POLICIES
from auth.uses import PolicyUses
from estiva.errors import NameUnknown, RegistryError
from estiva.reference import RepositoryName
from storage.metadata import access, audit, groups, policies, principals, registry_settings
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work
from storage.metadata.policies import Holder

MOST_NAMED = 100
"""Of those who use a policy so many are named to whoever wants to remove it."""


class PolicyInvalid(RegistryError):
    """The document is no policy; the text names the member."""

    code, status, message = "POLICY_INVALID", 400, "invalid policy"


class PolicyInUse(RegistryError):
    """Something uses the policy; the detail names what."""

    code, status, message = "POLICY_IN_USE", 409, "the policy is in use"


class Policies:
    """Stores policies that have been understood, and nothing else."""

    def __init__(self, database: Database, uses: PolicyUses | None = None) -> None:
        self._database = database
        self._uses = uses or PolicyUses()

    async def put(self, actor: Actor, name: str, document: str) -> None:
        """Enter a policy, in place of an older one of that name. PolicyInvalid, IdentityInvalid, IdentityExists."""
        check_names([name.lower()])
        if name in MANAGED_POLICIES:
            raise IdentityExists("that is the name of a ready-made policy")
        _check(lambda: parse_identity_policy(document))

        def work() -> Work[None]:
            yield from policies.put(name, document)
            yield from audit.record(actor, "PutPolicy", f"policy/{name}")

        await self._database.write(work)

    async def find(self, name: str) -> str:
        """The document of that name, ready-made ones too. IdentityUnknown."""
        found = await self._database.read(policies.find(name))
        if found is None:
            ready_made = MANAGED_POLICIES.get(name)
            if ready_made is None:
                raise IdentityUnknown(detail={"policy": name[:128]})
            return ready_made.text
        return found

    async def page(self, last: str, limit: int) -> list[str]:
        """At most `limit` names after `last`, without the ready-made ones."""
        return await self._database.read(policies.page(last, limit))

    async def delete(self, actor: Actor, name: str) -> None:
        """Remove a policy that nothing uses. PolicyInUse, IdentityUnknown."""

        def work() -> Work[None]:
            # First, so that whoever begins to use it at this moment comes before or after this, never between.
            yield from access.advance()
            if used_by := (yield from self._uses.of(name)):
                raise PolicyInUse(detail={"policy": name[:128], "used_by": used_by[:MOST_NAMED]})
            if not (yield from policies.delete(name)):
                raise IdentityUnknown(detail={"policy": name[:128]})
            yield from audit.record(actor, "DeletePolicy", f"policy/{name}")

        await self._database.write(work)

    async def set_attached(self, actor: Actor, holder: Holder, name: str, policy: str, attached: bool) -> None:
        """Give a principal or group a policy, or take it away. Idempotent. IdentityUnknown."""

        def work() -> Work[None]:
            yield from access.advance()
            identifier, target = yield from _holder(holder, name)
            if attached and policy not in MANAGED_POLICIES and (yield from policies.find(policy)) is None:
                raise IdentityUnknown(detail={"policy": policy[:128]})
            yield from (policies.attach if attached else policies.detach)(holder, identifier, policy)
            action = "AttachPolicy" if attached else "DetachPolicy"
            yield from audit.record(actor, action, target, policy=policy)

        await self._database.write(work)

    async def attached_to(self, holder: Holder, name: str) -> list[str]:
        """The policies that a principal or group itself has. IdentityUnknown."""

        def work() -> Work[list[str]]:
            identifier, _ = yield from _holder(holder, name)
            return (yield from policies.attached_to(holder, identifier))

        return await self._database.read(work())

    async def of_repository(self, name: RepositoryName) -> str:
        """The repository's policy. IdentityUnknown where it has none."""
        found = await self._database.read(policies.of_repository(name))
        if found is None:
            raise IdentityUnknown("the repository has no policy")
        return found

    async def put_for_repository(self, actor: Actor, name: RepositoryName, document: str) -> None:
        """Set the repository's policy. PolicyInvalid, NameUnknown."""
        _check(lambda: parse_repository_policy(document))

        def work() -> Work[None]:
            if not (yield from policies.put_for_repository(name, document)):
                raise NameUnknown(detail={"name": name.text})
            yield from audit.record(actor, "SetRepositoryPolicy", f"repository/{name}")

        await self._database.write(work)

    async def of_registry(self, account: str) -> str:
        """The policy of that account's registry. IdentityUnknown where it has none."""
        found = await self._database.read(registry_settings.find(account, registry_settings.POLICY))
        if found is None:
            raise IdentityUnknown("the registry has no policy")
        return found

    async def put_for_registry(self, actor: Actor, account: str, document: str) -> None:
        """Set the policy of that account's registry. PolicyInvalid."""
        _check(lambda: parse_registry_policy(document))

        def work() -> Work[None]:
            yield from registry_settings.put(account, registry_settings.POLICY, document)
            yield from audit.record(actor, "PutRegistryPolicy", "registry")

        await self._database.write(work)

    async def delete_for_registry(self, actor: Actor, account: str) -> str:
        """Remove the policy of that account's registry: what it was. IdentityUnknown where it has none."""

        def work() -> Work[str]:
            found = yield from registry_settings.delete(account, registry_settings.POLICY)
            if found is None:
                raise IdentityUnknown("the registry has no policy")
            yield from audit.record(actor, "DeleteRegistryPolicy", "registry")
            return found

        return await self._database.write(work)

    async def delete_for_repository(self, actor: Actor, name: RepositoryName) -> None:
        """Remove the repository's policy. IdentityUnknown where it has none."""

        def work() -> Work[None]:
            if not (yield from policies.delete_for_repository(name)):
                raise IdentityUnknown("the repository has no policy")
            yield from audit.record(actor, "DeleteRepositoryPolicy", f"repository/{name}")

        await self._database.write(work)


def _holder(holder: Holder, name: str) -> Work[tuple[int, str]]:
    """Its id, and what the audit trail calls it. IdentityUnknown."""
    if holder == "group":
        group = yield from groups.find(name)
        if group is not None:
            return group, f"group/{name}"
    else:
        principal = yield from principals.find(name)
        if principal is not None:
            return principal.id, f"{principal.kind}/{name}"
    raise IdentityUnknown(detail={holder: name[:64]})


def _check(parse: Callable[[], object]) -> None:
    try:
        parse()
    except InvalidPolicyError as error:
        raise PolicyInvalid(str(error)) from None
