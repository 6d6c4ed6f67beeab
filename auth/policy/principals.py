"""Who asks, and the Principal element that names them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from auth.policy.errors import InvalidPolicyError, quoted
from auth.policy.keys import PRINCIPAL_FAMILIES
from auth.policy.matching import Context

EVERYONE = "*"
ACCOUNT = re.compile(r"[0-9]{12}")
_ACCOUNT_ROOT = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>[0-9]{12}):root")
_PRINCIPAL_ARN = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::[0-9]{12}:[^\s*?]{1,1024}")
_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")


class PrincipalKind(StrEnum):
    """What kind of principal it is; the value is what `aws:PrincipalType` holds."""

    ROOT = "Account"
    USER = "User"
    ROLE = "AssumedRole"
    FEDERATED = "FederatedUser"
    ANONYMOUS = "Anonymous"


@dataclass(frozen=True, slots=True)
class PolicyPrincipal:
    """Somebody who asks, as policies see them. `ANONYMOUS` is nobody in particular.

    `userid` is `aws:userid`, an identifier that is never given to another one. `attributes` are its tags
    (`aws:PrincipalTag/...`) and the claims of the token it came with (`oidc:...`); any other key is a ValueError.
    `context` holds all condition keys that follow from who it is. `aws:username` is there for users only, as in AWS;
    robots are users in this respect.
    """

    arn: str
    account: str
    name: str
    kind: PrincipalKind = PrincipalKind.USER
    userid: str = ""
    attributes: Context = field(default_factory=dict, repr=False)
    context: Context = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        context = {key.lower(): values for key, values in self.attributes.items()}
        if len(context) != len(self.attributes) or not all(key.startswith(PRINCIPAL_FAMILIES) for key in context):
            raise ValueError("an attribute is there twice, or is neither a tag nor a claim of the principal")
        context |= {"aws:principaltype": (self.kind.value,), "aws:principalaccount": (self.account,)}
        if not self.anonymous:
            context["aws:principalarn"] = (self.arn,)
        if self.kind is PrincipalKind.USER:
            context["aws:username"] = (self.name,)
        if self.userid:
            context["aws:userid"] = (self.userid,)
        object.__setattr__(self, "context", context)

    @property
    def anonymous(self) -> bool:
        """Whether nobody has proved to be anyone."""
        return self.kind is PrincipalKind.ANONYMOUS


# In AWS, too, account and user id of an anonymous request are the word itself.
ANONYMOUS = PolicyPrincipal("", "anonymous", "", PrincipalKind.ANONYMOUS, "anonymous")


@dataclass(frozen=True, slots=True)
class Principals:
    """The principals that a statement names: everyone, single ones by ARN, whole accounts, services.

    Services are kept and match nobody: no AWS service is a principal of this server.
    """

    everyone: bool
    arns: frozenset[str]
    accounts: frozenset[str]
    services: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, value: Any) -> Self:
        """The value of the Principal element; InvalidPolicyError where it is none."""
        if value == EVERYONE:
            return cls(True, frozenset(), frozenset())
        if not isinstance(value, Mapping) or not value:
            raise InvalidPolicyError('must be "*" or an object with the member AWS')
        unknown = sorted(value.keys() - {"AWS", "Service"})
        if unknown:
            raise InvalidPolicyError(f"unknown kind of principal {quoted(unknown[0])}")
        names = _names(value, "AWS")
        accounts = {account for name in names if (account := _account(name))}
        return cls(
            EVERYONE in names,
            frozenset(_arn(name) for name in names if name != EVERYONE and not ACCOUNT.fullmatch(name)),
            frozenset(accounts),
            frozenset(_service(name) for name in _names(value, "Service")),
        )

    def name(self, principal: PolicyPrincipal) -> bool:
        """Whether they name this very principal, or everyone."""
        return self.everyone or (not principal.anonymous and principal.arn in self.arns)

    def cover(self, principal: PolicyPrincipal) -> bool:
        """Whether they name this principal, everyone, or the account it belongs to."""
        return self.name(principal) or (not principal.anonymous and principal.account in self.accounts)


def _names(value: Mapping[str, Any], member: str) -> list[str]:
    names = value.get(member, [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidPolicyError(f"{member} must be a string or a list of strings")
    if member in value and not names:
        raise InvalidPolicyError(f"{member} must not be empty")
    return names


def _account(name: str) -> str | None:
    root = _ACCOUNT_ROOT.fullmatch(name)
    return root["account"] if root else name if ACCOUNT.fullmatch(name) else None


def _arn(name: str) -> str:
    if not _PRINCIPAL_ARN.fullmatch(name):
        raise InvalidPolicyError(f"{quoted(name)} is neither an account nor the ARN of a principal")
    return name


def _service(name: str) -> str:
    if not _SERVICE.fullmatch(name):
        raise InvalidPolicyError(f"{quoted(name)} is not the name of a service")
    return name
