"""What all connections of one process share."""

from concurrent.futures import Executor

from .answers import AnswerCache
from .door import AtOnce, Door
from .observing import Observer
from .population import Population
from .pouring import Buffers
from .refusals import ErrorBody
from .settings import ConnectionSettings


class Shared:
    """Made once per process and handed to each connection."""

    def __init__(
        self,
        settings: ConnectionSettings,
        answers: AnswerCache,
        observer: Observer,
        executor: Executor,
        error_body: ErrorBody,
        at_once: AtOnce | None = None,
    ) -> None:
        self.settings = settings
        self.answers = answers
        self.observer = observer
        self.executor = executor
        self.error_body = error_body
        self.population = Population(settings)
        self.buffers = Buffers(settings.pour_buffer_bytes)
        self.door = Door(settings, answers, observer, at_once)
