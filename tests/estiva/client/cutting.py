"""A TCP proxy that cuts a connection, once, in the middle of a body."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

PATIENCE = 120.0


@dataclass
class Cutter:
    """Passes bytes on to `port`; after so many in one direction on a connection it cuts that connection, once."""

    port: int
    up: int = 0
    down: int = 0
    cuts: int = 0
    holds: bool = False
    """Whether it passes nothing more on, in place of cutting, until it is let go."""
    held: threading.Event = field(default_factory=threading.Event)
    freed: threading.Event = field(default_factory=threading.Event)
    closed_after_cut: bool = False
    """Whether nobody gets through any more once it has cut."""
    said: list[bytes] = field(default_factory=list)
    """The beginning of everything that clients sent."""
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    ends: list[socket.socket] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def headers(self, name: bytes) -> list[bytes]:
        """The values of a header in all requests so far."""
        lines = [line for piece in self.said for line in piece.split(b"\r\n")]
        return [line.partition(b": ")[2] for line in lines if line.lower().startswith(name.lower() + b": ")]

    def accept(self) -> None:
        """Serve until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                if self.closed_after_cut and self.cuts:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self.port))
                self.ends += [client, server]
                for source, target, upwards in ((client, server, True), (server, client, False)):
                    thread = threading.Thread(target=self._pass_on, args=(source, target, upwards))
                    self.threads.append(thread)
                    thread.start()

    def let_go(self) -> None:
        """End what was held, and wait until the registry has done with it."""
        self.freed.set()
        for thread in self.threads[1:]:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def close(self) -> None:
        """End everything, and wait for it."""
        self.freed.set()
        for end in (self.listener, *self.ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)
        for end in (self.listener, *self.ends):
            end.close()

    def _pass_on(self, source: socket.socket, target: socket.socket, upwards: bool) -> None:
        passed = 0
        with suppress(OSError):
            while piece := source.recv(65536):
                if upwards and len(self.said) < 100_000:
                    self.said.append(piece[:2000])
                passed += len(piece)
                target.sendall(piece)
                if self._is_due(passed, upwards):
                    if self.holds and self._hold(target, upwards):
                        return
                    break
        for end in list(self.ends) if self.closed_after_cut and self.cuts else (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _hold(self, target: socket.socket, upwards: bool) -> bool:
        """Pass nothing on until that is over; whether the other direction goes on until the registry hangs up."""
        self.held.set()
        self.freed.wait()
        if upwards:
            target.shutdown(socket.SHUT_WR)
        return upwards

    def _is_due(self, passed: int, upwards: bool) -> bool:
        with self.lock:
            limit = self.up if upwards else self.down
            if not limit or passed < limit:
                return False
            self.cuts += 1
            if upwards:
                self.up = 0
            else:
                self.down = 0
            return True


@contextmanager
def cutting(port: int) -> Iterator[Cutter]:
    """Such a proxy, until the block ends."""
    cutter = Cutter(port)
    cutter.threads.append(threading.Thread(target=cutter.accept))
    cutter.threads[0].start()
    try:
        yield cutter
    finally:
        cutter.close()
