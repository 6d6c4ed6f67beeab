"""Which images expire: ECR's own examples, and everything else against a naive second implementation."""

import collections
import json
import random
from typing import Any

import pytest

from estiva.digest import Digest
from registry.lifecycle.evaluation import expiring
from registry.lifecycle.images import doomed, images_of, needed
from registry.lifecycle.policy import parse_lifecycle_policy
from storage.metadata.lifecycle import ManifestFacts
from tests.registry.lifecycle import reference
from tests.registry.lifecycle.documents import Json, days, policy, rule
from tests.registry.lifecycle.repository import NOW, digest, fallback, manifest


def outcome(manifests: list[ManifestFacts], *rules: Json) -> dict[str, int]:
    names = {digest(name): name for name in "ABCDE"}
    expired = expiring(parse_lifecycle_policy(policy(*rules)), images_of(manifests), NOW)
    return {names[image]: rule.priority for image, rule in expired.items()}


# The repository of "Filtering on multiple rules" in the ECR user guide.
PROD_AND_BETA = [
    manifest("A", 10, ("beta-1", "prod-1")),
    manifest("B", 9, ("beta-2", "prod-2")),
    manifest("C", 8, ("beta-3",)),
]


def test_a_lower_rule_spares_what_a_higher_one_keeps() -> None:
    prod, beta = rule(1, "tagged", tagPrefixList=["prod"]), rule(2, "tagged", tagPrefixList=["beta"])
    assert outcome(PROD_AND_BETA, prod, beta) == {"A": 1}


def test_with_the_priorities_the_other_way_round_more_expires() -> None:
    prod, beta = rule(2, "tagged", tagPrefixList=["prod"]), rule(1, "tagged", tagPrefixList=["beta"])
    assert outcome(PROD_AND_BETA, prod, beta) == {"A": 1, "B": 1}


def test_several_prefixes_in_one_rule_must_all_be_found() -> None:
    images = [manifest("A", 12, ("alpha-1",)), manifest("B", 11, ("beta-1",)), manifest("C", 10, ("alpha-2", "beta-2"))]
    assert outcome(images, rule(1, "tagged", tagPrefixList=["alpha", "beta"], **days(5))) == {"C": 1}


def test_a_lower_rule_still_counts_what_a_higher_one_expires() -> None:
    images = [manifest("A", 3, ("v1",)), manifest("B", 2), manifest("C", 1, ("v2",)), manifest("D", 0)]
    kept_three = rule(2, countType="imageCountMoreThan", countNumber=3)
    assert outcome(images, rule(1, "tagged", tagPrefixList=["v"]), kept_three) == {"A": 1}


def test_untagged_images_expire_by_their_own_rule() -> None:
    images = [manifest("A", 15), manifest("B", 15, ("1",)), manifest("C", 14), manifest("D", 14.1)]
    assert outcome(images, rule(1, "untagged", **days(14))) == {"A": 1, "D": 1}


def test_a_tag_that_was_moved_to_an_old_image_keeps_it() -> None:
    images = [manifest("A", 100, {"1": 100}), manifest("B", 100, {"1.1": 100, "latest": 3})]
    assert outcome(images, rule(1, **days(14))) == {"A": 1}
    assert outcome([*images, manifest("C", 50, ("2",))], rule(1)) == {"A": 1, "C": 1}


@pytest.mark.parametrize(("pulled", "expires"), [(None, True), (31, True), (29, False)])
def test_images_that_nobody_pulls_expire(pulled: float | None, expires: bool) -> None:
    image = manifest("A", 60, ("1",), pulled=pulled)
    assert bool(outcome([image], rule(1, **days(30, "sinceImagePulled")))) is expires


def test_an_image_that_was_just_pushed_counts_as_wanted() -> None:
    assert outcome([manifest("A", 1)], rule(1, **days(30, "sinceImagePulled"))) == {}


def test_a_pull_of_one_platform_keeps_the_whole_index() -> None:
    images = [manifest("A", 60, ("1",), children=("B",)), manifest("B", 60, pulled=2)]
    assert outcome(images, rule(1, **days(30, "sinceImagePulled"))) == {}


def test_an_index_counts_once() -> None:
    images = [
        manifest("A", 3, ("1",), children=("a1", "a2")),
        *(manifest(name, 3) for name in ("a1", "a2")),
        manifest("B", 2, ("2",), children=("b1", "b2")),
        *(manifest(name, 2) for name in ("b1", "b2")),
        manifest("sig", 1, (fallback("B", ".sig"),)),
    ]
    two = rule(1, countType="imageCountMoreThan", countNumber=2)
    assert outcome(images, two) == {}
    assert outcome([*images, manifest("C", 1, ("3",))], two) == {"A": 1}


def test_children_of_a_tagged_index_are_not_untagged_images() -> None:
    images = [manifest("A", 30, ("1",), children=("B",)), manifest("B", 30), manifest("C", 30, subject="B")]
    assert outcome(images, rule(1, "untagged", **days(1))) == {}


def some_manifests(chance: random.Random) -> list[ManifestFacts]:
    names = [str(number) for number in range(chance.randint(1, 14))]
    tags = [*"abc", "a1", "b1", "ab", *(fallback(name, chance.choice(["", ".sig", ".att"])) for name in names[:2])]
    found = []
    for name in names:
        age = chance.choice([0, 1, 2, 2, 5, 9, chance.uniform(0, 12)])
        mine = [tags.pop(chance.randrange(len(tags))) for _ in range(chance.choice([0, 0, 1, 1, 2])) if tags]
        found.append(
            manifest(
                name,
                age,
                {tag: chance.choice([age, min(age, 1)]) for tag in mine},
                tuple(chance.sample(names, min(len(names), chance.choice([0, 0, 0, 0, 0, 0, 1, 3]))))
                if len(names) > 1
                else (),
                chance.choice([None, None, None, *names, "absent"]) if chance.random() < 0.25 else None,
                chance.choice([None, None, 0, 3]),
            )
        )
    return found


def some_rules(chance: random.Random) -> list[Json]:
    priorities = chance.sample(range(1, 20), 5)
    wanted: list[Json] = []
    for priority, tags in zip(
        priorities, chance.sample([["a"], ["b"], ["a", "b"], ["*1"], ["a*", "*b"]], 3), strict=False
    ):
        key = "tagPatternList" if "*" in "".join(tags) else "tagPrefixList"
        selection: dict[str, Any] = {key: tags}
        wanted.append(rule(priority, "tagged", **selection, **some_count(chance)))
    wanted.append(rule(priorities[3], "untagged", **some_count(chance)))
    wanted.append(rule(20, "any", **some_count(chance)))
    return chance.sample(wanted, chance.randint(1, 4))


def some_count(chance: random.Random) -> dict[str, Any]:
    number = chance.choice([1, 1, 2, 3, 6])
    if chance.random() < 0.4:
        return {"countType": "imageCountMoreThan", "countNumber": number}
    return days(number, chance.choice(["sinceImagePushed", "sinceImagePulled"]))


@pytest.mark.parametrize("seed", range(4))
def test_the_evaluation_agrees_with_the_naive_one(seed: int) -> None:
    seen: collections.Counter[bool] = collections.Counter()
    for number in range(60):
        chance = random.Random(f"{seed} {number}")
        manifests, rules = some_manifests(chance), some_rules(chance)
        images = images_of(manifests)
        assert {image.digest: set(image.members) for image in images} == reference.groups(manifests)
        read = parse_lifecycle_policy(json.dumps({"rules": rules}))
        expired = {image: rule.priority for image, rule in expiring(read, images, NOW).items()}
        assert expired == reference.expired(rules, manifests, NOW)
        seen.update(image.digest in expired for image in images)
    assert min(seen.values()) > 15


@pytest.mark.parametrize("seed", range(4))
def test_what_goes_leaves_every_image_that_stays_whole(seed: int) -> None:
    for number in range(60):
        chance = random.Random(f"whole {seed} {number}")
        manifests = some_manifests(chance)
        images = images_of(manifests)
        read = parse_lifecycle_policy(json.dumps({"rules": some_rules(chance)}))
        expired = expiring(read, images, NOW)
        gone: set[Digest] = set()
        need = needed(images)
        for image in images:
            if image.digest in expired:
                gone |= doomed(image, need)
                need -= collections.Counter(image.members)
        for image in images:
            if image.digest not in expired:
                assert not image.members & gone
        left = [one for one in manifests if one.digest not in gone]
        # Everything of an expired image is gone, unless an image that stays needs it.
        assert {one.digest for one in left} == set().union(
            *(image.members for image in images if image.digest not in expired)
        )
