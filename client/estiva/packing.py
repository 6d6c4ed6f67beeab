"""Images made of a folder, without a daemon: one layer, the same bytes for the same files."""

import gzip
import hashlib
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from estiva import mediatypes
from estiva.descriptor import Descriptor
from estiva.digest import Algorithm, Digest
from estiva.failures import ContentInvalid
from estiva.layout import Package
from estiva.platform import Platform
from estiva.protocol.blobs import OutgoingBlob
from estiva.protocol.manifests import StoredManifest
from estiva.protocol.steps import FileSlice

_LEVEL = 6
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class PackConfig:
    """How a container of the packed image is run, and for which platform it is; ContentInvalid where a port is none."""

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = ""
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: Sequence[str] = ()
    platform: Platform = field(default_factory=Platform.of_containers_here)

    def __post_init__(self) -> None:
        for port in self.exposed_ports:
            if not _is_port(port):
                raise ContentInvalid(f"{port!r} is no port such as 80 or 53/udp")


def pack_folder(folder: Path, config: PackConfig, workspace: Path) -> Package:
    """The image of a folder; ContentInvalid where it can't be read or holds what no layer can.

    Names are sorted, owners are root, and all times are that of `SOURCE_DATE_EPOCH` or 1970, so that the same files and
    config make the same digests (of the compressed layer, with the same version of zlib).
    """
    if not folder.is_dir():
        raise ContentInvalid(f"{folder} is no folder")
    layer = workspace / "layer.tar.gz"
    moment = _moment()
    with layer.open("wb") as raw:
        outer = _Hashing(raw)
        with gzip.GzipFile("", "wb", _LEVEL, cast(IO[bytes], outer), mtime=0) as packed:
            inner = _Hashing(cast(IO[bytes], packed))
            _write_layer(folder, inner, moment)
    digest = Digest(Algorithm.SHA256, outer.hash.hexdigest())
    described = Descriptor(mediatypes.OCI_LAYER_GZIP, digest, outer.size)
    content = _compact(_config(config, f"sha256:{inner.hash.hexdigest()}", moment))
    return _package(OutgoingBlob(described, FileSlice(layer, 0, outer.size)), content, config.platform)


class _Hashing:
    """A file that passes on what is written to it, and knows its hash and size."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes) -> int:
        self.hash.update(piece)
        self.size += len(piece)
        self._file.write(piece)
        return len(piece)

    def flush(self) -> None:
        self._file.flush()


def _write_layer(folder: Path, file: _Hashing, moment: int) -> None:
    try:
        with tarfile.open(fileobj=cast(IO[bytes], file), mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for path in _walk(folder):
                _add(tar, path, path.relative_to(folder).as_posix(), moment)
    except OSError as error:
        raise ContentInvalid(f"cannot read {error.filename or folder}: {error.strerror}") from None


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda path: path.name.encode(errors="surrogateescape")):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _add(tar: tarfile.TarFile, path: Path, name: str, moment: int) -> None:
    member: tarfile.TarInfo | None = tar.gettarinfo(path, name)  # None for a socket, whatever its type says
    if member is None or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise ContentInvalid(f"{path} is no file, folder or link: a device or socket can't be packed")
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = moment
    if not member.isreg():
        tar.addfile(member)
        return
    with path.open("rb") as content:
        tar.addfile(member, content)


def _config(config: PackConfig, diff_id: str, moment: int) -> dict[str, Any]:
    created = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    run = {
        "User": config.user,
        "ExposedPorts": {_port(port): {} for port in sorted(config.exposed_ports)},
        "Env": [f"{name}={value}" for name, value in config.environment.items()],
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.command),
        "WorkingDir": config.working_directory,
        "Labels": dict(sorted(config.labels.items())),
    }
    return {
        "created": created,
        "architecture": config.platform.architecture,
        "os": config.platform.os,
        **({"variant": config.platform.variant} if config.platform.variant else {}),
        "config": {name: value for name, value in run.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "estiva pack"}],
    }


def _is_port(text: str) -> bool:
    number, slash, protocol = text.partition("/")
    return (
        number.isascii()
        and number.isdecimal()
        and 0 < int(number) <= _HIGHEST_PORT
        and (not slash or protocol in ("tcp", "udp", "sctp"))
    )


def _port(port: str) -> str:
    return port if "/" in port else f"{port}/tcp"


def _package(layer: OutgoingBlob, config: bytes, platform: Platform) -> Package:
    described = Descriptor(mediatypes.OCI_CONFIG, Digest.of(config), len(config))
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": described.as_json(),
        "layers": [layer.descriptor.as_json()],
    }
    content = _compact(document)
    root = StoredManifest(Digest.of(content), mediatypes.OCI_MANIFEST, content)
    return Package(root, (), (OutgoingBlob(described, config), layer))


def _compact(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _moment() -> int:
    text = os.environ.get("SOURCE_DATE_EPOCH", "0")
    if not text.isdecimal():
        raise ContentInvalid("SOURCE_DATE_EPOCH is no number of seconds since 1970")
    return int(text)
