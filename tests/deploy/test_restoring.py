"""The lines of docs/deploy.md that back up PostgreSQL and S3 and restore them, run while images are pushed."""

import os
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.composed import ROOT
from tests.fixtures.s3 import CREDENTIALS, REGION, S3Server
from tests.postgresql import DEBIAN, Server
from tests.replicas import MASTER_KEY
from tests.security.secured import KEY_ID, KEY_SECRET, Content, Secured, secured
from tests.tools import CommandFailed, absent, run

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

IMAGES = 4
LARGE = 20 * 1024 * 1024
BACKUP, RESTORE, CHECK = range(3)
"""The blocks of shell in the chapter on backups, in their order."""


@dataclass(frozen=True)
class Site:
    """A registry on a database and a bucket of its own."""

    name: str
    postgresql: Server
    s3: S3Server
    folder: Path

    @property
    def bucket(self) -> str:
        return f"registry-{self.name}"

    @contextmanager
    def serving(self) -> Iterator[Secured]:
        """The registry."""
        folder = self.folder / self.name
        folder.mkdir()
        blobs = self.s3.url("blobs").replace("s3://cargo/", f"s3://{self.bucket}/")
        url = self.postgresql.url(self.name)
        with secured(folder, database_url=url, blobs=blobs, master_key=MASTER_KEY) as served:
            yield served

    def documented(self, block: int, served: Secured | None = None) -> str:
        """Run these lines of the documentation, with this bucket in the place of the documented one."""
        chapter = (
            (ROOT / "docs" / "deploy.md").read_text().partition("\n## Backup and restore\n")[2].partition("\n## ")[0]
        )
        lines = re.findall(r"```sh\n(.*?)```", chapter, re.DOTALL)[block]
        lines = lines.replace("s3://registry/", f"s3://{self.bucket}/")
        environment = {**self._environment(), **(_signed_in(served) if served else {})}
        return run(["sh", "-ec", lines], environment=environment, folder=self.folder, timeout=240)

    def lose(self, digest: str) -> None:
        """Delete the object of that blob."""
        client, name = self.s3.client(), digest.removeprefix("sha256:")
        found = client.list_objects_v2(Bucket=self.bucket)["Contents"]
        [key] = [entry["Key"] for entry in found if name in entry["Key"]]
        client.delete_object(Bucket=self.bucket, Key=key)

    def _environment(self) -> dict[str, str]:
        python, newest = Path(sys.executable).parent, max(DEBIAN.iterdir(), key=lambda path: int(path.name))
        if not (python / "aws").exists():
            absent("the aws command is not installed; make setup-clients installs it")
        return {
            **CREDENTIALS,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": str(self.s3.endpoint),
            "AWS_CONFIG_FILE": str(self.folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "none"),
            "ESTIVA_DATABASE_URL": self.postgresql.url(self.name),
            "PATH": f"{python}:{newest / 'bin'}:{os.environ['PATH']}",
        }


def _signed_in(served: Secured) -> dict[str, str]:
    return {
        "ESTIVA_SERVER": f"http://127.0.0.1:{served.port}",
        "ESTIVA_USERNAME": KEY_ID,
        "ESTIVA_PASSWORD": KEY_SECRET,
    }


@pytest.fixture
def sites(
    postgresql_server: Server, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Site, Site]:
    """The registry that is lost, and the empty place for its restoration."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for bucket in ("registry-lost", "registry-backup", "registry-restored"):
        s3_server.client().create_bucket(Bucket=bucket)
    for name in ("lost", "restored"):
        postgresql_server.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    lost, restored = (Site(name, postgresql_server, s3_server, tmp_path) for name in ("lost", "restored"))
    return lost, restored


def large(name: str) -> Content:
    """An image whose blob is sent to S3 in parts."""
    small, blob = Content.of(name), os.urandom(LARGE)
    digest = Content(name, blob, b"").blob_digest
    manifest = small.manifest.replace(small.blob_digest.encode(), digest.encode())
    return Content(name, blob, manifest.replace(b'"size": %d' % len(small.blob), b'"size": %d' % LARGE))


@contextmanager
def pushing(served: Secured) -> Iterator[None]:
    """Somebody pushes images one after the other until the block ends, and at least one."""
    begun, stop = threading.Event(), threading.Event()

    def push() -> None:
        number = 0
        while not stop.is_set():
            served.push(Content.of(f"team/meanwhile-{number}"))
            number += 1
            begun.set()

    with ThreadPoolExecutor(1) as threads:
        pusher = threads.submit(push)
        try:
            assert begun.wait(60)
            yield
        finally:
            stop.set()
            pusher.result()


def pulled(served: Secured, name: str) -> tuple[bytes, bytes]:
    """The manifest of a repository, and the blob that it needs."""
    manifest = served.done("GET", f"/v2/{name}/manifests/v1").body
    found = re.search(rb"sha256:[0-9a-f]{64}", manifest)
    assert found is not None
    return manifest, served.done("GET", f"/v2/{name}/blobs/{found[0].decode()}").body


def meanwhile(served: Secured) -> list[str]:
    """The repositories of `pushing`; the last may have got its blob, and not its manifest."""
    return re.findall(r'"(team/meanwhile-[0-9]+)"', served.done("GET", "/v2/_catalog?n=1000").body.decode())


def test_what_was_acknowledged_before_a_backup_is_there_after_its_restoration(sites: tuple[Site, Site]) -> None:
    lost, restored = sites
    contents = [*(Content.of(f"team/app-{number}") for number in range(IMAGES)), large("team/large")]
    with lost.serving() as served:
        for content in contents:
            served.push(content)
        with pushing(served):
            lost.documented(BACKUP, served)

    restored.documented(RESTORE)

    with restored.serving() as served:
        said = restored.documented(CHECK, served)
        assert "missing: 0\n" in said
        assert [pulled(served, content.name) for content in contents] == [
            (content.manifest, content.blob) for content in contents
        ]
        tagged = [name for name in meanwhile(served) if served.admin("GET", f"/v2/{name}/manifests/v1").status == 200]
        assert tagged
        assert [pulled(served, name)[1] for name in tagged] == [Content.of(name).blob for name in tagged]
        restored.lose(contents[0].blob_digest)
        with pytest.raises(CommandFailed, match="missing: 1\n"):
            restored.documented(CHECK, served)
