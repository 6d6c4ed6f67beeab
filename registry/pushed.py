"""A push: who and how, and what else happens in its transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from estiva.digest import Digest
from estiva.manifest import Manifest
from estiva.reference import RepositoryName, Tag
from storage.metadata.audit import SERVER, Actor
from storage.metadata.database import Work


@dataclass(frozen=True, slots=True)
class Push:
    """Who pushes, and how."""

    actor: Actor = SERVER
    is_copy: bool = False
    """Another registry replicates it to here, or it comes through the cache."""
    create: Callable[[], Work[None]] | None = None
    """What creates the repository where there is none, in the transaction of the push: a push that is refused leaves
    none behind."""


OWN = Push()


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest that has just been entered, with the tags that it was pushed under.

    `is_copy` where another registry replicated it to here, or it came through the cache.
    """

    name: RepositoryName
    digest: Digest
    manifest: Manifest
    tags: Sequence[Tag] = ()
    actor: Actor = SERVER
    is_copy: bool = False


Consequence = Callable[[Pushed], Work[None]]
