"""How a command fails: one line on standard error that says what to do."""

from estiva.errors import RegistryError, Unauthorized
from estiva.failures import ClientError


class CommandError(Exception):
    """The command failed; the text is the one line that tells why."""


class ServerRefused(CommandError):
    """The server said no; `status` is the answer's."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


EXPECTED = (CommandError, ClientError, RegistryError)
"""What `told` can tell; anything else is a mistake of ours."""


def told(error: Exception) -> str:
    """One line that says what is wrong, and where that is known what to do."""
    text = str(error)
    if isinstance(error, RegistryError) and isinstance(error.detail, str) and error.detail not in text:
        text = f"{text} ({error.detail})"
    if isinstance(error, Unauthorized) and "estiva login" not in text:
        text = f"{text}; `estiva login HOST` signs in"
    return line(text)


def line(text: str) -> str:
    """Text that says nothing to a terminal but what it reads: names may come from anywhere."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
