"""Images pushed, pulled, copied and packed, with both clients, to both registries."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from estiva import (
    Client,
    ConnectionFailed,
    ContentInvalid,
    Credential,
    Descriptor,
    PackConfig,
    Platform,
    Progress,
)
from estiva.errors import DigestInvalid, ManifestUnknown, NameUnknown, Unauthorized
from tests.clients.images import Image, Layout, digest_of
from tests.estiva.client.conftest import Peer, clients
from tests.estiva.client.cutting import Cutter, cutting

BIG = 6 << 20


class Told(Progress):
    """Remembers how blobs went."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.sizes: dict[str, int] = {}
        self.bytes: Counter[str] = Counter()
        self._lock = threading.Lock()

    def began(self, blob: Descriptor) -> None:
        with self._lock:
            self.sizes[str(blob.digest)] = blob.size

    def moved(self, blob: Descriptor, count: int) -> None:
        with self._lock:
            self.bytes[str(blob.digest)] += count

    def ended(self, blob: Descriptor, outcome: str) -> None:
        with self._lock:
            self.outcomes[outcome] += 1


def layout(folder: Path, *, size: int = 70_000, architectures: tuple[str, ...] = ("amd64",)) -> Layout:
    files = (("big", os.urandom(size)), ("small", os.urandom(1000)), ("empty", b""))
    return Image(files).layout(folder, architectures=architectures)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "blobs" / "sha256").iterdir())}


def test_what_is_pushed_is_pulled_byte_for_byte(client: Client, repository: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source", architectures=("amd64", "arm64"))
    told = Told()
    pushed = client.push(source.folder, f"{repository}:1", progress=told)
    assert str(pushed.digest) == source.digest
    assert told.outcomes == {"done": len(told.sizes)}
    assert told.bytes == Counter({digest: size for digest, size in told.sizes.items() if size})

    pulled = client.pull(f"{repository}:1", tmp_path / "target")
    assert pulled == pushed
    assert contents(tmp_path / "target") == contents(source.folder)
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == ["blobs", "index.json", "oci-layout"]
    assert client.push(tmp_path / "target", f"{repository}:2", select="1") == pushed
    assert client.tags(repository) == ["1", "2"]


def test_what_is_there_is_not_sent_or_fetched_again(client: Client, repository: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source")
    client.push(source.folder, f"{repository}:1")
    told = Told()
    client.push(source.folder, f"{repository}:1", progress=told)
    client.pull(f"{repository}:1", source.folder, progress=told)
    assert set(told.outcomes) == {"exists"}
    assert not told.bytes


def test_a_blob_that_went_bad_on_this_side_is_fetched_again(client: Client, repository: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source")
    client.push(source.folder, f"{repository}:1")
    good = contents(source.folder)
    largest = max((source.folder / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(bytes(largest.stat().st_size))
    client.pull(f"{repository}:1", source.folder)
    assert contents(source.folder) == good


def test_one_platform_of_several_is_pulled(client: Client, repository: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source", architectures=("amd64", "arm64"))
    client.push(source.folder, f"{repository}:1")
    pulled = client.pull(f"{repository}:1", tmp_path / "target", platform="linux/arm64/v8")
    index = json.loads((tmp_path / "target" / "index.json").read_bytes())
    assert [entry["digest"] for entry in index["manifests"]] == [str(pulled.digest)]
    assert client.image(f"{repository}:1", platform="linux/arm64").digest == pulled.digest
    with pytest.raises(ManifestUnknown, match=r"linux/s390x, but for linux/amd64, linux/arm64$"):
        client.pull(f"{repository}:1", tmp_path / "target", platform=Platform("linux", "s390x"))


def test_an_image_is_looked_at(client: Client, repository: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "hello").write_text("hello")
    config = PackConfig(
        ["/hello"], ["you"], {"A": "1=2"}, "/work", "nobody", {"b": "c"}, ["80"], Platform("linux", "arm64")
    )
    pushed = client.pack(root, f"{repository}:1", config)
    image = client.image(f"{repository}:1", platform="linux/arm64")
    assert (image.digest, str(image.reference)) == (pushed.digest, f"{repository}:1")
    assert (image.config.entrypoint, image.config.command) == (("/hello",), ("you",))
    assert (image.config.environment, image.config.labels) == ({"A": "1=2"}, {"b": "c"})
    assert (image.config.working_directory, image.config.user) == ("/work", "nobody")
    assert (image.config.exposed_ports, str(image.config.platform)) == (("80/tcp",), "linux/arm64")
    assert [step.layer for step in image.history] == list(image.layers)
    layer = client.blob(repository, image.layers[0])
    assert len(layer) == image.size
    assert f"sha256:{hashlib.sha256(gzip.decompress(layer)).hexdigest()}" == image.config.diff_ids[0]


def test_an_archive_for_docker_load_is_pulled_and_pushed(client: Client, repository: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source", architectures=("amd64", "arm64"))
    client.push(source.folder, f"{repository}:1")
    pulled = client.pull_archive(f"{repository}:1", tmp_path / "image.tar", platform="linux/amd64")
    with tarfile.open(tmp_path / "image.tar") as tar:
        names = set(tar.getnames())
        file = tar.extractfile("manifest.json")
        assert file is not None
        (entry,) = json.loads(file.read())
    assert entry["RepoTags"] == [f"{repository}:1"]
    assert {entry["Config"], *entry["Layers"], "index.json", "oci-layout"} < names
    assert client.push(tmp_path / "image.tar", f"{repository}:2") == pulled
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.tar", "source"]


def test_what_older_docker_saved_is_pushed(client: Client, repository: str, tmp_path: Path) -> None:
    archive, layer = tmp_path / "saved.tar", _tar("file", os.urandom(50_000))
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)] * 2}}
    entry = {"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["2/layer.tar", "1/layer.tar"]}
    with tarfile.open(archive, "w") as tar:
        link = tarfile.TarInfo("2/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../1/layer.tar"
        tar.addfile(link)
        for name, content in (("1/layer.tar", layer), ("c.json", _json(config)), ("manifest.json", _json([entry]))):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    first = client.push(archive, f"{repository}:1")
    image = client.image(f"{repository}:1", platform="linux/amd64")
    assert [gzip.decompress(client.blob(repository, one)) for one in image.layers] == [layer, layer]
    assert client.push(archive, f"{repository}:2", select="a:1") == first
    with pytest.raises(ContentInvalid, match="choose one: a:1"):
        client.push(archive, f"{repository}:3", select="b:1")


def test_an_image_is_copied_within_the_registry_without_its_bytes(
    client: Client, repository: str, tmp_path: Path
) -> None:
    source = layout(tmp_path / "source", architectures=("amd64", "arm64"))
    client.push(source.folder, f"{repository}:1")
    told = Told()
    copied = client.copy(f"{repository}:1", f"{repository}/copy:2", progress=told)
    assert str(copied.digest) == source.digest
    assert not told.bytes
    assert set(told.outcomes) <= {"mounted", "exists"}
    client.pull(f"{repository}/copy:2", tmp_path / "target")
    assert contents(tmp_path / "target") == contents(source.folder)


def test_an_image_is_copied_to_another_registry(client: Client, peer: Peer, repository: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source")
    client.push(source.folder, f"{repository}:1")
    with cutting(int(peer.host.rpartition(":")[2])) as other:  # by another name it is another registry
        elsewhere = repository.replace(peer.host, other.host)
        client.copy(f"{repository}:1", f"{elsewhere}/copy:2")
        client.pull(f"{elsewhere}/copy:2", tmp_path / "target")
    assert contents(tmp_path / "target") == contents(source.folder)


def test_blobs_are_taken_over_from_another_repository(client: Client, repository: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source")
    client.push(source.folder, f"{repository}:1")
    told = Told()
    client.push(source.folder, f"{repository}/other:1", mount_from=[repository], progress=told)
    assert not told.bytes


def test_tags_and_deletion(client: Client, repository: str, tmp_path: Path) -> None:
    pushed = client.push(layout(tmp_path / "source").folder, f"{repository}:1")
    assert client.tag(f"{repository}:1", "b", "a") == pushed
    assert client.tags(repository) == ["1", "a", "b"]
    assert repository.partition("/")[2] in client.repositories(repository.partition("/")[0])
    client.delete(f"{repository}:a")
    assert client.tags(repository) == ["1", "b"]
    stored = client.manifest(f"{repository}@{pushed.digest}")
    assert stored.descriptor == pushed
    assert client.put_manifest(f"{repository}:c", stored.content, stored.media_type) == pushed
    client.delete(f"{repository}@{pushed.digest}")
    for _ in range(2):
        with pytest.raises(ManifestUnknown):
            client.delete(f"{repository}@{pushed.digest}")
        with pytest.raises(ManifestUnknown):
            client.image(f"{repository}:1")


def test_what_is_not_there(client: Client, repository: str, tmp_path: Path) -> None:
    with pytest.raises(NameUnknown):
        client.tags(f"{repository}/none")
    with pytest.raises((ManifestUnknown, NameUnknown)):
        client.pull(f"{repository}/none:1", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_files_are_an_artifact(client: Client, repository: str, tmp_path: Path) -> None:
    for name, content in (("a.txt", b"a"), ("b.bin", os.urandom(5000)), ("none", b"")):
        (tmp_path / name).write_bytes(content)
    files = [tmp_path / name for name in ("a.txt", "b.bin", "none")]
    client.push_files(f"{repository}:1", files, artifact_type="application/x", annotations={"k": "v"})
    document = json.loads(client.manifest(f"{repository}:1").content)
    assert (document["artifactType"], document["annotations"]) == ("application/x", {"k": "v"})
    written = client.pull_files(f"{repository}:1", tmp_path / "out")
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in files]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.txt", "b.bin", "none"]


def test_artifacts_refer_to_an_image(client: Client, repository: str, tmp_path: Path) -> None:
    client.push(layout(tmp_path / "source").folder, f"{repository}:1")
    assert client.referrers(f"{repository}:1") == []
    (tmp_path / "sbom").write_text("{}")
    sbom = client.attach(f"{repository}:1", [tmp_path / "sbom"], artifact_type="application/sbom")
    mark = client.attach(f"{repository}:1", [], artifact_type="application/mark", annotations={"k": "v"})
    found = {referrer.digest: referrer for referrer in client.referrers(f"{repository}:1")}
    assert set(found) == {sbom.digest, mark.digest}
    assert found[mark.digest].annotations == {"k": "v"}
    (only,) = client.referrers(f"{repository}:1", artifact_type="application/sbom")
    assert (only.digest, only.artifact_type) == (sbom.digest, "application/sbom")
    assert client.pull_files(f"{repository}@{only.digest}", tmp_path / "out")[0].read_text() == "{}"


def test_a_wrong_password(peer: Peer, kind: str, repository: str) -> None:
    wrong = Credential(peer.credential.username, "wrong")
    with clients(kind, credentials=lambda host: wrong) as client, pytest.raises(Unauthorized) as refusal:
        client.tags(repository)
    assert "wrong" not in str(refusal.value)
    with clients(kind, credentials=lambda host: None) as client, pytest.raises(Unauthorized):
        client.tags(repository)


def test_signing_in_and_out(
    peer: Peer, kind: str, repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with clients(kind) as client:
        with pytest.raises(Unauthorized):
            client.manifest(f"{repository}:1")
        with pytest.raises(Unauthorized):
            client.login(peer.host, peer.credential.username, "wrong")
        assert not (tmp_path / "config.json").exists()
        assert client.login(peer.host, peer.credential.username, peer.credential.password)
        with pytest.raises((ManifestUnknown, NameUnknown)):
            client.manifest(f"{repository}:1")
        assert client.logout(peer.host)
        assert not client.logout(peer.host)
        with pytest.raises(Unauthorized):
            client.manifest(f"{repository}:1")


def behind(cutter: Cutter, repository: str) -> str:
    return f"{cutter.host}/{repository.partition('/')[2]}"


def test_a_pull_that_breaks_goes_on_where_it_was(client: Client, peer: Peer, repository: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source", size=BIG)
    client.push(source.folder, f"{repository}:1")
    with cutting(int(peer.host.rpartition(":")[2])) as cutter:
        cutter.down = BIG // 2
        told = Told()
        client.pull(f"{behind(cutter, repository)}:1", tmp_path / "target", progress=told)
    assert cutter.cuts == 1
    (asked,) = cutter.headers(b"Range")
    assert 0 < int(asked.removeprefix(b"bytes=").rstrip(b"-")) < BIG
    assert contents(tmp_path / "target") == contents(source.folder)
    assert told.bytes == Counter({digest: size for digest, size in told.sizes.items() if size})


def test_another_process_goes_on_with_a_pull(client: Client, peer: Peer, repository: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source", size=BIG)
    client.push(source.folder, f"{repository}:1")
    good = contents(source.folder)
    name, content = max(good.items(), key=lambda item: len(item[1]))
    ingest = tmp_path / "target" / "ingest"
    ingest.mkdir(parents=True)
    (ingest / f"sha256-{name}").write_bytes(content[: BIG // 3])
    with cutting(int(peer.host.rpartition(":")[2])) as cutter:
        client.pull(f"{behind(cutter, repository)}:1", tmp_path / "target")
    assert cutter.headers(b"Range") == [f"bytes={BIG // 3}-".encode()]
    assert contents(tmp_path / "target") == good

    wrong = tmp_path / "wrong" / "ingest"
    wrong.mkdir(parents=True)
    (wrong / f"sha256-{name}").write_bytes(bytes(BIG // 3))
    with pytest.raises(DigestInvalid, match="something else"):
        client.pull(f"{repository}:1", tmp_path / "wrong")
    client.pull(f"{repository}:1", tmp_path / "wrong")
    assert contents(tmp_path / "wrong") == good


def test_a_push_that_breaks_goes_on_where_it_was(client: Client, peer: Peer, repository: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source", size=BIG)
    with cutting(int(peer.host.rpartition(":")[2])) as cutter:
        cutter.up = BIG // 2
        told = Told()
        client.push(source.folder, f"{behind(cutter, repository)}:1", progress=told)
    assert cutter.cuts == 1
    client.pull(f"{repository}:1", tmp_path / "target")
    assert contents(tmp_path / "target") == contents(source.folder)
    assert told.bytes == Counter({digest: size for digest, size in told.sizes.items() if size})
    # How much has arrived is the registry's to say; tests of the protocol hold the client to what it says.
    assert all(0 < int(sent.partition(b"-")[0]) < BIG for sent in cutter.headers(b"Content-Range"))


def _tar(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_another_process_goes_on_with_a_push(kind: str, peer: Peer, repository: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source", size=BIG)
    with cutting(int(peer.host.rpartition(":")[2])) as cutter:
        with clients(kind, credentials=peer.find, uploads=tmp_path / "uploads") as first:
            cutter.up, cutter.closed_after_cut = BIG // 2, True
            with pytest.raises(ConnectionFailed):
                first.push(source.folder, f"{behind(cutter, repository)}:1")
        assert len(list((tmp_path / "uploads").iterdir())) == 1
        cutter.closed_after_cut = False
        with clients(kind, credentials=peer.find, uploads=tmp_path / "uploads") as second:
            second.push(source.folder, f"{behind(cutter, repository)}:1")
            second.pull(f"{repository}:1", tmp_path / "target")
    assert contents(tmp_path / "target") == contents(source.folder)
    assert not list((tmp_path / "uploads").iterdir())
    # How much has arrived is the registry's to say; tests of the protocol hold the client to what it says.
    assert all(0 < int(sent.partition(b"-")[0]) < BIG for sent in cutter.headers(b"Content-Range"))
