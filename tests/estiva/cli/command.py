"""The command line, run as a shell would: arguments in; exit code, standard output and standard error out."""

import contextlib
import io
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from estiva.cli.main import main

# An access key of the administrator: it is checked quickly, also after each change, unlike a password.
KEY_ID, KEY_SECRET = "AKIA" + "A" * 16, "the secret of the key of admin"


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)

    def table(self) -> list[list[str]]:
        """Standard output as the words of each line."""
        return [line.split() for line in self.out.splitlines()]


@dataclass(frozen=True)
class Estiva:
    """The command with the environment of somebody who uses it."""

    environment: Mapping[str, str]

    def __call__(self, *arguments: str, given: bytes = b"", **environment: str) -> Outcome:
        """Run it; `given` is its standard input."""
        out, err = io.StringIO(), io.StringIO()
        code: object = 0
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            for name, value in {**self.environment, **environment, "COLUMNS": "200"}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["estiva", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), encoding="utf-8"))
            try:
                main()
            except SystemExit as end:
                code = end.code or 0
        assert isinstance(code, int)
        return Outcome(code, out.getvalue(), err.getvalue())

    def done(self, *arguments: str, given: bytes = b"") -> Outcome:
        """Run it, where it must succeed without a word of complaint."""
        outcome = self(*arguments, given=given)
        assert (outcome.code, outcome.err) == (0, ""), outcome
        return outcome

    def json(self, *arguments: str) -> Any:
        """What it prints with `--json`."""
        return self.done("--json", *arguments).document

    def failed(self, *arguments: str, given: bytes = b"", **environment: str) -> str:
        """The one line with which it fails."""
        outcome = self(*arguments, given=given, **environment)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1), outcome
        assert outcome.err.startswith("estiva: ")
        return outcome.err.removeprefix("estiva: ").rstrip("\n")
