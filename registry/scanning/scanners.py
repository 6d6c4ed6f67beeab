"""The scanner that is configured: a program that gets the image as files, or a server that is told its name."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from registry.scanning.findings import ReportError
from registry.upstream.errors import UpstreamError
from registry.upstream.network import Network

LARGEST_REPORT = 64 * 1024 * 1024
LAYOUT = "{layout}"


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be scanned: the image's name, digest and media type, and its tags."""

    repository: str
    digest: str
    media_type: str
    tags: Sequence[str]


class Scanner(Protocol):
    """Looks at one image."""

    needs_layout: bool
    """Whether it gets the image as files."""

    async def scan(self, target: Target, layout: Path | None) -> bytes:
        """Its report, in Trivy's JSON. ReportError, whose text says what went wrong."""
        ...


class CommandScanner:
    """A program: `{layout}` in its command line is the folder of an OCI image layout, and it prints the report."""

    needs_layout = True

    def __init__(self, command: str, timeout: float) -> None:
        self._words = shlex.split(command)
        self._timeout = timeout

    async def scan(self, target: Target, layout: Path | None) -> bytes:
        """See `Scanner.scan`."""
        words = [word.replace(LAYOUT, str(layout)) for word in self._words]
        environment = {**_without_ours(os.environ), "ESTIVA_SCAN_TARGET": f"{target.repository}@{target.digest}"}
        with tempfile.TemporaryFile() as report, tempfile.TemporaryFile() as complaints:
            try:
                process = await asyncio.create_subprocess_exec(
                    *words,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=report,
                    stderr=complaints,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise ReportError(f"the scanner can't be run: {error.strerror}") from None
            code = await self._ended(process)
            if code != 0:
                raise ReportError(f"the scanner ended with {code}: {await asyncio.to_thread(_last_line, complaints)}")
            return await asyncio.to_thread(_read, report)

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Its exit code; ended with all that it started where it takes too long, or nobody waits any more."""
        try:
            async with asyncio.timeout(self._timeout):
                return await process.wait()
        except TimeoutError:
            raise ReportError(f"the scanner was not done after {self._timeout:.0f} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


class HttpScanner:
    """A server: it is sent the image's name and digest as JSON, and answers with the report."""

    needs_layout = False

    def __init__(self, network: Network, url: str, timeout: float) -> None:
        self._network = network
        self._url = url
        self._timeout = timeout

    async def scan(self, target: Target, layout: Path | None) -> bytes:
        """See `Scanner.scan`."""
        document = {
            "repository": target.repository,
            "digest": target.digest,
            "mediaType": target.media_type,
            "tags": list(target.tags),
        }
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        try:
            async with asyncio.timeout(self._timeout):
                async with self._network.send("POST", self._url, headers, json.dumps(document).encode()) as answer:
                    if answer.status != 200:
                        raise ReportError(f"the scanner answers {answer.status}")
                    return await answer.read(LARGEST_REPORT)
        except UpstreamError as error:
            raise ReportError(str(error)) from None
        except TimeoutError:
            raise ReportError(f"the scanner did not answer within {self._timeout:.0f} s") from None


def _without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Without the server's settings, some of which are secrets."""
    return {name: value for name, value in environment.items() if not name.startswith("ESTIVA_")}


def _read(file: BinaryIO) -> bytes:
    file.seek(0)
    report = file.read(LARGEST_REPORT + 1)
    if len(report) > LARGEST_REPORT:
        raise ReportError("the scanner's report is too long")
    return report


def _last_line(file: BinaryIO) -> str:
    file.seek(0, os.SEEK_END)
    file.seek(max(file.tell() - 2000, 0))
    lines = file.read().decode(errors="replace").strip().splitlines()
    return "".join(character for character in lines[-1] if character.isprintable())[:300] if lines else "no word"
