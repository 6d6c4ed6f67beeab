"""How a command fails: one line on standard error that says what to do."""

from estiva.errors import RegistryError
from estiva.failures import ClientError


class CommandError(Exception):
    """The command failed; the text is the one line that tells why."""


class ServerRefused(CommandError):
    """The server said no; `status` is the answer's."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


EXPECTED = (CommandError, ClientError, RegistryError)
"""What `advice.advised` can tell; anything else is a mistake of ours."""


def line(text: str) -> str:
    """Text that says nothing to a terminal but what it reads: names may come from anywhere."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
