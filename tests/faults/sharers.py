"""Clients that push images of shared layers while garbage is collected, and pull whole whatever was acknowledged."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message

from estiva.digest import Digest
from estiva.mediatypes import OCI_MANIFEST
from tests.faults.pushers import Client, Refused
from tests.fixtures.documents import image

MANIFEST = {"Content-Type": OCI_MANIFEST, "Accept": OCI_MANIFEST}
REPOSITORIES = ["team/one", "team/other"]
LAYERS_OF_ONE = 3
PATIENCE = 90.0
"""Seconds for which a client that is told to come back (503 with Retry-After) does so."""


class BlobIsGone(Exception):
    """The manifest was refused with 400 MANIFEST_BLOB_UNKNOWN."""


@dataclass(frozen=True)
class Image:
    """An image that was acknowledged."""

    repository: str
    payload: bytes
    contents: tuple[bytes, ...]
    """Of its blobs."""

    @property
    def path(self) -> str:
        """Of its manifest, by digest."""
        return f"/v2/{self.repository}/manifests/{Digest.of(self.payload)}"


@dataclass
class Account:
    """What all of them saw. Lists only grow, and counts are added under the lock."""

    pool: list[bytes]
    """The layers that images are made of."""
    counts: Counter[str] = field(default_factory=Counter)
    """`acknowledged` images; layers `found`, `mounted`, `gone` again after they had been acknowledged;
    manifests that were refused because a blob is `unknown`; requests told to `wait`."""
    broken: list[str] = field(default_factory=list)
    """What was acknowledged and did not come back whole."""
    newest: dict[str, Image] = field(default_factory=dict)
    """The image that each of them pushed last."""
    given: set[tuple[str, bytes]] = field(default_factory=set)
    """Repository and layer of which it was once acknowledged that the one has the other."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """One more."""
        with self._lock:
            self.counts[what] += 1


class Sharer:
    """Pushes one image after the other as clients do; pulls each whole before it deletes it, and begins anew.

    Without a grace a client may be told by HEAD that what was acknowledged a moment ago is not here, by a mount to
    upload, and by the manifest's PUT that a blob is unknown: it then brings all of it again. Nothing else is allowed,
    and with a grace the last is not: Refused.
    """

    def __init__(self, number: int, port: int, account: Account, grace: bool) -> None:
        self._name = name = f"sharer-{number}"
        self._repository = REPOSITORIES[number % len(REPOSITORIES)]
        self._config = f'{{"by":{number}}}'.encode()
        self._port = port
        self._account = account
        self._grace = grace
        self._random = random.Random(name)

    def run(self, stop: threading.Event) -> None:
        """Push until told to stop; what then is refused for a blob that is gone is given up."""
        with Client(self._port) as client:
            for number in itertools.count():
                older, newest = self._account.newest.get(self._name), self._push(client, number, stop)
                if newest is None:
                    return
                self._account.newest[self._name] = newest
                if older is not None:  # or else soon everything is needed, and nothing left to collect
                    self._account.broken.extend(problems(client, older, self._account))
                    self._demand(client, {202}, "DELETE", older.path)

    def _push(self, client: Client, number: int, stop: threading.Event) -> Image | None:
        while not stop.is_set():
            contents = (self._config, *self._random.sample(self._account.pool, LAYERS_OF_ONE))
            pushed = Image(self._repository, image(*contents, annotations={"number": str(number)}), contents)
            try:
                for content in contents:
                    self._bring(client, self._repository, content)
                self._put(client, pushed)
            except BlobIsGone:
                self._account.count("unknown")
                if self._grace:
                    raise Refused("a blob that was promised is gone") from None
            else:
                self._account.count("acknowledged")
                return pushed
        return None

    def _put(self, client: Client, pushed: Image) -> None:
        path = f"/v2/{pushed.repository}/manifests/{self._name}"
        status, body = ask(client, self._account, "PUT", path, pushed.payload, MANIFEST)
        if status == 400 and b'"MANIFEST_BLOB_UNKNOWN"' in body:
            raise BlobIsGone
        _require(status == 201, "PUT", path, status, body)

    def _bring(self, client: Client, repository: str, content: bytes) -> None:
        digest = Digest.of(content)
        if self._demand(client, {200, 404}, "HEAD", f"/v2/{repository}/blobs/{digest}") == 200:
            self._account.count("found")
        else:
            if (repository, content) in self._account.given:
                self._account.count("gone")
            self._mount_or_upload(client, repository, content)
        self._account.given.add((repository, content))

    def _mount_or_upload(self, client: Client, repository: str, content: bytes) -> None:
        digest, other = Digest.of(content), self._random.choice(REPOSITORIES)
        uploads = f"/v2/{repository}/blobs/uploads/"
        way = self._random.randrange(3)
        if way == 0 and self._demand(client, {201, 202}, "POST", f"{uploads}?mount={digest}&from={other}") == 201:
            self._account.count("mounted")
        elif way == 1:
            self._demand(client, {201}, "POST", f"{uploads}?digest={digest}", content)
        else:
            while not self._upload(client, uploads, content):
                self._account.count("wait")
                time.sleep(0.1)

    def _upload(self, client: Client, uploads: str, content: bytes) -> bool:
        """Upload in two requests: whether that came to its end, or else is to be begun again."""
        status, headers, body = client.ask("POST", uploads)
        if status == 202:
            status, headers, body = client.ask("PUT", f"{headers['Location']}?digest={Digest.of(content)}", content)
        _require(status == 201 or _is_told_to_wait(status, headers), "PUT", uploads, status, body)
        return status == 201

    def _demand(self, client: Client, allowed: Collection[int], method: str, path: str, body: bytes = b"") -> int:
        status, answered = ask(client, self._account, method, path, body)
        _require(status in allowed, method, path, status, answered)
        return status


def ask(
    client: Client, account: Account, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = MANIFEST
) -> tuple[int, bytes]:
    """Status and body; whoever is told to come back does so, and that is counted."""
    deadline = time.monotonic() + PATIENCE
    while True:
        status, answered, text = client.ask(method, path, body, dict(headers))
        if not _is_told_to_wait(status, answered) or time.monotonic() > deadline:
            return status, text
        account.count("wait")
        time.sleep(0.1)


def _is_told_to_wait(status: int, headers: Message) -> bool:
    return status == 503 and "Retry-After" in headers


def problems(client: Client, pushed: Image, account: Account) -> Iterator[str]:
    """What of the image is not there as it was acknowledged."""
    paths = [(pushed.path, pushed.payload)]
    paths += [(f"/v2/{pushed.repository}/blobs/{Digest.of(content)}", content) for content in pushed.contents]
    for path, content in paths:
        status, body = ask(client, account, "GET", path)
        if (status, body) != (200, content):
            yield f"{path}: {status}"


@contextmanager
def sharing(port: int, count: int, account: Account, grace: bool) -> Iterator[Callable[[], bool]]:
    """So many push while the block runs, and at its end all have finished. What one of them could not bear is raised.

    The block gets to ask whether all of them still push.
    """
    stop = threading.Event()
    sharers = [Sharer(number, port, account, grace) for number in range(count)]
    with ThreadPoolExecutor(count) as threads:
        running = [threads.submit(sharer.run, stop) for sharer in sharers]
        try:
            yield lambda: not any(one.done() for one in running)
        finally:
            stop.set()
            wait(running, PATIENCE)
        for one in running:
            one.result()


def _require(allowed: bool, method: str, path: str, status: int, body: bytes) -> None:
    if not allowed:
        raise Refused(f"{method} {path}: {status} {body[:300]!r}")
