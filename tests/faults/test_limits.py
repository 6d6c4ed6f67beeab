"""Clients that take without end: connections, time, descriptors. The registry keeps some of each for everybody else."""

import contextlib
import resource
import socket
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from estiva import mediatypes
from tests.faults.observed import Stopwatch, descriptors, forget_peak, peak, resident, settles
from tests.hostile.civility import Civility, require_quiet_log
from tests.hostile.conversation import Answer, Broken, Conversation, ask, raw
from tests.hostile.world import BLOB, World, begin_upload, digest_of
from tests.serving import ESTIVA, Registry, registry_running

HALF = b"GET /v2/ HTTP/1.1\r\nHost: registry.example\r\nX-Slow: "
MIB = 1024 * 1024


@contextlib.contextmanager
def registry_with(folder: Path, *before: str, **settings: object) -> Iterator[Registry]:
    """A registry with these settings, started through the command `before`."""
    variables = [f"ESTIVA_{name.upper()}={value}" for name, value in settings.items()]
    with registry_running(folder, (*before, "env", *variables, ESTIVA)) as running:
        yield running
        require_quiet_log(running)


@contextlib.contextmanager
def half_open(port: int, count: int, said: bytes = HALF) -> Iterator[list[Conversation]]:
    """So many connections that never get to the end of what they say."""
    with contextlib.ExitStack() as stack:
        conversations = [stack.enter_context(Conversation(port)) for _ in range(count)]
        for conversation in conversations:
            conversation.say(said)
        yield conversations


@pytest.fixture(scope="module")
def room_for_clients() -> Iterator[None]:
    """As many descriptors for this process as the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def last_words(conversation: Conversation) -> Answer | None:
    """The answer before the server hangs up, None where it just does."""
    try:
        return conversation.answer()
    except Broken:
        return None


Ended = tuple[Answer | None, float]
"""What a client was answered, and after how many seconds."""


@pytest.fixture(scope="module")
def slow_bodies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Civility, list[Future[Ended]]]]:
    """Bodies that stop coming, a body of each of the three ways to receive one.

    They wait for half a minute: meanwhile the other tests run.
    """
    with registry_with(tmp_path_factory.mktemp("slow")) as registry:
        world = World.pushed(registry.port, "slow")
        length, kind = "Content-Length: {}", f"Content-Type: {mediatypes.OCI_MANIFEST}"
        heads = [
            (f"PATCH {upload_of(world)} HTTP/1.1", length.format(10_000)),
            (f"PATCH {upload_of(world)} HTTP/1.1", length.format(10_000_000)),
            (f"PATCH {upload_of(world)} HTTP/1.1", "Transfer-Encoding: chunked"),
            (f"PUT {upload_of(world)}?digest={world.blob_digest} HTTP/1.1", length.format(200_000)),
            (f"PUT /v2/slow/manifests/slow HTTP/1.1\r\n{kind}", length.format(3_000_000)),
        ]
        with contextlib.ExitStack() as stack:
            slow = [stack.enter_context(Conversation(registry.port, timeout=90)) for _ in heads]
            for conversation, (line, framing) in zip(slow, heads, strict=True):
                conversation.say(f"{line}\r\nHost: registry.example\r\n{framing}\r\n\r\n1\r\n".encode())
            threads, begun = stack.enter_context(ThreadPoolExecutor(len(slow))), time.monotonic()

            def ended(conversation: Conversation) -> Ended:
                return conversation.answer(), time.monotonic() - begun

            yield world, Civility.of(registry), [threads.submit(ended, conversation) for conversation in slow]
            for conversation in slow:
                conversation.fall_silent()


def upload_of(world: World) -> str:
    """The path of a new upload."""
    return f"/v2/{world.name}/blobs/uploads/{begin_upload(world.port, world.name)}"


def test_a_hundred_clients_that_never_finish_their_headers_delay_nobody(tmp_path: Path) -> None:
    with registry_with(tmp_path, header_timeout=1) as registry, half_open(registry.port, 100) as slow:
        for _ in range(20):
            watch = Stopwatch(registry.process.pid)
            assert ask(registry.port, "GET", "/v2/").status == 200
            assert watch.seconds() < 0.5
        watch = Stopwatch(registry.process.pid)
        for conversation in slow:
            answer = last_words(conversation)
            assert answer is not None
            assert (answer.status, answer.closes) == (408, True)
            assert b'"code":"REQUEST_TIMEOUT"' in answer.body
            Civility.of(registry).require(answer, api=True)
        assert watch.seconds() < 5


@pytest.mark.real
@pytest.mark.usefixtures("slow_bodies")
def test_a_client_that_sends_its_headers_byte_by_byte_gets_no_more_time(tmp_path: Path) -> None:
    with registry_with(tmp_path, header_timeout=1) as registry:
        with half_open(registry.port, 1) as [first]:
            first.socket.settimeout(0.05)
            answer, begun = None, time.monotonic()
            while answer is None and time.monotonic() - begun < 5:
                first.say(b"X")
                with contextlib.suppress(TimeoutError):
                    answer = first.answer()
            assert answer is not None
            assert answer.status == 408
        with Conversation(registry.port) as second:
            assert second.ask(raw("GET", "/v2/")).status == 200
            second.say(HALF)
            later = last_words(second)
            assert later is not None
            assert later.status == 408


def test_connections_beyond_the_cap_are_told_to_come_back_or_take_the_place_of_idle_ones(tmp_path: Path) -> None:
    with registry_with(tmp_path, max_connections=20) as registry:
        time.sleep(0.1)
        with half_open(registry.port, 20), Conversation(registry.port) as one_more:
            refused = last_words(one_more)
            assert refused is not None
            assert (refused.status, refused.field("retry-after"), refused.closes) == (503, "1", True)
            assert b'"code":"UNAVAILABLE"' in refused.body
            Civility.of(registry).require(refused, api=True, may_be=(503,))
            time.sleep(1.1)
            for _ in range(10):
                assert ask(registry.port, "GET", "/v2/").status == 200


def test_one_address_cannot_have_every_connection(tmp_path: Path) -> None:
    with registry_with(tmp_path, max_connections_per_client=10) as registry, half_open(registry.port, 10):
        with Conversation(registry.port) as one_more:
            refused = last_words(one_more)
            assert refused is not None
            assert refused.status == 503
        other = socket.create_connection(("127.0.0.1", registry.port), source_address=("127.0.0.2", 0), timeout=5)
        with other:
            other.sendall(raw("GET", "/v2/"))
            assert other.recv(1000).startswith(b"HTTP/1.1 200 ")


def healthy(port: int) -> bool:
    """Whether /healthz answers right now."""
    try:
        return ask(port, "GET", "/healthz").status == 200
    except (AssertionError, OSError):
        return False


def comes_back(registry: Registry, patience: float) -> float:
    """How long it takes until /healthz answers."""
    watch = Stopwatch(registry.process.pid)
    while not healthy(registry.port):
        assert watch.seconds() < patience, f"/healthz did not answer for {patience} s"
        time.sleep(0.02)
    return watch.seconds()


@pytest.mark.real
def test_a_thousand_clients_and_256_descriptors_are_no_end(tmp_path: Path, room_for_clients: None) -> None:
    with registry_with(tmp_path, "prlimit", "--nofile=256:256") as registry:
        world = World.pushed(registry.port, "kept")
        before = descriptors(registry.process.pid)
        with half_open(registry.port, 1000):
            answered = sum(comes_back(registry, 3) < 3 for _ in range(10))
            assert answered == 10
            assert descriptors(registry.process.pid) < 256
        assert comes_back(registry, 2) < 2
        world.require_unharmed()
        assert settles(lambda: descriptors(registry.process.pid), before + 2) <= before + 2
        assert registry.process.poll() is None


@pytest.mark.real
def test_a_thousand_pullers_and_256_descriptors_get_whole_blobs_or_are_told_to_come_back(
    tmp_path: Path, room_for_clients: None
) -> None:
    with registry_with(tmp_path, "prlimit", "--nofile=256:256") as registry:
        world = World.pushed(registry.port, "pulled")
        request = raw(
            "GET", f"/v2/{world.name}/blobs/{world.blob_digest}", ("Range", "bytes=0-"), ("Connection", "close")
        )
        with contextlib.ExitStack() as stack:
            pullers = [stack.enter_context(Conversation(registry.port)) for _ in range(1000)]
            with ThreadPoolExecutor(32) as pool:
                list(pool.map(lambda puller: puller.say(request), pullers))
            answers = [last_words(puller) for puller in pullers]
        told = [answer for answer in answers if answer is not None]
        assert {answer.status for answer in told} <= {206, 503}
        assert all(answer.body == BLOB for answer in told if answer.status == 206)
        assert sum(answer.status == 206 for answer in told) >= 50
        assert comes_back(registry, 2) < 2
        world.require_unharmed()


@pytest.mark.real
def test_nine_hundred_uploads_that_trickle_in_delay_no_push(tmp_path: Path, room_for_clients: None) -> None:
    with registry_with(tmp_path) as registry, contextlib.ExitStack() as stack:
        world = World.pushed(registry.port, "trickle")
        forget_peak(registry.process.pid)
        before, idle = resident(registry.process.pid), descriptors(registry.process.pid)
        slow, times = [], []
        for _ in range(900):
            conversation = stack.enter_context(Conversation(registry.port))
            head = f"PATCH {upload_of(world)} HTTP/1.1\r\nHost: registry.example\r\nContent-Length: 100000000\r\n\r\n"
            conversation.say(head.encode())
            slow.append(conversation)
        for number in range(5):
            for conversation in slow:
                conversation.say(b"x" * 2000)
            content = b"%d" % number * 200_000
            watch = Stopwatch(registry.process.pid)
            pushed = ask(registry.port, "POST", f"/v2/trickle/blobs/uploads/?digest={digest_of(content)}", body=content)
            assert pushed.status == 201
            times.append(watch.seconds())
        assert statistics.median(times) < 2  # the disk may be busy now and then
        assert peak(registry.process.pid) - before < 100 * MIB
        stack.close()
        assert settles(lambda: descriptors(registry.process.pid), idle) <= idle


@pytest.mark.real
def test_a_reader_that_takes_nothing_is_left_alone_with_it(tmp_path: Path) -> None:
    content = bytes(8 * MIB)
    with registry_with(tmp_path, stall_timeout=1) as registry:
        world = World.pushed(registry.port, "stalled")
        pushed = raw("POST", f"/v2/stalled/blobs/uploads/?digest={digest_of(content)}", body=content)
        with Conversation(registry.port) as pusher:
            assert pusher.ask(pushed, "POST").status == 201
        before = descriptors(registry.process.pid)
        target = f"/v2/stalled/blobs/{digest_of(content)}"
        with half_open(registry.port, 20, raw("GET", target)):
            assert ask(registry.port, "GET", "/v2/").status == 200
            assert settles(lambda: descriptors(registry.process.pid), before + 1) <= before + 1
        assert peak(registry.process.pid) < 300 * MIB
        world.require_unharmed()


@pytest.mark.real
def test_a_body_that_comes_too_slowly_is_cut_off_with_408(
    slow_bodies: tuple[World, Civility, list[Future[Ended]]],
) -> None:
    """Averaged over half a minute; what other tests do meanwhile may delay it."""
    world, civility, all_ended = slow_bodies
    assert ask(world.port, "GET", "/v2/").status == 200
    for ended in all_ended:
        answer, seconds = ended.result()
        assert 25 < seconds < 60
        assert answer is not None
        assert answer.status == 408
        civility.require(answer, api=True)
    world.require_unharmed()
