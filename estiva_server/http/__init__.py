"""The HTTP connection: a uvicorn protocol class that answers, sends and receives faster than ASGI messages could.

It knows nothing of registries. What it offers an application beyond ASGI, each only where it works, stands in
`scope["extensions"]`:

- `http.response.pathsend`, `http.response.zerocopysend` (ASGI's own): file bodies by the kernel's sendfile; not
  over TLS.
- `estiva.pass` (`registry.api.passing`): what arrives on another socket, by the kernel's splice; not over TLS.
- `estiva.answer` (`answers.Remember`): the response about to be sent may be given again, for as long as a
  version stays the same.
- `estiva.body` (`registry.api.body.PourBody`): a large body goes from the socket to `write` in a worker thread;
  not over TLS.
"""

from concurrent.futures import Executor

from .answers import Answer, AnswerCache, FileBody, Remember, Reply
from .connection import Connection
from .door import AtOnce
from .observing import Observer, Silence
from .refusals import ErrorBody, plain_text
from .settings import ConnectionSettings
from .shared import Shared
from .simple import SimpleRequest

__all__ = [
    "Answer",
    "AnswerCache",
    "AtOnce",
    "ConnectionSettings",
    "ErrorBody",
    "FileBody",
    "Observer",
    "Remember",
    "Reply",
    "Silence",
    "SimpleRequest",
    "connection_class",
]


def connection_class(
    settings: ConnectionSettings,
    answers: AnswerCache,
    observer: Observer,
    executor: Executor,
    error_body: ErrorBody = plain_text,
    at_once: AtOnce | None = None,
) -> type[Connection]:
    """The protocol class for `uvicorn.Config(http=...)` of one process.

    `executor` runs the pours of large bodies and nothing else; its owner shuts it down after the server has
    ended. `error_body` makes the bodies of refusals that never reach the application; `at_once` is asked first for the
    answer to a simple GET or HEAD, or to a POST without a body, of a target that begins with the settings'
    `answer_prefix`; where it has none, the application is asked from the beginning. uvicorn's own timeout_keep_alive
    and limit_concurrency are not used.
    """
    shared = Shared(settings, answers, observer, executor, error_body, at_once)
    return type("BoundConnection", (Connection,), {"shared": shared})
