"""What is wrong with a policy, and where."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST_QUOTE = 64
_PLAIN = re.compile(r"[\w:/.\[\]@=+-]{1,64}", re.ASCII)


class InvalidPolicyError(ValueError):
    """The text is no policy; the message is one line that names the member at fault, as in
    `Statement[0].Condition.StringEquals.aws:foo: unknown condition key`.
    """

    def __init__(self, problem: str, *places: str) -> None:
        self.problem = problem
        self.places = places
        where = ".".join(place if _PLAIN.fullmatch(place) else quoted(place) for place in places)
        super().__init__(f"{where}: {problem}" if where else problem)


@contextmanager
def within(place: str) -> Iterator[None]:
    """Say of whatever is found wrong inside that it is wrong at `place`."""
    try:
        yield
    except InvalidPolicyError as error:
        raise InvalidPolicyError(error.problem, place, *error.places) from None


def quoted(text: str) -> str:
    """`text` as it may stand in a message: one line, ASCII, not too long."""
    return json.dumps(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "...")
