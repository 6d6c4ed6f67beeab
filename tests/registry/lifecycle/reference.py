"""The same rules once more, as naively as they can be written: what the evaluation is held to."""

import re
from collections.abc import Sequence

from estiva.digest import Digest
from storage.metadata.lifecycle import ManifestFacts
from tests.registry.lifecycle.documents import Json

DAY = 86_400


def groups(manifests: Sequence[ManifestFacts]) -> dict[Digest, set[Digest]]:
    """The images: for each manifest that only those reach which it reaches itself, everything that it reaches."""
    reach = {
        one.digest: {one.digest} | {other.digest for other in manifests if _belongs(other, one)} for one in manifests
    }
    for _ in manifests:
        reach = {one: set().union(*(reach[two] for two in found)) for one, found in reach.items()}
    circles = {one: {two for two in reach if one in reach[two] and two in reach[one]} for one in reach}
    return {
        one: found
        for one, found in reach.items()
        if all(two in found for two in reach if one in reach[two]) and str(one) == min(map(str, circles[one]))
    }


def expired(rules: Sequence[Json], manifests: Sequence[ManifestFacts], now: float) -> dict[Digest, int]:
    """The priority of the rule by which each image expires."""
    images = groups(manifests)
    by_digest = {one.digest: one for one in manifests}
    return {
        image: rule["rulePriority"]
        for image in images
        for rule in rules
        if _selects(rule, _tags(images[image], manifests))
        and not any(
            other["rulePriority"] < rule["rulePriority"] and _selects(other, _tags(images[image], manifests))
            for other in rules
        )
        and _is_due(rule, image, images, by_digest, now)
    }


def _belongs(member: ManifestFacts, image: ManifestFacts) -> bool:
    return (
        member.digest in image.children
        or member.subject == image.digest
        or any(_refers(tag, image.digest) for tag in member.tags)
    )


def _refers(tag: str, to: Digest) -> bool:
    return any(
        tag == f"{to.algorithm.value}-{digits}{suffix}"
        for digits in (to.hex, to.hex[:64])
        for suffix in ("", ".sig", ".att", ".sbom")
    )


def _tags(members: set[Digest], manifests: Sequence[ManifestFacts]) -> dict[str, float]:
    return {
        tag: at
        for one in manifests
        if one.digest in members
        for tag, at in one.tags.items()
        if not any(_refers(tag, other.digest) for other in manifests)
    }


def _selects(rule: Json, tags: dict[str, float]) -> bool:
    selection = rule["selection"]
    if selection["tagStatus"] == "untagged":
        return tags == {}
    patterns = [re.escape(prefix) + ".*" for prefix in selection.get("tagPrefixList", [])]
    patterns += [re.escape(text).replace(r"\*", ".*") for text in selection.get("tagPatternList", [])]
    return all(any(re.fullmatch(pattern, tag) for tag in tags) for pattern in patterns)


def _is_due(
    rule: Json, image: Digest, images: dict[Digest, set[Digest]], manifests: dict[Digest, ManifestFacts], now: float
) -> bool:
    def moved(one: Digest) -> float:
        return max(manifests[one].pushed_at, *_tags(images[one], list(manifests.values())).values(), 0)

    def pulled(one: Digest) -> float:
        return max(manifests[member].pulled_at or 0 for member in images[one])

    selection = rule["selection"]
    if selection["countType"] == "sinceImagePushed":
        return now - moved(image) > int(selection["countNumber"]) * DAY
    if selection["countType"] == "sinceImagePulled":
        return now - max(moved(image), pulled(image)) > int(selection["countNumber"]) * DAY
    rivals = [one for one in images if _selects(rule, _tags(images[one], list(manifests.values())))]
    younger = [one for one in rivals if (-moved(one), str(one)) < (-moved(image), str(image))]
    return len(younger) >= int(selection["countNumber"])
