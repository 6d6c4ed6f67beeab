"""Clients that push until the registry is killed under them, and remember what was acknowledged."""

import contextlib
import http.client
import json
import random
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from estiva.digest import Digest
from estiva.mediatypes import OCI_MANIFEST

REPOSITORIES = [f"team/app-{number}" for number in range(5)]
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
SHARED_LAYERS = 4
LARGEST_LAYER = 60_000
PIECE = 10_000
SESSION_PIECES = 400


class Refused(AssertionError):
    """The registry answered, and not as it should."""


@dataclass
class Session:
    """An upload that is sent piece by piece, and how far it was acknowledged."""

    repository: str
    location: str
    seed: int
    offset: int = 0

    @property
    def content(self) -> bytes:
        """All that is to be sent, the same whenever it is asked for."""
        return random.Random(self.seed).randbytes(PIECE * SESSION_PIECES)


@dataclass
class Ledger:
    """What the registry acknowledged. Lists only grow, so threads may share them."""

    blobs: list[tuple[str, str]] = field(default_factory=list)
    """Repository and digest."""
    manifests: list[tuple[str, str]] = field(default_factory=list)
    """Repository and digest."""
    tags: list[tuple[str, str, str]] = field(default_factory=list)
    """Repository, tag and digest, for tags that are pushed once."""
    sessions: list[Session] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def await_images(self, count: int = 1, patience: float = 60) -> None:
        """Return once so many images were acknowledged and a long upload is under way."""
        deadline = time.monotonic() + patience
        while len(self.tags) < count or not self.sessions:
            assert time.monotonic() < deadline, f"nothing is pushed: {self.refusals}"
            time.sleep(0.01)


class Client:
    """One connection to a registry."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body of the answer, whatever it is."""
        self._http.request(method, path, body, headers or {})
        answer = self._http.getresponse()
        return answer.status, answer.headers, answer.read()

    def demand(
        self, status: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> http.client.HTTPMessage:
        """The headers of the answer; Refused for any other status."""
        got, answered, text = self.ask(method, path, body, headers)
        if got != status:
            raise Refused(f"{method} {path.partition('?')[0]}: {got} {text[:300]!r}")
        return answered

    def begin(self, repository: str) -> str:
        """Begin an upload; its location."""
        return self.demand(202, "POST", f"/v2/{repository}/blobs/uploads/")["Location"]

    def append(self, location: str, piece: bytes, offset: int) -> int:
        """Send a piece; the new offset. The location is the same for the whole upload at this registry."""
        headers = {"Content-Range": f"{offset}-{offset + len(piece) - 1}"}
        return end_of(self.demand(202, "PATCH", location, piece, headers))

    def finish(self, location: str, digest: Digest, rest: bytes = b"") -> None:
        """Send the rest and make the upload a blob."""
        self.demand(201, "PUT", f"{location}?digest={digest}", rest)


def end_of(headers: http.client.HTTPMessage) -> int:
    """The offset that a Range header tells. `0-0` is taken for none: nobody here sends a single byte."""
    last = int(re.fullmatch(r"0-(\d+)", headers["Range"]).group(1))  # type: ignore[union-attr]
    return last + 1 if last else 0


class Pusher:
    """Pushes image after image: own layers in each of the protocol's ways, a layer that all share, and two tags."""

    def __init__(self, name: str, port: int, ledger: Ledger, stop: threading.Event) -> None:
        self._name = name
        self._port = port
        self._ledger = ledger
        self._stop = stop
        self._random = random.Random(name)

    def run(self) -> None:
        """Push until told to stop or the registry is gone."""
        try:
            with Client(self._port) as client:
                number = 0
                while not self._stop.is_set():
                    self._push_image(client, number)
                    number += 1
        except (OSError, http.client.HTTPException):
            return  # the registry was killed
        except Refused as refusal:
            self._ledger.refusals.append(str(refusal))

    def _push_image(self, client: Client, number: int) -> None:
        repository = self._random.choice(REPOSITORIES)
        config = self._push_at_once(client, repository, self._content())
        layers = [
            self._push_in_one_put(client, repository, self._content()),
            self._push_in_pieces(client, repository, self._content()),
            self._push_in_one_put(client, repository, f"shared {self._random.randrange(SHARED_LAYERS)}".encode()),
        ]
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {"mediaType": CONFIG, **config},
                "layers": [{"mediaType": LAYER, **layer} for layer in layers],
            }
        ).encode()
        digest, tag = str(Digest.of(manifest)), f"{self._name}-{number}"
        for reference in (tag, "latest"):
            path = f"/v2/{repository}/manifests/{reference}"
            client.demand(201, "PUT", path, manifest, {"Content-Type": OCI_MANIFEST})
            self._ledger.manifests.append((repository, digest))
            if reference == tag:
                self._ledger.tags.append((repository, tag, digest))

    def _content(self) -> bytes:
        return self._random.randbytes(self._random.randrange(2, LARGEST_LAYER))

    def _push_at_once(self, client: Client, repository: str, content: bytes) -> dict[str, object]:
        digest = Digest.of(content)
        client.demand(201, "POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", content)
        return self._acknowledged(repository, digest, content)

    def _push_in_one_put(self, client: Client, repository: str, content: bytes) -> dict[str, object]:
        digest = Digest.of(content)
        client.finish(client.begin(repository), digest, content)
        return self._acknowledged(repository, digest, content)

    def _push_in_pieces(self, client: Client, repository: str, content: bytes) -> dict[str, object]:
        digest, location, half = Digest.of(content), client.begin(repository), len(content) // 2
        client.append(location, content[:half], 0)
        client.append(location, content[half:], half)
        client.finish(location, digest)
        return self._acknowledged(repository, digest, content)

    def _acknowledged(self, repository: str, digest: Digest, content: bytes) -> dict[str, object]:
        self._ledger.blobs.append((repository, str(digest)))
        return {"digest": str(digest), "size": len(content)}


class PieceSender(Pusher):
    """Sends one long upload piece by piece, and another when that one is done."""

    def _push_image(self, client: Client, number: int) -> None:
        repository = self._random.choice(REPOSITORIES)
        session = Session(repository, client.begin(repository), seed=self._random.getrandbits(64))
        self._ledger.sessions.append(session)
        content = session.content
        while session.offset < len(content) and not self._stop.is_set():
            session.offset = client.append(
                session.location, content[session.offset : session.offset + PIECE], session.offset
            )
        if session.offset == len(content):
            # From here on nobody can say whether it is an upload or a blob, until the answer does.
            self._ledger.sessions.remove(session)
            client.finish(session.location, Digest.of(content))
            self._ledger.blobs.append((repository, str(Digest.of(content))))


@contextlib.contextmanager
def pushing(port: int, count: int, name: str) -> Iterator[Ledger]:
    """`count` clients push while the block runs, one in six of them a single long upload."""
    ledger, stop = Ledger(), threading.Event()
    pushers = [
        (PieceSender if number % 6 == 5 else Pusher)(f"{name}-{number}", port, ledger, stop) for number in range(count)
    ]
    threads = [threading.Thread(target=pusher.run) for pusher in pushers]
    for thread in threads:
        thread.start()
    try:
        yield ledger
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
