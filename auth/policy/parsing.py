"""Reading policies: IAM's JSON, strictly. What is not understood is refused by name, never passed over."""

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from auth.policy.conditions import Condition, parse_condition
from auth.policy.document import Clause, Document, Effect, PolicyKind, Statement
from auth.policy.errors import InvalidPolicyError, quoted, within
from auth.policy.matching import Texts
from auth.policy.principals import Principals
from auth.policy.tokens import split_arn

MAX_IDENTITY_POLICY = 6_144
MAX_REPOSITORY_POLICY = 10_240
# White space is free in identity policies, as it is in IAM, but not without end.
MAX_TEXT = 65_536
OLD_VERSION, VERSION = "2008-10-17", "2012-10-17"
_MAX_LABEL = 256
_MAX_DIGITS = 40
_ACTION = re.compile(r"\*|(?:\*|[A-Za-z0-9-]+):[A-Za-z0-9*?]+")
_MEMBERS = {"Version", "Id", "Statement"}
_STATEMENT_MEMBERS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
_PRINCIPAL_MEMBERS = {"Principal", "NotPrincipal"}


def parse_identity_policy(text: str, name: str = "") -> Document:
    """The policy of a user, robot or group; InvalidPolicyError where it is none.

    At most 6,144 characters, white space apart. Every statement has Resource or NotResource, and no Principal.
    """
    if sum(not character.isspace() for character in text[:MAX_TEXT]) > MAX_IDENTITY_POLICY or len(text) > MAX_TEXT:
        raise InvalidPolicyError(f"the policy is longer than {MAX_IDENTITY_POLICY} characters")
    return _document(text, PolicyKind.IDENTITY, name)


def parse_repository_policy(text: str, name: str = "") -> Document:
    """The policy of a repository; InvalidPolicyError where it is none.

    At most 10,240 characters. Every statement has Principal or NotPrincipal; without Resource it speaks of the
    repository that it is attached to.
    """
    if len(text) > MAX_REPOSITORY_POLICY:
        raise InvalidPolicyError(f"the policy is longer than {MAX_REPOSITORY_POLICY} characters")
    return _document(text, PolicyKind.REPOSITORY, name)


def parse_registry_policy(text: str, name: str = "") -> Document:
    """The policy of a registry, which counts for each of its repositories; InvalidPolicyError where it is none.

    As a repository's, except that every statement has Resource or NotResource.
    """
    document = parse_repository_policy(text, name)
    for statement in document.statements:
        if statement.resources is None:
            raise InvalidPolicyError("Resource or NotResource is missing", f"Statement[{statement.index}]")
    return document


def _document(text: str, kind: PolicyKind, name: str) -> Document:
    value = _object(_json(text), "the policy", _MEMBERS)
    version = value.get("Version", OLD_VERSION)
    if version not in (OLD_VERSION, VERSION):
        raise InvalidPolicyError(f'Version must be "{VERSION}" or "{OLD_VERSION}"')
    listed = value.get("Statement")
    listed = [listed] if isinstance(listed, dict) else listed
    if not isinstance(listed, list) or not listed:
        raise InvalidPolicyError("Statement must be an object or a list of objects, and not empty")
    statements = tuple(_statement(entry, index, kind, version) for index, entry in enumerate(listed))
    _check_sids(statements)
    return Document(kind, version, _label(value, "Id"), statements, name, text)


def _statement(value: Any, index: int, kind: PolicyKind, version: str) -> Statement:
    with within(f"Statement[{index}]"):
        principals_belong = kind is PolicyKind.REPOSITORY
        value = _object(value, "the statement", _STATEMENT_MEMBERS | _PRINCIPAL_MEMBERS)
        if not principals_belong and _PRINCIPAL_MEMBERS & value.keys():
            raise InvalidPolicyError("Principal is for repository policies only")
        effect = _effect(value)
        variables = version == VERSION
        return Statement(
            index,
            _label(value, "Sid"),
            effect,
            actions=_actions(value),
            resources=_resources(value, variables, required=not principals_belong),
            principals=_principals(value, effect) if principals_belong else None,
            not_principals="NotPrincipal" in value,
            conditions=_conditions(value, variables, effect),
        )


def _effect(value: Mapping[str, Any]) -> Effect:
    effect = value.get("Effect")
    if not isinstance(effect, str) or effect not in tuple(Effect):
        raise InvalidPolicyError('Effect must be "Allow" or "Deny"')
    return Effect(effect)


def _actions(value: Mapping[str, Any]) -> Clause:
    member = _one_of(value, "Action", "NotAction")
    if member is None:
        raise InvalidPolicyError("Action or NotAction is missing")
    with within(member):
        actions = _strings(value[member])
        for action in actions:
            if not _ACTION.fullmatch(action):
                raise InvalidPolicyError(f"{quoted(action)} is not an action such as ecr:BatchGetImage or *")
        return Clause(Texts.parse(actions, ignore_case=True), member == "NotAction")


def _resources(value: Mapping[str, Any], variables: bool, *, required: bool) -> Clause | None:
    member = _one_of(value, "Resource", "NotResource")
    if member is None:
        if required:
            raise InvalidPolicyError("Resource or NotResource is missing")
        return None
    with within(member):
        resources = _strings(value[member])
        for resource in resources:
            # A `*` at the end stands for all the parts that follow.
            if resource != "*" and not (resource.startswith("arn:") and resource.endswith("*")):
                split_arn(resource)
        return Clause(Texts.parse(resources, variables=variables), member == "NotResource")


def _principals(value: Mapping[str, Any], effect: Effect) -> Principals:
    member = _one_of(value, "Principal", "NotPrincipal")
    if member is None:
        raise InvalidPolicyError("Principal or NotPrincipal is missing")
    if member == "NotPrincipal" and effect is Effect.ALLOW:
        # It would allow everybody else there is, the anonymous included. AWS does not support it either.
        raise InvalidPolicyError("NotPrincipal goes with Effect Deny only")
    with within(member):
        return Principals.parse(value[member])


def _conditions(value: Mapping[str, Any], variables: bool, effect: Effect) -> tuple[Condition, ...]:
    denies = effect is Effect.DENY
    with within("Condition"):
        operators = _object(value.get("Condition", {}), "the value")
        return tuple(
            _condition(operator, key, texts, variables, denies)
            for operator, keys in operators.items()
            for key, texts in _keys(operator, keys)
        )


def _condition(operator: str, key: str, texts: Any, variables: bool, denies: bool) -> Condition:
    with within(operator), within(key):
        return parse_condition(operator, key, _scalars(texts), variables=variables, denies=denies)


def _keys(operator: str, value: Any) -> Iterable[tuple[str, Any]]:
    with within(operator):
        keys = _object(value, "the value")
        if not keys:
            raise InvalidPolicyError("names no condition key")
        if len({key.lower() for key in keys}) != len(keys):
            raise InvalidPolicyError("has the same condition key twice, in different case")
        return keys.items()


def _check_sids(statements: Iterable[Statement]) -> None:
    seen: set[str] = set()
    for statement in statements:
        if statement.sid is not None and statement.sid in seen:
            raise InvalidPolicyError(f"{quoted(statement.sid)} is there twice", f"Statement[{statement.index}]", "Sid")
        seen |= {statement.sid} if statement.sid is not None else set()


def _one_of(value: Mapping[str, Any], member: str, other: str) -> str | None:
    present = [name for name in (member, other) if name in value]
    if len(present) > 1:
        raise InvalidPolicyError(f"{member} and {other} exclude each other")
    return present[0] if present else None


def _label(value: Mapping[str, Any], member: str) -> str | None:
    label = value.get(member, "")
    if not isinstance(label, str) or len(label) > _MAX_LABEL or not label.isprintable():
        raise InvalidPolicyError(f"{member} must be a line of at most {_MAX_LABEL} characters")
    return label or None


def _object(value: Any, what: str, members: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidPolicyError(f"{what} must be an object")
    unknown = sorted(value.keys() - members) if members is not None else []
    if unknown:
        raise InvalidPolicyError(f"unknown member {quoted(unknown[0])}")
    return value


def _strings(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidPolicyError("must be a string or a list of strings, and not empty")
    return texts


def _scalars(value: Any) -> list[str]:
    """Condition values; JSON's own numbers and truth values count as the texts they are written as."""
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(entry, str | bool | int | Decimal) for entry in listed):
        raise InvalidPolicyError("must be a string or a list of strings, and not empty")
    return [str(entry).lower() if isinstance(entry, bool) else str(entry) for entry in listed]


def _json(text: str) -> Any:
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=Decimal,
        )
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise InvalidPolicyError("the policy has text that is no Unicode") from None
    except json.JSONDecodeError as error:
        raise InvalidPolicyError(f"the policy is malformed JSON at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise InvalidPolicyError("the policy is nested too deeply") from None
    return value


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, entry in pairs:
        if key in value:
            raise InvalidPolicyError(f"the member {quoted(key)} is there twice")
        value[key] = entry
    return value


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise InvalidPolicyError("a number has too many digits")
    return int(text)


def _refuse_constant(name: str) -> Any:
    raise InvalidPolicyError(f"{name} is not JSON")
