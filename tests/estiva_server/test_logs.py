import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from estiva_server.logs import FLUSH_BYTES, AccessEntry, AccessLog, configure

ENTRY = AccessEntry("id-1", "127.0.0.1", "GET", b"/v2/", 200, 2, 0.0012345, b"docker/20")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe that never makes its reader wait."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    for end in (reader, writer):
        try:
            os.close(end)
        except OSError:
            continue  # closed by the test


def lines(reader: int) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in os.read(reader, 10_000_000).splitlines()]
    except BlockingIOError:
        return []


async def test_a_request_is_one_line_of_json(pipe: tuple[int, int]) -> None:
    log = AccessLog(pipe[1])
    log.write(ENTRY)
    log.flush()
    [line] = lines(pipe[0])
    assert line.pop("time").endswith("Z")
    assert line == {
        "request_id": "id-1",
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/v2/",
        "status": 200,
        "bytes": 2,
        "seconds": 0.001234,
        "user_agent": "docker/20",
    }


async def test_nothing_that_a_client_says_breaks_the_line(pipe: tuple[int, int]) -> None:
    log, hostile = AccessLog(pipe[1]), 'a"b\\c\n{"status":200}\x00\x1b[31mé\u2028'
    sent = hostile.encode()
    log.write(ENTRY._replace(user_agent=sent, target=sent, request_id=hostile, method=hostile))
    log.flush()
    [line] = lines(pipe[0])
    assert [line[name] for name in ("request_id", "method")] == [hostile] * 2
    assert [line[name] for name in ("user_agent", "path")] == [sent.decode("latin-1")] * 2


async def test_query_strings_are_left_out(pipe: tuple[int, int]) -> None:
    log = AccessLog(pipe[1])
    log.write(ENTRY._replace(target=b"/v2/a/blobs/uploads/?digest=secret?more"))
    log.flush()
    assert lines(pipe[0])[0]["path"] == "/v2/a/blobs/uploads/"


async def test_lines_are_written_within_a_moment_though_nobody_asks(pipe: tuple[int, int]) -> None:
    log = AccessLog(pipe[1])
    log.write(ENTRY)
    log.write(ENTRY)
    assert lines(pipe[0]) == []
    for _ in range(100):
        await asyncio.sleep(0.02)
        if written := lines(pipe[0]):
            break
    assert len(written) == 2
    log.write(ENTRY)
    log.flush()
    assert len(lines(pipe[0])) == 1


async def test_many_lines_do_not_wait(tmp_path: Path) -> None:
    file, number = tmp_path / "access.log", FLUSH_BYTES // 150
    with file.open("wb") as output:
        log = AccessLog(output.fileno())
        for _ in range(number):
            log.write(ENTRY)
        assert number // 2 < len(file.read_text().splitlines()) < number
        log.flush()
        assert len(file.read_text().splitlines()) == number


async def test_a_reader_that_has_left_stops_nobody(pipe: tuple[int, int]) -> None:
    log = AccessLog(pipe[1])
    os.close(pipe[0])
    log.write(ENTRY)
    log.flush()
    log.write(ENTRY)
    log.flush()


async def test_a_log_that_can_not_be_written_stops_nobody_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        log = AccessLog(full)
        log.write(ENTRY)
        log.flush()
        log.write(ENTRY)
        log.flush()
    finally:
        os.close(full)
    assert [record.getMessage() for record in caplog.records] == [
        "lines of the access log are lost: No space left on device"
    ] * 2


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:], root.level = handlers, level


@pytest.mark.usefixtures("root")
def test_the_application_log_is_one_object_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    sys.stderr.flush()
    configure("info")
    logging.getLogger("estiva.test").info("said %s\nand %s", "this", "that")
    logging.getLogger("estiva.test").debug("not said")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("library").exception("broken")
    said, broken = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (said["event"], said["level"], said["logger"]) == ("said this\nand that", "info", "estiva.test")
    assert said["timestamp"].endswith("Z")
    assert (broken["event"], broken["level"]) == ("broken", "error")
    assert "ValueError: why" in broken["exception"]


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_least_severe_level_can_be_set(capsys: pytest.CaptureFixture[str], level: str, count: int) -> None:
    configure(level)
    logger = logging.getLogger("estiva.test")
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(number, "said")
    assert len(capsys.readouterr().err.splitlines()) == count
