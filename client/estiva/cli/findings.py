"""What `estiva doctor` found out, and how it is told."""

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import typer

from estiva.cli.failing import CommandError, line
from estiva.cli.server import show as show_result

Outcome = Literal["ok", "warning", "failed", "skipped"]
_COLOURS: dict[Outcome, str] = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, how it ended, and one sentence; of a failure it says what to do."""

    check: str
    outcome: Outcome
    text: str


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", text)


def warning(check: str, text: str) -> Finding:
    """It works, but not for everything, or not for long."""
    return Finding(check, "warning", text)


def failed(check: str, text: str) -> Finding:
    """It does not work."""
    return Finding(check, "failed", text)


def skipped(check: str, text: str) -> Finding:
    """There was nothing to look at."""
    return Finding(check, "skipped", text)


def tell(context: typer.Context, findings: Sequence[Finding], as_json: bool) -> None:
    """Print them, with `--quiet` those alone that are not well; CommandError, which names them, where checks failed."""
    if as_json or context.find_root().obj["json"]:
        context.find_root().obj["json"] = True
        show_result(context, [asdict(finding) for finding in findings])
    else:
        told = [one for one in findings if one.outcome != "ok"] if context.find_root().obj["quiet"] else findings
        _print(told)
    bad = [finding.check for finding in findings if finding.outcome == "failed"]
    if bad:
        raise CommandError(f"{len(bad)} of {len(findings)} checks failed: {', '.join(bad)}")


def _print(findings: Sequence[Finding]) -> None:
    """A line for each, broken between words on a terminal."""
    first = max((len(finding.outcome) for finding in findings), default=0)
    second = max((len(finding.check) for finding in findings), default=0)
    indent = " " * (first + second + 4)
    room = max(shutil.get_terminal_size().columns - len(indent), 20) if sys.stdout.isatty() else 0
    coloured = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    for finding in findings:
        text = line(finding.text)
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) if room else [text]
        word = finding.outcome.ljust(first)
        outcome = typer.style(word, fg=_COLOURS[finding.outcome]) if coloured else word
        typer.echo(f"{outcome}  {finding.check.ljust(second)}  " + f"\n{indent}".join(lines))
