"""The protocol driven by hand: its requests are looked at, its answers made up."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from estiva.failures import ConnectionFailed
from estiva.protocol.steps import Call, Parallel, Pause, Request, Response, Step, Steps

T = TypeVar("T")


def answer(status: int, headers: Mapping[str, str] | None = None, body: Any = b"") -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.lower(): value for name, value in (headers or {}).items()}, content)


@dataclass
class Script:
    """Answers in a row; what was asked and how long was waited for."""

    answers: list[Response | ConnectionFailed]
    requests: list[Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def run(self, steps: Steps[T]) -> T:
        """What the steps return; all answers must have been used."""
        try:
            step = next(steps)
            while True:
                outcome = self._do(step)
                step = steps.throw(outcome) if isinstance(outcome, ConnectionFailed) else steps.send(outcome)
        except StopIteration as end:
            assert not self.answers
            result: T = end.value
            return result

    def _do(self, step: Step) -> Any:
        match step:
            case Request():
                self.requests.append(step)
                return self.answers.pop(0)
            case Pause():
                self.pauses.append(step.seconds)
                return None
            case Call():
                return step.work()
            case Parallel():
                return [self.run(branch) for branch in step.steps]
