"""What counts as one image: an index with its children, and whatever refers to any of them.

A manifest belongs to every image that reaches it: as a child of an index, as a referrer of its subject, or by the
tag under which clients without the referrers API keep what refers to a digest (specification, "Referrers Tag
Schema": `sha256-<64 digits>`; cosign adds `.sig`, `.att`, `.sbom`).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from estiva.digest import Digest
from storage.metadata.lifecycle import ManifestFacts

_FALLBACK = re.compile(r"(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{64,128})(?:\.(?:sig|att|sbom))?")


@dataclass(frozen=True, slots=True)
class Image:
    """Manifests that live and die together, under the digest of the one that reaches the others.

    `tags` are those of all of its manifests, but for tags that only say what refers to what. `moved_at` is when the
    image was pushed or last got a tag; `pulled_at` when any of its manifests was pulled, None where none was.
    """

    digest: Digest
    members: frozenset[Digest]
    tags: tuple[str, ...]
    pushed_at: float
    moved_at: float
    pulled_at: float | None


def images_of(manifests: Collection[ManifestFacts]) -> list[Image]:
    """The images that these manifests of a repository make up, in order of digest. Every manifest is in one."""
    facts = {manifest.digest: manifest for manifest in manifests}
    subjects = _by_fallback_tag(facts)
    closures = _closures(_belonging(facts, subjects))
    return [_image(facts, digest, closures[digest], subjects) for digest in sorted(closures, key=str)]


def needed(images: Iterable[Image]) -> Counter[Digest]:
    """How many of these images each manifest is in."""
    return Counter(member for image in images for member in image.members)


def doomed(image: Image, need: Mapping[Digest, int]) -> frozenset[Digest]:
    """What goes with the image: its manifests that are in no other image, as `needed` counts them."""
    return frozenset(member for member in image.members if need[member] == 1)


def subject_of(tag: str) -> str | None:
    """What a fallback tag is about: how such a digest's tag begins; None for an ordinary tag."""
    match = _FALLBACK.fullmatch(tag)
    return match.group(1) if match else None


def fallback_tags(digest: Digest) -> list[str]:
    """Every tag that says of a manifest that it refers to this digest."""
    names = {fallback_tag(digest), f"{digest.algorithm.value}-{digest.hex}"}
    return sorted(name + suffix for name in names for suffix in ("", ".sig", ".att", ".sbom"))


def fallback_tag(digest: Digest) -> str:
    """The tag under which clients keep what refers to this digest (specification, "Referrers Tag Schema")."""
    return f"{digest.algorithm.value}-{digest.hex[:64]}"


def _by_fallback_tag(facts: Iterable[Digest]) -> dict[str, list[Digest]]:
    """What a fallback tag that begins so is about. The specification cuts digests to 64 digits, cosign does not."""
    subjects: dict[str, list[Digest]] = {}
    for digest in facts:
        for name in {fallback_tag(digest), f"{digest.algorithm.value}-{digest.hex}"}:
            subjects.setdefault(name, []).append(digest)
    return subjects


def _belonging(
    facts: Mapping[Digest, ManifestFacts], subjects: Mapping[str, list[Digest]]
) -> dict[Digest, set[Digest]]:
    """Which manifests directly belong to which, among those that are here."""
    belonging: dict[Digest, set[Digest]] = {digest: set() for digest in facts}
    for manifest in facts.values():
        belonging[manifest.digest].update(child for child in manifest.children if child in facts)
        if manifest.subject in belonging:
            belonging[manifest.subject].add(manifest.digest)
        for tag in manifest.tags:
            for subject in subjects.get(subject_of(tag) or "", ()):
                belonging[subject].add(manifest.digest)
    for digest, members in belonging.items():
        members.discard(digest)
    return belonging


def _closures(belonging: Mapping[Digest, set[Digest]]) -> dict[Digest, frozenset[Digest]]:
    """Everything that belongs together, by the digest that nothing else reaches.

    Tags can make circles, of which nothing outside reaches any part: there the first digest stands for all.
    """
    reached = set().union(*belonging.values())
    closures = {digest: _closure(digest, belonging) for digest in belonging if digest not in reached}
    seen = set().union(*closures.values())
    for digest in sorted(reached - seen, key=str):
        if digest in seen:
            continue
        closure = _closure(digest, belonging)
        for within in closure & closures.keys():
            del closures[within]
        closures[digest] = closure
        seen |= closure
    return closures


def _closure(start: Digest, belonging: Mapping[Digest, set[Digest]]) -> frozenset[Digest]:
    found, waiting = {start}, [start]
    while waiting:
        for member in belonging[waiting.pop()] - found:
            found.add(member)
            waiting.append(member)
    return frozenset(found)


def _image(
    facts: Mapping[Digest, ManifestFacts],
    digest: Digest,
    members: frozenset[Digest],
    subjects: Mapping[str, list[Digest]],
) -> Image:
    tags = {tag: at for member in members for tag, at in facts[member].tags.items() if subject_of(tag) not in subjects}
    pulls = [pulled for member in members if (pulled := facts[member].pulled_at) is not None]
    pushed = facts[digest].pushed_at
    moved = max([pushed, *tags.values()])
    return Image(digest, members, tuple(sorted(tags)), pushed, moved, max(pulls, default=None))
