"""Commands in a task of a real Docker Engine that are typed at while they run, with the estiva command."""

import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.clients.people import ADMIN
from tests.fixtures.serving_tasks import TaskServer, web
from tests.serving import ESTIVA

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
PATIENCE = 90.0


@pytest.fixture
def task(server: TaskServer) -> str:
    """The ARN of a task that runs."""
    server.push("typed", "1", "one")
    server.ecs.register_task_definition(family="typed", containerDefinitions=[web(f"{server.host}/typed:1")])
    arn = str(server.ecs.run_task(taskDefinition="typed")["tasks"][0]["taskArn"])

    def runs() -> Any:
        return server.ecs.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "RUNNING"

    server.until(runs)
    return arn


@contextmanager
def typing(server: TaskServer, *words: str, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """`estiva exec` with these words, which is ended in the end."""
    login = {"ESTIVA_USERNAME": ADMIN.name, "ESTIVA_PASSWORD": ADMIN.password}
    environment = {**os.environ, **login, "ESTIVA_SERVER": f"http://{server.host}"}
    with subprocess.Popen([str(ESTIVA), "exec", *words], env=environment, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def read(file: int, end: bytes) -> bytes:
    """What comes from a terminal or pipe, up to what ends so; AssertionError where that does not come."""
    found, deadline = b"", time.monotonic() + PATIENCE
    while end not in found:
        assert select.select([file], [], [], max(0.0, deadline - time.monotonic()))[0], found
        piece = os.read(file, 4096)
        assert piece, found
        found += piece
    return found


def test_what_is_typed_is_answered_while_the_command_runs(server: TaskServer, task: str) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with typing(server, "--interactive", task, "--", "sh", "-c", "cat; echo end >&2; exit 7", **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for line in (b"one\n", b"two\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert read(process.stdout.fileno(), b"\n") == line
        process.stdin.close()
        assert process.wait(PATIENCE) == 7
        assert process.stdout.read() == b""
        assert process.stderr.read() == b"end\n"


def test_a_terminal_has_its_size_and_is_as_it_was_afterwards(server: TaskServer, task: str) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (43, 132))
    before = termios.tcgetattr(theirs)
    with typing(server, "-it", task, "--", "sh", stdin=theirs, stdout=theirs, stderr=theirs) as process:
        read(ours, b"# ")
        os.write(ours, b"stty size\n")
        read(ours, b"43 132")
        assert termios.tcgetattr(theirs) != before  # every key goes to the command
        termios.tcsetwinsize(ours, (50, 100))
        process.send_signal(signal.SIGWINCH)  # as the terminal's own shell is told
        os.write(ours, b"until stty size | grep '50 100'; do sleep 0.1; done\n")
        read(ours, b"\n50 100")
        os.write(ours, b"exit 5\n")
        assert process.wait(PATIENCE) == 5
        assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_a_terminal_is_as_it_was_also_when_the_command_is_left_by_a_signal(server: TaskServer, task: str) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with typing(server, "-it", task, "--", "sh", "-c", "echo begun; sleep 600", stdin=theirs, stdout=theirs) as process:
        read(ours, b"begun")
        process.terminate()
        assert process.wait(PATIENCE) == 1
        assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def test_what_cannot_be_run_is_refused_before_anything_is_typed(server: TaskServer, task: str) -> None:
    pipes = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    for words, told in (
        (("-i", "--container", "other", task, "--", "sh"), "container is one of web"),
        (("-it", task, "--", "sh"), "standard input is no terminal; leave --tty away"),
        (("-i", task[:-4] + "0000", "--", "sh"), "there is no task "),
    ):
        with typing(server, *words, **pipes) as process:
            _, said = process.communicate(timeout=PATIENCE)
            assert process.returncode == 1
            assert told in said.decode()
