"""A command around oras-py, the Python client, which has none of its own; speaks plain HTTP.

usage: oraspy.py push REFERENCE FILE... | push-chunked REFERENCE FILE... | pull REFERENCE FOLDER | delete REFERENCE
                 | tags REPOSITORY
"""

import importlib
import json
import sys
from typing import Any


def main(verb: str, name: str, *rest: str) -> object:
    """Do what the words say; what is returned is printed as JSON."""
    client: Any = importlib.import_module("oras.client").OrasClient(insecure=True)
    if verb == "push":
        return _push(client, name, rest)
    if verb == "push-chunked":
        return _push(client, name, rest, do_chunked=True, chunk_size=30_000)
    if verb == "pull":
        return [str(path) for path in client.pull(target=name, outdir=rest[0])]
    if verb == "delete":
        repository, _, tag = name.rpartition(":")
        return bool(client.delete_tag(repository, tag))
    if verb == "tags":
        return list(client.get_tags(name))
    raise SystemExit(__doc__)


def _push(client: Any, name: str, files: tuple[str, ...], **options: Any) -> str:
    answer = client.push(target=name, files=list(files), disable_path_validation=True, **options)
    return str(answer.headers["Docker-Content-Digest"])


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201 - this is a command
