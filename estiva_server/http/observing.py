"""Who is told about requests that never reach the application."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .simple import SimpleRequest


class Observer(Protocol):
    """Counts and logs what the connection answers by itself. Called on the event loop; must not raise."""

    def answered(self, request: "SimpleRequest", label: str | None, status: int, sent: int, seconds: float) -> None:
        """An answer was given at once; `sent` counts its body bytes.

        `label` is what the application calls such requests (`answers.Reply`), None for an answer given again.
        """

    def refused(self, status: int, client: tuple[str, int] | None) -> None:
        """A connection or request was refused before the application saw it."""


class Silence:
    """An observer that keeps nothing."""

    def answered(self, request: "SimpleRequest", label: str | None, status: int, sent: int, seconds: float) -> None:
        """Keep nothing."""

    def refused(self, status: int, client: tuple[str, int] | None) -> None:
        """Keep nothing."""
