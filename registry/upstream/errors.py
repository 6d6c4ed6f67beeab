"""What can go wrong with another registry, told apart by what can be done about it."""


class UpstreamError(Exception):
    """The other registry can't give or take this. The text says why, in one line, and holds no secret."""

    def __init__(self, text: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.status = status
        """The other registry's own answer, None where there was none."""
        self.retry_after = retry_after
        """Seconds after which it asked to be asked again."""


class UpstreamAbsent(UpstreamError):
    """It answers, and does not have it."""


class UpstreamRefused(UpstreamError):
    """It answers, and does not let us: wrong credentials, or none where some are needed."""


class UpstreamInvalid(UpstreamError):
    """It answers, with what can't be used: another digest than asked for, a body cut short, no manifest."""


class UpstreamUnavailable(UpstreamError):
    """It does not answer now: too many requests (429), its own trouble (5xx), silence, no connection."""
