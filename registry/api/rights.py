"""The rights that endpoints ask for: the scope of a registry token, and the operation that policies decide on."""

from typing import NamedTuple

from auth.access import Action
from auth.policy.actions import Operation


class Right(NamedTuple):
    """What an endpoint asks for: the scope that a token must have, and what the request does.

    `also` is a scope that does as well: that of those whom only the operation's second alternative allows it.
    """

    scope: Action
    operation: Operation
    also: Action | None = None

    @property
    def scopes(self) -> tuple[Action, ...]:
        """Of these a token must have one."""
        return (self.scope,) if self.also is None else (self.scope, self.also)


GET_MANIFEST = Right(Action.PULL, Operation.GET_MANIFEST)
HEAD_MANIFEST = Right(Action.PULL, Operation.HEAD_MANIFEST, Action.PUSH)
LIST_REFERRERS = Right(Action.PULL, Operation.LIST_REFERRERS)
GET_BLOB = Right(Action.PULL, Operation.GET_BLOB)
HEAD_BLOB = Right(Action.PULL, Operation.HEAD_BLOB, Action.PUSH)
MOUNT_FROM = Right(Action.PULL, Operation.MOUNT_FROM)
LIST_TAGS = Right(Action.PULL, Operation.LIST_TAGS)
START_UPLOAD = Right(Action.PUSH, Operation.START_UPLOAD)
UPLOAD_AT_ONCE = Right(Action.PUSH, Operation.UPLOAD_AT_ONCE)
CONTINUE_UPLOAD = Right(Action.PUSH, Operation.CONTINUE_UPLOAD)
FINISH_UPLOAD = Right(Action.PUSH, Operation.FINISH_UPLOAD)
PUT_MANIFEST = Right(Action.PUSH, Operation.PUT_MANIFEST)
CREATE_REPOSITORY = Right(Action.PUSH, Operation.CREATE_REPOSITORY)
REPLICATE = Right(Action.PUSH, Operation.REPLICATE)
IMPORT_UPSTREAM = Right(Action.PULL, Operation.IMPORT_UPSTREAM)
CREATE_BY_PULL = Right(Action.PULL, Operation.CREATE_REPOSITORY)
DELETE = Right(Action.DELETE, Operation.DELETE)
