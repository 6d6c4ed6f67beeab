"""Looks for what a registry lost or broke of what it had acknowledged."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from estiva.digest import Digest
from estiva.mediatypes import OCI_MANIFEST
from tests.faults.pushers import Client, Ledger, Session, end_of

PAGE = 500
ACCEPT = {"Accept": OCI_MANIFEST}


def lost(client: Client, ledger: Ledger) -> list[str]:
    """Acknowledged blobs, manifests and tags that are not there as they were acknowledged."""
    asked = {(f"/v2/{repository}/blobs/{digest}", digest) for repository, digest in ledger.blobs}
    asked |= {(f"/v2/{repository}/manifests/{digest}", digest) for repository, digest in ledger.manifests}
    asked |= {(f"/v2/{repository}/manifests/{tag}", digest) for repository, tag, digest in ledger.tags}
    return [problem for path, digest in sorted(asked) if (problem := _problem(client, path, digest))]


def dangling(client: Client) -> list[str]:
    """Listed tags whose manifest, or a blob of whose manifest, is not there."""
    problems = []
    for repository in _listed(client, "/v2/_catalog", "repositories"):
        for tag in _listed(client, f"/v2/{repository}/tags/list", "tags"):
            problems += _problems_of_image(client, repository, tag)
    return problems


def wrong_files(data: Path) -> list[str]:
    """Files among the blobs that are not what their name says."""
    files = [path for path in (data / "blobs").rglob("*") if path.is_file()]
    return [path.name for path in files if not path.name.startswith(f"{Digest.of(path.read_bytes()).hex}.")]


def unfinishable(client: Client, session: Session, least: int = 0) -> str | None:
    """What is wrong with an upload that was cut off; None when it goes on from the offset it tells, to its end.

    The registry must hold at least the first `least` bytes; it may know nothing of the upload only if that is 0.
    """
    status, headers, _ = client.ask("GET", session.location)
    if status == 404 and least == 0:
        return None
    if status != 204:
        return f"{session.location}: {status}"
    offset, content = end_of(headers), session.content
    if offset < least:
        return f"{session.location}: {least} bytes were acknowledged and {offset} are there"
    digest = Digest.of(content)
    client.finish(client_path(session.location), digest, content[offset:])
    return _problem(client, f"/v2/{session.repository}/blobs/{digest}", str(digest))


def client_path(location: str) -> str:
    """A location without scheme and host."""
    return urlsplit(location).path


def _problem(client: Client, path: str, digest: str) -> str | None:
    try:
        status, _, body = client.ask("GET", path, headers=ACCEPT)
    except http.client.HTTPException as error:
        return f"{path}: {error!r}"
    if status != 200:
        return f"{path}: {status}"
    return None if str(Digest.of(body)) == digest else f"{path}: wrong content"


def _problems_of_image(client: Client, repository: str, tag: str) -> list[str]:
    status, _, body = client.ask("GET", f"/v2/{repository}/manifests/{tag}", headers=ACCEPT)
    if status != 200:
        return [f"{repository}:{tag} is listed: {status}"]
    manifest = json.loads(body)
    paths = [f"/v2/{repository}/blobs/{part['digest']}" for part in [manifest["config"], *manifest["layers"]]]
    return [f"{repository}:{tag} needs {path}" for path in paths if client.ask("HEAD", path)[0] != 200]


def _listed(client: Client, path: str, key: str) -> Iterator[str]:
    last = ""
    while True:
        _, _, body = client.ask("GET", f"{path}?n={PAGE}" + (f"&last={last}" if last else ""))
        names = json.loads(body)[key]
        yield from names
        if len(names) < PAGE:
            return
        last = names[-1]
