"""The epoch of access: a number that is another one whenever anything that a decision rests on has changed."""

from storage.metadata.database import Statement, Work

READ = "SELECT epoch FROM access_epoch WHERE id = 1"
ADVANCE = "UPDATE access_epoch SET epoch = epoch + 1 WHERE id = 1"


def epoch() -> Work[int]:
    """The current epoch."""
    rows = yield Statement(READ)
    number: int = rows[0][0]
    return number


def advance() -> Work[None]:
    """Begin a new epoch, in the transaction that is its reason."""
    yield Statement(ADVANCE, news=True)
