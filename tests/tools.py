"""Other people's programs that tests drive: where they are, what happens without them, how they are run and ended."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

OWN_TOOLS = Path(__file__).parent.parent / ".tools" / "bin"


class CommandFailed(AssertionError):
    """A program did not end with 0, or not in time; the message holds the command and what it said."""


def absent(reason: str) -> NoReturn:
    """Skip the test; in CI (`CI=true`) fail it, for there a skip hides a part that nobody checks."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def find_tool(name: str) -> str:
    """The path of the program `name`: this checkout's own, then the machine's, else the test ends as in `absent`."""
    path = shutil.which(name, path=str(OWN_TOOLS)) or shutil.which(name)
    if path is None:
        absent(f"{name} is not installed; scripts/install-tools installs it")
    return path


def run(
    command: Sequence[str | Path],
    *,
    timeout: float = 60,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    given: bytes | None = None,
) -> str:
    """Run to the end and return what the program wrote to stdout; CommandFailed unless it ended well and in time."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            timeout=timeout,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            input=given if given is not None else b"",
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(_account(words, f"not done after {timeout} s", late.stdout, late.stderr)) from late
    if done.returncode != 0:
        raise CommandFailed(_account(words, f"exit code {done.returncode}", done.stdout, done.stderr))
    return done.stdout.decode()


def _account(words: Sequence[str], end: str, stdout: bytes | None, stderr: bytes | None) -> str:
    said = "\n".join((text or b"").decode(errors="replace")[-4000:] for text in (stdout, stderr))
    return f"{' '.join(words)}: {end}\n{said}"


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], log: Path, *, environment: Mapping[str, str] | None = None, patience: float = 20
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in the background, its output in `log`; on the way out SIGTERM, after `patience` SIGKILL.

    It gets SIGTERM too when the tests themselves are killed (Linux only), so that nothing is left behind.
    """
    leash = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*leash, *(str(word) for word in command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(patience)
