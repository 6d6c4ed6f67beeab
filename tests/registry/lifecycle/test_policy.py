"""Lifecycle policies are read strictly, and refused in words that help."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.lifecycle.policy import (
    CountType,
    LifecyclePolicyInvalid,
    TagPattern,
    TagStatus,
    parse_lifecycle_policy,
)
from tests.registry.lifecycle.documents import Json, days, policy, rule


def test_rules_come_in_the_order_of_their_priorities() -> None:
    read = parse_lifecycle_policy(
        policy(
            rule(30, "any", **days(90, "sinceImagePulled")),
            rule(10, "tagged", tagPrefixList=["v"]),
            rule(20, "untagged", **days(7)) | {"description": "leftovers"},
        )
    )
    assert [(entry.priority, entry.tag_status, entry.count_type, entry.number) for entry in read.rules] == [
        (10, TagStatus.TAGGED, CountType.IMAGES, 1),
        (20, TagStatus.UNTAGGED, CountType.PUSHED, 7),
        (30, TagStatus.ANY, CountType.PULLED, 90),
    ]
    assert read.rules[1].description == "leftovers"


def changed(**members: Any) -> Json:
    wanted = rule(1)
    return wanted | members


def selecting(status: str = "any", **members: Any) -> Json:
    return rule(1, status, **members)


REFUSED: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "Could not map policyString into LifecyclePolicy."),
    "a key twice": ('{"rules": [], "rules": []}', "Could not map policyString"),
    "NaN": ('{"rules": NaN}', "Could not map policyString"),
    "deep JSON": ("[" * 30_000, "Could not map policyString"),
    "a list": ("[]", 'instance type (array) does not match any allowed primitive type (allowed: ["object"])'),
    "no rules": ("{}", 'object has missing required properties (["rules"])'),
    "rules that are no list": ('{"rules": {}}', "instance type (object)"),
    "an empty list": ('{"rules": []}', "rules must have 1 to 50 entries (found: 0)"),
    "51 rules": (
        policy(*(rule(n, "tagged", tagPrefixList=[str(n)]) for n in range(1, 52))),
        "rules must have 1 to 50 entries (found: 51)",
    ),
    "a rule that is text": ('{"rules": ["x"]}', "instance type (string)"),
    "an unknown member": (policy(changed(colour="red")), 'not allowed by the schema: (["colour"])'),
    "no priority": ('{"rules": [{"selection": {}, "action": {}}]}', '(["rulePriority"])'),
    "priority 0": (policy(rule(0)), "lower than the required minimum (minimum: 1, found: 0)"),
    "priority true": (policy(changed(rulePriority=True)), "instance type (boolean)"),
    "priority 1.5": (policy(changed(rulePriority=1.5)), "instance type (number)"),
    "a huge priority": (policy(rule(2**31)), "greater than the allowed maximum"),
    "null": (policy(changed(selection=None)), "instance type (null)"),
    "a description that is a number": (policy(changed(description=1)), "instance type (integer)"),
    "an unknown status": (policy(rule(1, "all")), 'instance value ("all") not found in enum'),
    "an unknown count": (policy(selecting(countType="x", countNumber=1)), 'instance value ("x") not found in enum'),
    "days without a unit": (
        policy(selecting(countType="sinceImagePushed", countNumber=1)),
        'object has missing required properties (["countUnit"])',
    ),
    "hours": (policy(selecting(**days(1) | {"countUnit": "hours"})), 'instance value ("hours")'),
    "a unit of images": (
        policy(selecting(countType="imageCountMoreThan", countNumber=1, countUnit="days")),
        "countUnit is not allowed with countType imageCountMoreThan",
    ),
    "0 days": (policy(selecting(**days(0))), "minimum: 1, found: 0"),
    "tagged without tags": (policy(rule(1, "tagged")), "needs either tagPrefixList or tagPatternList"),
    "both lists": (
        policy(rule(1, "tagged", tagPrefixList=["a"], tagPatternList=["a"])),
        "needs either tagPrefixList or tagPatternList",
    ),
    "an empty list of tags": (policy(rule(1, "tagged", tagPrefixList=[])), "tagPrefixList is empty"),
    "an empty prefix": (policy(rule(1, "tagged", tagPrefixList=[""])), "a tag prefix or pattern is empty"),
    "a prefix that is a number": (policy(rule(1, "tagged", tagPrefixList=[1])), "instance type (integer)"),
    "prefixes that are text": (policy(rule(1, "tagged", tagPrefixList="a")), "instance type (string)"),
    "5 wildcards": (policy(rule(1, "tagged", tagPatternList=["*1*2*3*4*"])), "more than 4 wildcards: *1*2*3*4*"),
    "prefixes of the untagged": (
        policy(rule(1, "untagged", tagPrefixList=["a"])),
        "tagPrefixList is only allowed with tagStatus tagged",
    ),
    "patterns of any": (policy(rule(1, "any", tagPatternList=["a"])), "tagPatternList is only allowed"),
    "one priority twice": (policy(rule(1, "untagged"), rule(1)), "rulePriority must be unique"),
    "two rules for the untagged": (
        policy(rule(1, "untagged"), rule(2, "untagged", **days(1))),
        "only one rule may have tagStatus untagged",
    ),
    "two rules for any": (policy(rule(1), rule(2, **days(1))), "only one rule may have tagStatus any"),
    "any before another": (
        policy(rule(1), rule(2, "untagged")),
        "the rule with tagStatus any must have the highest rulePriority",
    ),
    "the same prefixes twice": (
        policy(rule(1, "tagged", tagPrefixList=["a", "b"]), rule(2, "tagged", tagPrefixList=["b", "a"])),
        "two rules have the same tagPrefixList",
    ),
    "another action": (policy(changed(action={"type": "delete"})), 'instance value ("delete") not found in enum'),
    "a transition": (
        policy(changed(action={"type": "transition", "targetStorageClass": "archive"})),
        "action type transition is not supported",
    ),
    "a storage class": (policy(selecting(storageClass="archive")), "storageClass archive is not supported"),
    "days since a transition": (
        policy(selecting(**days(1, "sinceImageTransitioned"))),
        "countType sinceImageTransitioned is not supported",
    ),
    "too much text": (policy(rule(1)) + " " * 30_720, "longer than 30720 characters"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_policy_is_refused_by_name(case: str) -> None:
    text, reason = REFUSED[case]
    with pytest.raises(LifecyclePolicyInvalid) as refused:
        parse_lifecycle_policy(text)
    assert reason in refused.value.text


def test_the_limits_themselves_are_allowed() -> None:
    parse_lifecycle_policy(policy(*(rule(n, "tagged", tagPrefixList=[str(n)]) for n in range(1, 51))))
    text = policy(rule(2**31 - 1, storageClass="standard"))
    parse_lifecycle_policy(text + " " * (30_720 - len(text)))
    parse_lifecycle_policy(policy(rule(1, "tagged", tagPatternList=["*test*1*2*3"])))
    parse_lifecycle_policy(policy(rule(1, "untagged", tagPrefixList=[])))


STRANGE = [
    None,
    True,
    -1,
    0,
    2,
    1e999,
    2**70,
    "",
    "x",
    "any",
    "tagged",
    "\ud800",
    [],
    [1],
    ["a"],
    [["a"]],
    {},
    {"type": "x"},
]
MEMBERS = ["tagStatus", "tagPrefixList", "tagPatternList", "countType", "countUnit", "countNumber", "x"]


def test_nothing_but_a_refusal_comes_of_a_strange_document() -> None:
    chance = random.Random(5)
    for _ in range(3000):
        selection = {name: chance.choice(STRANGE) for name in chance.sample(MEMBERS, 5)}
        strange = {"rulePriority": chance.choice(STRANGE), "selection": selection, "action": chance.choice(STRANGE)}
        text = json.dumps(chance.choice([strange, [strange], {"rules": strange}, {"rules": [strange]}]))
        with pytest.raises(LifecyclePolicyInvalid) as refused:
            parse_lifecycle_policy(text)
        refused.value.text.encode()


def naively(pattern: str, tag: str) -> bool:
    if not pattern:
        return not tag
    if pattern[0] == "*":
        return naively(pattern[1:], tag) or (bool(tag) and naively(pattern, tag[1:]))
    return bool(tag) and pattern[0] == tag[0] and naively(pattern[1:], tag[1:])


@given(st.text("ab*", min_size=1, max_size=8), st.text("ab", min_size=1, max_size=10))
def test_a_pattern_matches_with_any_text_for_each_wildcard(pattern: str, tag: str) -> None:
    assert TagPattern.parse(pattern).matches(tag) is naively(pattern, tag)


def test_a_prefix_is_taken_by_the_letter() -> None:
    assert TagPattern.prefix("v*").matches("v*1")
    assert not TagPattern.prefix("v*").matches("v1")
    assert TagPattern.prefix("v").matches("v")
