"""What a person is asked for: secrets, and whether something is meant. Without a terminal nobody can be asked."""

import sys

import typer

from estiva.cli.failing import CommandError


def secret(given: str | None, question: str, option: str, *, twice: bool = False, whole: bool = False) -> str:
    """The secret in an option: `-` reads a line of standard input, or `whole` of it; None asks for it, unseen."""
    if given == "-":
        return standard_input(whole=whole)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise CommandError(f"there is no terminal to ask for it: pipe it in with {option} -")
    repeat = "Repeat for confirmation" if twice else False
    return str(typer.prompt(question, hide_input=True, confirmation_prompt=repeat, err=True))


def standard_input(*, whole: bool) -> str:
    """All of it as text, or its first line. CommandError where it is no text."""
    try:
        return sys.stdin.read() if whole else sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        raise CommandError("standard input is not text") from None


def confirm(question: str, option: str) -> None:
    """Go on only where a person says yes, or what is piped in does."""
    if sys.stdin.isatty():
        typer.confirm(question, abort=True, err=True)
        return
    answer = standard_input(whole=False).strip().lower()
    if not answer:
        raise CommandError(f"there is no terminal to ask whether that is meant: {option} says that it is")
    if answer not in ("y", "yes"):
        raise typer.Abort
