"""Scanning: asked for by somebody or by a push, done from the queue, and shown."""

import asyncio
import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from estiva.digest import Digest
from estiva.errors import ManifestUnknown, RegistryError
from estiva.manifest import Manifest, parse_manifest
from estiva.mediatypes import INDEXES
from estiva.reference import Reference, RepositoryName
from registry.pulling import Pulling
from registry.pushed import Pushed
from registry.queueing import NotNow, Worker
from registry.scanning.findings import ReportError, parse_report
from registry.scanning.layout import write_layout
from registry.scanning.scanners import Scanner, Target
from storage.metadata import audit, manifests, queue, registry_settings, scans
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work
from storage.metadata.manifests import StoredManifest
from storage.metadata.queue import QueuedWork
from storage.metadata.scans import ScanRecord

SCAN = "scan"
"""The kind of queued work that has one image scanned."""
CONFIGURATIONS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
"""What the configuration of an image is: anything else is a chart, a signature or the like."""
ATTEMPTS = 3


class ScannerMissing(RegistryError):
    """This server has no scanner."""

    code, status, message = "SCANNER_MISSING", 400, "no scanner is configured: set ESTIVA_SCANNER"


class ImageUnsupported(RegistryError):
    """That is no image that a scanner could look into."""

    code, status, message = "IMAGE_UNSUPPORTED", 400, "only images can be scanned, not indexes or other artifacts"


class ScanUnknown(RegistryError):
    """The image has never been scanned."""

    code, status, message = "SCAN_UNKNOWN", 404, "the image has not been scanned"


ScansOnPush = Callable[[RepositoryName], Work[bool]]
"""Whether a repository's own configuration has its images scanned when they are pushed."""


@dataclass(frozen=True, slots=True)
class Scanning:
    """Has images scanned; without a scanner it says so."""

    database: Database
    pulling: Pulling
    threads: Executor
    scanner: Scanner | None
    scans_on_push: ScansOnPush
    folder: Path | None = None

    def after_push(self, pushed: Pushed) -> Work[None]:
        """Ask for a scan where the repository or the registry wants one of each push, in the push's transaction."""
        if self.scanner is None or not is_image(pushed.manifest):
            return
        wanted = yield from self._wanted(pushed.name)
        if wanted:
            yield from _ask(pushed.name, pushed.digest)

    async def start(self, name: RepositoryName, reference: Reference) -> Digest:
        """Ask for a scan of an image. ScannerMissing, ImageUnsupported, ManifestUnknown."""
        stored = await self._stored(name, reference)
        if self.scanner is None:
            raise ScannerMissing
        if not is_image(parse_manifest(stored.payload, stored.media_type)):
            raise ImageUnsupported
        await self.database.write(lambda: _ask(name, stored.digest))
        return stored.digest

    async def find(self, name: RepositoryName, reference: Reference) -> tuple[Digest, ScanRecord]:
        """The image's digest, and its scan. ManifestUnknown, ScanUnknown."""
        stored = await self._stored(name, reference)
        found = await self.database.read(scans.find(name, stored.digest))
        if found is None:
            raise ScanUnknown(detail={"digest": str(stored.digest)})
        return stored.digest, found

    async def findings(
        self, name: RepositoryName, digest: Digest, last: int, limit: int
    ) -> list[tuple[int, Mapping[str, Any]]]:
        """At most `limit` findings after position `last`, the worst first."""
        return await self.database.read(scans.page(name, digest, last, limit))

    async def configuration(self, account: str) -> Mapping[str, Any]:
        """The scanning configuration of the account's registry, as ECR's API shows it."""
        return await self.database.read(_configuration(account))

    async def configure(self, actor: Actor, account: str, configuration: Mapping[str, Any]) -> None:
        """Set the scanning configuration of the account's registry."""

        def work() -> Work[None]:
            text = json.dumps(configuration, sort_keys=True)
            yield from registry_settings.put(account, registry_settings.SCANNING, text)
            yield from audit.record(actor, "PutRegistryScanningConfiguration", "registry")

        await self.database.write(work)

    def worker(self) -> Worker:
        """What does the queued scans."""
        return Worker(self.database, SCAN, self.scan, self.give_up, attempts=ATTEMPTS)

    async def scan(self, work: QueuedWork) -> None:
        """Have one image scanned, and keep what is found. NotNow."""
        name, digest = _read(work)
        stored = await self.pulling.find_manifest(name, digest)
        if stored is None or self.scanner is None:
            return
        try:
            report = parse_report(await self._scanned(self.scanner, name, stored))
        except ReportError as error:
            raise NotNow(str(error)) from None
        except RegistryError as error:
            raise NotNow(error.text) from None
        await self.database.write(lambda: scans.complete(name, digest, report.findings, report.counts))

    async def give_up(self, work: QueuedWork, text: str) -> None:
        """Say in the image's scan that it failed, and why."""
        name, digest = _read(work)
        await self.database.write(lambda: scans.fail(name, digest, scans.FAILED, text))

    async def _scanned(self, scanner: Scanner, name: RepositoryName, stored: StoredManifest) -> bytes:
        target = Target(name.text, str(stored.digest), stored.media_type, ())
        if not scanner.needs_layout:
            return await scanner.scan(target, None)
        with tempfile.TemporaryDirectory(prefix="scan-", dir=self.folder) as folder:
            with contextlib.ExitStack() as opened:
                files = await self._open(name, stored, opened)
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self.threads, write_layout, Path(folder), stored, files)
            return await scanner.scan(target, Path(folder))

    async def _open(
        self, name: RepositoryName, stored: StoredManifest, opened: contextlib.ExitStack
    ) -> dict[Digest, BinaryIO]:
        """What the image is made of, as far as it is here."""
        manifest, files = parse_manifest(stored.payload, stored.media_type), {}
        for digest in dict.fromkeys(one.digest for one in manifest.blobs):
            blob = await self.pulling.find_blob(name, digest)
            if blob is not None:
                files[digest] = opened.enter_context(await self.pulling.open(blob))
        return files

    async def _stored(self, name: RepositoryName, reference: Reference) -> StoredManifest:
        found = await self.database.read(manifests.find(name, reference))
        if found is None:
            raise ManifestUnknown(detail={"name": name.text, "reference": str(reference)})
        return found

    def _wanted(self, name: RepositoryName) -> Work[bool]:
        configuration = yield from _configuration(name.account)
        for rule in configuration["rules"]:
            if rule["scanFrequency"] != "MANUAL" and matches(rule["repositoryFilters"], name):
                return True
        return (yield from self.scans_on_push(name))


def is_image(manifest: Manifest) -> bool:
    """Whether a scanner can look into it."""
    return manifest.media_type not in INDEXES and manifest.blobs[0].media_type in CONFIGURATIONS


def matches(filters: Sequence[Mapping[str, str]], name: RepositoryName) -> bool:
    """Whether one of the filters is about the repository: without `*`, one is about names that hold it (ECR)."""
    for one in filters:
        text = one["filter"] if "*" in one["filter"] else f"*{one['filter']}*"
        if re.fullmatch(".*".join(map(re.escape, text.split("*"))), name.text):
            return True
    return False


def _configuration(account: str) -> Work[Mapping[str, Any]]:
    text = yield from registry_settings.find(account, registry_settings.SCANNING)
    return json.loads(text) if text else {"scanType": "BASIC", "rules": []}


def _ask(name: RepositoryName, digest: Digest) -> Work[None]:
    if (yield from scans.begin(name, digest)):
        document = {"repository": name.key, "digest": str(digest)}
        yield from queue.add(SCAN, f"{name.key}@{digest}", document)


def _read(work: QueuedWork) -> tuple[RepositoryName, Digest]:
    return RepositoryName.of_key(work.document["repository"]), Digest.parse(work.document["digest"])
