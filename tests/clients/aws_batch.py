"""Many calls of the aws command, version 1, in one process, which reads its models once: its own `main` for each.

Reads a list of command lines as JSON, writes for each what it ended with and said.
"""

import contextlib
import io
import json
import sys
from typing import Any

from awscli.clidriver import create_clidriver  # type: ignore[import-not-found,import-untyped,unused-ignore]


def one(driver: Any, words: list[str]) -> dict[str, Any]:
    """The end of one call: its code, and both outputs."""
    out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = driver.main(words)
        except SystemExit as end:
            code = end.code
    said = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        said.append(stream.read())
    return {"code": code, "out": said[0], "err": said[1]}


if __name__ == "__main__":
    command = create_clidriver()
    json.dump([one(command, words) for words in json.load(sys.stdin)], sys.stdout)
