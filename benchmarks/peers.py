"""The registries that can be measured, how each is found, configured and started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from benchmarks.access import ADMIN_KEY, Access, Closed, Open, Secrets

REPOSITORY = Path(__file__).resolve().parent.parent
REFERENCE = "distribution"
"""The peer that the goals are ratios to."""


class PeerMissing(Exception):
    """A peer was asked for whose program cannot be found."""


@dataclass(frozen=True)
class Bucket:
    """Where a registry keeps blobs that are not to be on disk, and whether it sends clients there."""

    KEY: ClassVar[str] = "benchmark"
    SECRET: ClassVar[str] = "benchmarked"
    endpoint: str
    name: str
    prefix: str
    redirect: bool


@dataclass(frozen=True)
class Peer(ABC):
    """A registry program, ready to be started."""

    name: str
    program: str
    bucket: Bucket | None = None
    greeting: ClassVar[int] = 200
    """The status of GET /v2/ without any right."""

    @abstractmethod
    def command(self, directory: Path, port: int) -> list[str]:
        """The command that serves an empty directory on a port of 127.0.0.1."""

    @abstractmethod
    def version(self) -> str:
        """The program's own words about its version."""

    def access(self, port: int) -> Access:
        """The way in to the server that was just started on an empty directory."""
        return Open()

    def environment(self) -> dict[str, str]:
        """The environment to start it with."""
        return {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}


_SETTINGS = ("ESTIVA_", "REGISTRY_", "OTEL_")


@dataclass(frozen=True)
class Estiva(Peer):
    """This project's registry, as ``estiva serve`` starts it: closed, with a token for every request that is timed."""

    workers: int = 1
    known: Secrets = field(default_factory=Secrets)
    greeting: ClassVar[int] = 401

    def environment(self) -> dict[str, str]:
        return (
            super().environment()
            | self._blobs()
            | {
                "ESTIVA_ADMIN_PASSWORD": self.known.admin,
                "ESTIVA_ADMIN_ACCESS_KEY_ID": ADMIN_KEY,
                "ESTIVA_ADMIN_SECRET_ACCESS_KEY": self.known.admin,
                "ESTIVA_TOKEN_LIFE": "3600",  # a scenario may wait long for a quiet moment
            }
        )

    def _blobs(self) -> dict[str, str]:
        if self.bucket is None:
            return {}
        query = f"endpoint={self.bucket.endpoint}&region=us-east-1"
        return {
            "ESTIVA_BLOBS": f"s3://{self.bucket.name}/{self.bucket.prefix}?{query}",
            "ESTIVA_BLOB_REDIRECT": "redirect" if self.bucket.redirect else "proxy",
            "AWS_ACCESS_KEY_ID": Bucket.KEY,
            "AWS_SECRET_ACCESS_KEY": Bucket.SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def access(self, port: int) -> Closed:
        return Closed(port, self.known)

    def command(self, directory: Path, port: int) -> list[str]:
        return [
            *(self.program, "serve", "--data", str(directory / "data")),
            *("--listen", f"127.0.0.1:{port}", "--workers", str(self.workers)),
        ]

    def version(self) -> str:
        from estiva import __version__

        return f"estiva {__version__} ({_commit()}), workers: {self.workers}"


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "commit unknown"
    command = [git, "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return f"commit {told.stdout.strip()}" if told.returncode == 0 else "commit unknown"


_CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {storage}
http: {{addr: "127.0.0.1:{port}"}}
"""


@dataclass(frozen=True)
class Distribution(Peer):
    """CNCF distribution, or Debian's older build of it: files on disk, no authentication, no cache."""

    def command(self, directory: Path, port: int) -> list[str]:
        configuration = directory / "config.yml"
        configuration.write_text(_CONFIGURATION.format(storage=self._storage(directory / "data"), port=port))
        return [self.program, "serve", str(configuration)]

    def _storage(self, data: Path) -> str:
        if self.bucket is None:
            return f"{{filesystem: {{rootdirectory: {data}}}}}"
        settings = {
            "accesskey": Bucket.KEY,
            "secretkey": Bucket.SECRET,
            "region": "us-east-1",
            "regionendpoint": self.bucket.endpoint,
            "forcepathstyle": True,
            "secure": False,
            "bucket": self.bucket.name,
            "rootdirectory": f"/{self.bucket.prefix}",
        }
        return json.dumps({"s3": settings, "redirect": {"disable": not self.bucket.redirect}})

    def environment(self) -> dict[str, str]:
        # Version 3 otherwise tries to send a trace of every request to a collector on this machine.
        return super().environment() | {"OTEL_TRACES_EXPORTER": "none"}

    def version(self) -> str:
        told = subprocess.run([self.program, "--version"], capture_output=True, text=True, timeout=10, check=True)
        return told.stdout.split(maxsplit=1)[1].strip()


PROGRAMS = {"estiva": "estiva", "distribution": "registry", "docker-registry": "docker-registry"}
"""The name of each peer and of its program."""


def find(wanted: str) -> Peer:
    """The peer of ``NAME``, ``NAME:WORKERS`` (estiva only) or ``NAME=PATH``."""
    name, _, path = wanted.partition("=")
    kind, _, workers = name.partition(":")
    if kind not in PROGRAMS:
        raise PeerMissing(f"{kind!r} is none of the known peers: {', '.join(PROGRAMS)}")
    program = path or look_for(PROGRAMS[kind])
    if program is None or not os.access(program, os.X_OK):
        raise PeerMissing(f"the peer {kind} needs the program {path or PROGRAMS[kind]}, which was not found")
    if kind == "estiva":
        return Estiva(name, program, workers=int(workers or "1"))
    return Distribution(name, program)


def found() -> list[Peer]:
    """Every known peer whose program is on this machine, estiva first."""
    return [find(name) for name, program in PROGRAMS.items() if look_for(program)]


def look_for(program: str) -> str | None:
    """A program beside this Python, among the repository's tools, or on the PATH."""
    places = [str(Path(sys.executable).parent), str(REPOSITORY / ".tools" / "bin"), os.environ.get("PATH", "")]
    return shutil.which(program, path=os.pathsep.join(places))
