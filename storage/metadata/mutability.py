"""Whether a repository's tags may move: ECR's four modes, and the filters that except some tags."""

import json
from dataclasses import dataclass
from enum import StrEnum

from estiva.reference import Tag
from storage.metadata.database import Statement, Work

READ = "SELECT tag_mutability, mutability_exclusions FROM repositories WHERE id = :repository"
SET = """
UPDATE repositories SET tag_mutability = :mode, mutability_exclusions = :exclusions WHERE id = :repository
"""


class Mode(StrEnum):
    """What holds for tags, except for those that a filter names."""

    MUTABLE = "MUTABLE"
    IMMUTABLE = "IMMUTABLE"
    MUTABLE_WITH_EXCLUSION = "MUTABLE_WITH_EXCLUSION"
    IMMUTABLE_WITH_EXCLUSION = "IMMUTABLE_WITH_EXCLUSION"


@dataclass(frozen=True, slots=True)
class TagMutability:
    """The mode, and the filters of the modes with exclusions: tags in which `*` stands for any characters."""

    mode: Mode = Mode.MUTABLE
    exclusions: tuple[str, ...] = ()

    def fixes(self, tag: Tag) -> bool:
        """Whether that tag stays where it is, once it is somewhere."""
        immutable = self.mode in (Mode.IMMUTABLE, Mode.IMMUTABLE_WITH_EXCLUSION)
        return immutable != any(_matches(filter_, tag.text) for filter_ in self.exclusions)


_MUTABLE = TagMutability()


def read(repository: int) -> Work[TagMutability]:
    """The repository's mode and filters."""
    rows = yield Statement(READ, {"repository": repository})
    return parsed(*rows[0]) if rows else TagMutability()


def put(repository: int, mutability: TagMutability) -> Work[None]:
    """Set the repository's mode and filters. What has been tagged stays as it is."""
    exclusions = json.dumps(mutability.exclusions)
    yield Statement(SET, {"repository": repository, "mode": mutability.mode.value, "exclusions": exclusions})


def parsed(mode: str, exclusions: str) -> TagMutability:
    """The value of the two columns."""
    if mode == Mode.MUTABLE.value:
        return _MUTABLE
    return TagMutability(Mode(mode), tuple(json.loads(exclusions)))


def _matches(pattern: str, text: str) -> bool:
    """Whether `text` is `pattern`, with any characters for each `*`. Linear: each run is looked for once."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for run in middle:
        at = text.find(run, at, end)
        if at < 0:
            return False
        at += len(run)
    return True
