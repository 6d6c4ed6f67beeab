"""Several registries on one PostgreSQL database and one place for blobs."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.serving import ESTIVA, OPEN, Registry, registry_running

MASTER_KEY = "5e" * 32


def settings_on(url: str, blobs: Mapping[str, str], **more: str) -> dict[str, str]:
    """The settings of a replica: `blobs` says where its blobs are, `{}` for its data directory."""
    return {"ESTIVA_DATABASE_URL": url, "ESTIVA_MASTER_KEY": MASTER_KEY, **blobs, **more}


@contextlib.contextmanager
def replicas_running(
    folder: Path, count: int, url: str, blobs: Mapping[str, str], *, settings: Mapping[str, str] = OPEN
) -> Iterator[Sequence[Registry]]:
    """`count` replicas that share the database at `url` and a data directory, until the block ends."""
    (folder / "data").mkdir(exist_ok=True)
    with contextlib.ExitStack() as ends:
        yield [
            ends.enter_context(_replica(folder, number, settings_on(url, blobs, **settings))) for number in range(count)
        ]


@contextlib.contextmanager
def _replica(folder: Path, number: int, settings: Mapping[str, str]) -> Iterator[Registry]:
    own = folder / f"replica-{number}"
    own.mkdir()
    (own / "data").symlink_to(folder / "data")
    with registry_running(own, (ESTIVA,), settings=settings) as registry:
        yield registry
