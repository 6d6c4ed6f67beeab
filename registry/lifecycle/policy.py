"""A lifecycle policy, read: ECR's JSON, strictly. What is not understood is refused by name, never passed over."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from estiva.errors import RegistryError

MAX_TEXT = 30_720
MAX_RULES = 50
MAX_WILDCARDS = 4
_LARGEST_NUMBER = 2**31 - 1
_RULE = {"rulePriority": True, "description": False, "selection": True, "action": True}
_SELECTION = {
    "tagStatus": True,
    "tagPrefixList": False,
    "tagPatternList": False,
    "storageClass": False,
    "countType": True,
    "countUnit": False,
    "countNumber": True,
}
_ACTION = {"type": True, "targetStorageClass": False}


class LifecyclePolicyInvalid(RegistryError):
    """The document is no lifecycle policy that can be carried out; the text says why, in ECR's words."""

    code, status, message = "LIFECYCLE_POLICY_INVALID", 400, "invalid lifecycle policy"


class TagStatus(StrEnum):
    """Which images a rule is about."""

    TAGGED = "tagged"
    UNTAGGED = "untagged"
    ANY = "any"


class CountType(StrEnum):
    """What a rule counts: images, or days."""

    IMAGES = "imageCountMoreThan"
    PUSHED = "sinceImagePushed"
    PULLED = "sinceImagePulled"


@dataclass(frozen=True, slots=True)
class TagPattern:
    """A tag with any text in place of each `*`; a prefix is a pattern that ends with one."""

    first: str
    rest: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The pattern that `text` spells."""
        first, *rest = text.split("*")
        return cls(first, tuple(rest))

    @classmethod
    def prefix(cls, text: str) -> Self:
        """Every tag that begins so."""
        return cls(text, ("",))

    def matches(self, tag: str) -> bool:
        """Whether the tag is like this; in time linear in its length, whatever the pattern."""
        if not self.rest:
            return tag == self.first
        *inner, last = self.rest
        if not tag.startswith(self.first):
            return False
        place = len(self.first)
        for piece in inner:
            place = tag.find(piece, place)
            if place < 0:
                return False
            place += len(piece)
        return len(tag) - len(last) >= place and tag.endswith(last)


@dataclass(frozen=True, slots=True)
class Rule:
    """Images that it selects expire beyond `number` of them, or after `number` days."""

    priority: int
    tag_status: TagStatus
    patterns: tuple[TagPattern, ...]
    count_type: CountType
    number: int
    description: str = ""


@dataclass(frozen=True, slots=True)
class LifecyclePolicy:
    """Rules in the order in which they are applied."""

    rules: tuple[Rule, ...]


def parse_lifecycle_policy(text: str) -> LifecyclePolicy:
    """The policy in this text. LifecyclePolicyInvalid, which names the member.

    At most 30,720 characters and 50 rules. `transition` and what belongs to it is refused: there is one storage class.
    """
    if len(text) > MAX_TEXT:
        raise LifecyclePolicyInvalid(f"the policy is longer than {MAX_TEXT} characters")
    document = _members(_json(text), {"rules": True})
    listed = document["rules"]
    if not isinstance(listed, list):
        raise _wrong_type(listed, "array")
    if not 1 <= len(listed) <= MAX_RULES:
        raise LifecyclePolicyInvalid(f"rules must have 1 to {MAX_RULES} entries (found: {len(listed)})")
    rules = sorted((_rule(entry) for entry in listed), key=lambda rule: rule.priority)
    _check_together(rules)
    return LifecyclePolicy(tuple(rules))


def _rule(value: Any) -> Rule:
    rule = _members(value, _RULE)
    selection, action = _members(rule["selection"], _SELECTION), _members(rule["action"], _ACTION)
    if "targetStorageClass" in action or action["type"] == "transition":
        raise LifecyclePolicyInvalid("action type transition is not supported: this registry has one storage class")
    _one_of(action["type"], ("expire",))
    if selection.get("storageClass", "standard") != "standard":
        raise LifecyclePolicyInvalid("storageClass archive is not supported: this registry has one storage class")
    tag_status = TagStatus(_one_of(selection["tagStatus"], tuple(TagStatus)))
    description = rule.get("description", "")
    if not isinstance(description, str):
        raise _wrong_type(description, "string")
    return Rule(
        _number(rule["rulePriority"]),
        tag_status,
        _patterns(selection, tag_status),
        _count_type(selection),
        _number(selection["countNumber"]),
        description,
    )


def _count_type(selection: Mapping[str, Any]) -> CountType:
    if selection["countType"] == "sinceImageTransitioned":
        raise LifecyclePolicyInvalid(
            "countType sinceImageTransitioned is not supported: this registry has one storage class"
        )
    count_type = CountType(_one_of(selection["countType"], tuple(CountType)))
    if count_type is CountType.IMAGES and "countUnit" in selection:
        raise LifecyclePolicyInvalid("countUnit is not allowed with countType imageCountMoreThan")
    if count_type is not CountType.IMAGES:
        if "countUnit" not in selection:
            raise _missing(["countUnit"])
        _one_of(selection["countUnit"], ("days",))
    return count_type


def _patterns(selection: Mapping[str, Any], tag_status: TagStatus) -> tuple[TagPattern, ...]:
    given = [name for name in ("tagPrefixList", "tagPatternList") if name in selection]
    if tag_status is not TagStatus.TAGGED:
        # What consoles and generators write where there is nothing to say.
        if any(selection[name] != [] for name in given):
            raise LifecyclePolicyInvalid(f"{given[0]} is only allowed with tagStatus tagged")
        return ()
    if len(given) != 1:
        raise LifecyclePolicyInvalid("tagStatus tagged needs either tagPrefixList or tagPatternList")
    texts = selection[given[0]]
    if not isinstance(texts, list):
        raise _wrong_type(texts, "array")
    if not texts:
        raise LifecyclePolicyInvalid(f"{given[0]} is empty")
    read = _prefix if given == ["tagPrefixList"] else _pattern
    return tuple(read(text) for text in texts)


def _prefix(text: Any) -> TagPattern:
    return TagPattern.prefix(_tag_text(text))


def _pattern(text: Any) -> TagPattern:
    if _tag_text(text).count("*") > MAX_WILDCARDS:
        raise LifecyclePolicyInvalid(f"a tag pattern has more than {MAX_WILDCARDS} wildcards: {text[:128]}")
    return TagPattern.parse(text)


def _tag_text(text: Any) -> str:
    if not isinstance(text, str):
        raise _wrong_type(text, "string")
    if not text:
        raise LifecyclePolicyInvalid("a tag prefix or pattern is empty")
    return text


def _check_together(rules: list[Rule]) -> None:
    if len({rule.priority for rule in rules}) < len(rules):
        raise LifecyclePolicyInvalid("rulePriority must be unique among the rules")
    for status in (TagStatus.UNTAGGED, TagStatus.ANY):
        if sum(rule.tag_status is status for rule in rules) > 1:
            raise LifecyclePolicyInvalid(f"only one rule may have tagStatus {status.value}")
    if any(rule.tag_status is TagStatus.ANY for rule in rules[:-1]):
        raise LifecyclePolicyInvalid("the rule with tagStatus any must have the highest rulePriority")
    selected = [frozenset(rule.patterns) for rule in rules if rule.patterns]
    if len(set(selected)) < len(selected):
        raise LifecyclePolicyInvalid("two rules have the same tagPrefixList or tagPatternList")


def _json(text: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise LifecyclePolicyInvalid("Could not map policyString into LifecyclePolicy.") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("the same key twice")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _members(value: Any, known: Mapping[str, bool]) -> dict[str, Any]:
    """The object, with all members that it needs and none that nobody knows."""
    if not isinstance(value, dict):
        raise _wrong_type(value, "object")
    if missing := [name for name, needed in known.items() if needed and name not in value]:
        raise _missing(missing)
    if unknown := sorted(set(value) - set(known)):
        raise LifecyclePolicyInvalid(
            f"object instance has properties which are not allowed by the schema: ({json.dumps(unknown)[:512]})"
        )
    return value


def _one_of(value: Any, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise _wrong_type(value, "string")
    if value not in allowed:
        raise LifecyclePolicyInvalid(
            f"instance value ({json.dumps(value[:128])}) not found in enum (possible values: {json.dumps(allowed)})"
        )
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(value, "integer")
    if value < 1:
        raise LifecyclePolicyInvalid(
            f"numeric instance is lower than the required minimum (minimum: 1, found: {value})"
        )
    if value > _LARGEST_NUMBER:
        raise LifecyclePolicyInvalid(f"numeric instance is greater than the allowed maximum ({_LARGEST_NUMBER})")
    return value


def _missing(names: list[str]) -> LifecyclePolicyInvalid:
    return LifecyclePolicyInvalid(f"object has missing required properties ({json.dumps(sorted(names))})")


def _wrong_type(value: Any, wanted: str) -> LifecyclePolicyInvalid:
    kinds: dict[type, str] = {
        dict: "object",
        list: "array",
        str: "string",
        bool: "boolean",
        int: "integer",
        float: "number",
    }
    found = kinds.get(type(value), "null")
    return LifecyclePolicyInvalid(
        f'instance type ({found}) does not match any allowed primitive type (allowed: ["{wanted}"])'
    )
