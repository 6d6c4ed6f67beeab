"""Go programs that the tests bring along."""

from pathlib import Path

from tests.tools import run


def build_program(go: str, source: Path, target: Path, *flags: str) -> None:
    """Build the static program in `source`; without asking git, which may not trust the checkout's owner."""
    command = [go, "build", "-trimpath", "-buildvcs=false", *flags, "-o", str(target), "."]
    run(command, folder=source, environment={"CGO_ENABLED": "0"}, timeout=100)
