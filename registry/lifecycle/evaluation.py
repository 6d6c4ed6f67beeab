"""Which images expire, and by which rule: one pure function, with ECR's precedence."""

from collections.abc import Collection, Sequence

from estiva.digest import Digest
from registry.lifecycle.images import Image
from registry.lifecycle.policy import CountType, LifecyclePolicy, Rule, TagStatus

DAY = 86_400.0


def expiring(policy: LifecyclePolicy, images: Collection[Image], now: float) -> dict[Digest, Rule]:
    """The rule by which an image expires, by the image's digest; images that stay are not in it.

    Every rule looks at all images that it selects, also at those that another rule expires or keeps. An image that a
    rule selects is never expired by one of lower priority, whether or not the first expires it.
    """
    expired: dict[Digest, Rule] = {}
    decided: set[Digest] = set()
    for rule in policy.rules:
        selected = [image for image in images if _selects(rule, image)]
        for image in _due(rule, selected, now):
            if image.digest not in decided:
                expired[image.digest] = rule
        decided.update(image.digest for image in selected)
    return expired


def _selects(rule: Rule, image: Image) -> bool:
    if rule.tag_status is TagStatus.ANY:
        return True
    if rule.tag_status is TagStatus.UNTAGGED:
        return not image.tags
    return all(any(pattern.matches(tag) for tag in image.tags) for pattern in rule.patterns)


def _due(rule: Rule, selected: Sequence[Image], now: float) -> Sequence[Image]:
    if rule.count_type is CountType.IMAGES:
        youngest_first = sorted(selected, key=lambda image: (-image.moved_at, str(image.digest)))
        return youngest_first[rule.number :]
    limit = now - rule.number * DAY
    if rule.count_type is CountType.PUSHED:
        return [image for image in selected if image.moved_at < limit]
    return [image for image in selected if _last_wanted(image) < limit]


def _last_wanted(image: Image) -> float:
    """When somebody last wanted the image: a pull counts, and so does a push or a tag since then."""
    return image.moved_at if image.pulled_at is None else max(image.moved_at, image.pulled_at)
