"""One call of an operation: who asks, of which account's registry, and for what."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from auth.access import Caller
from auth.policy.actions import repository_arn
from auth.sigv4 import Signature
from aws.errors import AwsError
from aws.paging import DEFAULT_SIZE, Asked
from aws.parts import Parts
from estiva.reference import RepositoryName
from storage.metadata.audit import Actor

Answer = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Call:
    """A request that is signed and well-formed."""

    parts: Parts
    caller: Caller
    service: str
    operation: str
    input: Mapping[str, Any]
    signature: Signature | None
    """Its region is the one that the client signed for; names of resources have the server's own.

    None where the caller signed in with a password.
    """
    registry_url: Callable[[str], str]
    """Where the registry of an account is for this client, such as `http://127.0.0.1:5000`."""
    account: str
    """The account whose registry is asked: `registryId`, else the caller's."""
    resources: Sequence[str] = ()
    """The ARNs on which policies allowed it; `*` for none in particular."""

    @property
    def base_url(self) -> str:
        """Where the registry is that is asked."""
        return self.registry_url(self.account)

    @property
    def key_id(self) -> str:
        """The access key that signed."""
        assert self.signature is not None, "only what is signed has a key"
        return self.signature.key_id

    @property
    def account_key(self) -> str:
        """The account as facts are stored under it: empty for the server's own."""
        return "" if self.account == self.parts.account else self.account

    @property
    def actor(self) -> Actor:
        """The caller, as the audit trail names it."""
        principal = self.caller.principal
        return Actor(f"{principal.kind.value}/{principal.name}", self.caller.address)

    @property
    def owner(self) -> str:
        """Whose uploads these are; the same as for uploads begun through the OCI API."""
        return self.caller.principal.owner

    def name(self, text: str | None = None) -> RepositoryName:
        """The repository `repositoryName`, or of the given name, in the registry that is asked."""
        return RepositoryName(self.input["repositoryName"] if text is None else text, self.account_key)

    def arn(self, name: RepositoryName) -> str:
        """The repository's name in policies and answers."""
        return repository_arn(self.parts.region, name.account or self.parts.account, name)

    def page(self, default: int = DEFAULT_SIZE) -> Asked:
        """The page that the request asks for. AwsError where its `nextToken` is for another list."""
        return self.parts.pages.asked(self._list, self.input, default)

    def next_token(self, position: str | None) -> str | None:
        """The `nextToken` for the page after `position`; None on the last page."""
        return None if position is None else self.parts.pages.give(self._list, self.input, position)

    @property
    def _list(self) -> str:
        return f"{self.service}:{self.operation}:{self.account}"

    async def may(self, action: str, resource: str, **context: str) -> bool:
        """Whether policies allow the caller that."""
        return (await self.parts.access.decide(self.caller, action, resource, **context)).allowed

    async def require(self, action: str, resource: str, **context: str) -> None:
        """Return where policies allow the caller that. AwsError AccessDeniedException."""
        if not await self.may(action, resource, **context):
            who = self.caller.principal.in_policies(self.parts.account).arn
            raise AwsError(
                "AccessDeniedException",
                f"User: {who} is not authorized to perform: {action} on resource: {resource}",
            )

    async def blocking(self, function: Callable[..., Any], *arguments: object) -> Any:
        """What the function returns, run in a thread: for work that takes longer than a millisecond."""
        return await asyncio.get_running_loop().run_in_executor(self.parts.threads, function, *arguments)


Handler = Callable[[Call], Awaitable[Answer]]
Resources = Callable[[Call], list[str]]
Context = Callable[[Call, str], Mapping[str, str]]


def _nothing(call: Call, resource: str) -> Mapping[str, str]:
    return {}


class Operation(NamedTuple):
    """What does an operation, and the resources on which its action has to be allowed, each of them.

    `context` adds condition keys that policies may ask of this operation on one of them, such as its tag.
    """

    handler: Handler
    resources: Resources
    context: Context = _nothing
