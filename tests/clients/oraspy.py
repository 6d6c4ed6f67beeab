"""A command around oras-py, the Python client, which has none of its own; speaks plain HTTP.

usage: oraspy.py push REFERENCE FILE... | push-chunked REFERENCE FILE... | pull REFERENCE FOLDER | delete REFERENCE
                 | digest REFERENCE | tags REPOSITORY | login HOST NAME PASSWORD
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def main(verb: str, name: str, *rest: str) -> object:
    """Do what the words say; what is returned is printed as JSON."""
    # With tokens the library cannot push: told that its token, got for a HEAD, is too small, it sends the same again.
    # Who has not signed in gets by with tokens.
    signed_in = verb == "login" or (Path.home() / ".docker" / "config.json").exists()
    backend = "basic" if signed_in else "token"
    client: Any = importlib.import_module("oras.client").OrasClient(insecure=True, auth_backend=backend)
    if verb == "login":
        return client.login(*rest, hostname=name)
    # Not every operation of the library looks for what login kept.
    client.auth.load_configs(client.get_container(name))
    if verb == "push":
        return _push(client, name, rest)
    if verb == "push-chunked":
        return _push(client, name, rest, do_chunked=True, chunk_size=30_000)
    if verb == "pull":
        return [str(path) for path in client.pull(target=name, outdir=rest[0])]
    if verb == "delete":
        repository, _, tag = name.rpartition(":")
        return bool(client.delete_tag(repository, tag))
    if verb == "digest":
        return _digest(client, name)
    if verb == "tags":
        return list(client.get_tags(name))
    raise SystemExit(__doc__)


def _push(client: Any, name: str, files: tuple[str, ...], **options: Any) -> str:
    answer = client.push(target=name, files=list(files), disable_path_validation=True, **options)
    return str(answer.headers["Docker-Content-Digest"])


def _digest(client: Any, name: str) -> str:
    container = client.get_container(name)
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    answer = client.do_request(f"http://{container.manifest_url()}", "HEAD", headers=accept)
    answer.raise_for_status()
    return str(answer.headers["Docker-Content-Digest"])


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201 - this is a command
