"""Layouts and archives that are not what they should be."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from estiva.descriptor import Descriptor
from estiva.digest import Digest
from estiva.dockerarchive import saved_image
from estiva.errors import DigestInvalid, ManifestInvalid
from estiva.failures import ContentInvalid
from estiva.imagereference import ImageReference
from estiva.incoming import IncomingBlob
from estiva.layout import LayoutWriter, read_package, shelf_of
from estiva.progress import Progress
from estiva.protocol.artifacts import pull_artifact
from estiva.protocol.registry import Registry
from estiva.protocol.steps import Response
from tests.clients.images import Image, Layout
from tests.estiva.protocol.asking import Script, answer

CONTENT = b"0123456789"
BLOB = Descriptor("x", Digest.of(CONTENT), len(CONTENT))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Image((("a", b"a"),)).layout(tmp_path / "layout")


def read(path: Path, chosen: str = "") -> Any:
    return read_package(shelf_of(path), chosen)


def blob_of(layout: Layout, size: int) -> Path:
    return next(path for path in (layout.folder / "blobs" / "sha256").iterdir() if path.stat().st_size == size)


def test_a_layout_is_the_same_as_a_folder_and_as_a_file(layout: Layout, tmp_path: Path) -> None:
    assert read(layout.folder).root == read(layout.archive(tmp_path / "layout.tar")).root
    assert read(layout.folder, "image").root == read(layout.folder, layout.digest).root


def test_what_is_damaged_is_named(layout: Layout) -> None:
    path = layout.folder / "blobs" / "sha256" / layout.digest.removeprefix("sha256:")
    good = path.read_bytes()
    path.write_bytes(good.replace(b"layers", b"Layers"))
    with pytest.raises(ContentInvalid, match="has something else under sha256"):
        read(layout.folder)
    path.write_bytes(good[:-1])
    with pytest.raises(ContentInvalid, match="bytes, not"):
        read(layout.folder)
    path.unlink()
    with pytest.raises(ContentInvalid, match=f"lacks {layout.digest}"):
        read(layout.folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"manifests": 1}', '{"manifests": [1]}', '{"manifests": [{}]}', "{}", '{"manifests": []}']
)
def test_an_index_that_is_none(layout: Layout, text: str) -> None:
    (layout.folder / "index.json").write_text(text)
    with pytest.raises(ContentInvalid):
        read(layout.folder)


def test_one_of_several_has_to_be_chosen(layout: Layout, tmp_path: Path) -> None:
    other = Image((("b", b"b"),)).layout(tmp_path / "other", tag="second")
    for path in (other.folder / "blobs" / "sha256").iterdir():
        (layout.folder / "blobs" / "sha256" / path.name).write_bytes(path.read_bytes())
    stored = read(other.folder).root
    LayoutWriter(layout.folder).finish(stored.descriptor, "second")
    with pytest.raises(ContentInvalid, match="choose one: image, second"):
        read(layout.folder)
    with pytest.raises(ContentInvalid, match="holds no image third, but image, second"):
        read(layout.folder, "third")
    assert read(layout.folder, "second").root == stored
    LayoutWriter(layout.folder).finish(stored.descriptor, "image")
    assert read(layout.folder).root == stored


def test_what_is_neither_a_layout_nor_an_archive(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 2000)
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(ContentInvalid, match="no tar file, or a compressed one"):
        shelf_of(tmp_path / "file")
    with pytest.raises(ContentInvalid, match="no OCI image layout"):
        shelf_of(tmp_path)
    with pytest.raises(ContentInvalid, match="neither an OCI layout nor what docker save writes"):
        saved_image(shelf_of(tmp_path / "empty.tar"))
    with tarfile.open(tmp_path / "loop.tar", "w") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.type, member.linkname = tarfile.SYMTYPE, "manifest.json"
        tar.addfile(member)
    with pytest.raises(ContentInvalid):
        saved_image(shelf_of(tmp_path / "loop.tar"))


def incoming(folder: Path) -> IncomingBlob:
    return IncomingBlob(BLOB, folder / "partial", folder / "deep" / "target", lambda count: None).open()


def test_a_blob_has_its_name_only_when_all_of_it_is_there(tmp_path: Path) -> None:
    blob = incoming(tmp_path)
    assert blob.accept(Response(200, {}))
    blob.write(memoryview(CONTENT[:4]))
    blob.close()
    again = incoming(tmp_path)
    assert again.offset == 4
    assert not again.accept(Response(206, {"content-range": "bytes 5-9/10"}))
    assert not again.accept(Response(404, {}))
    assert again.accept(Response(206, {"content-range": "bytes 4-9/10"}))
    again.write(memoryview(CONTENT[4:]))
    assert not (tmp_path / "deep").exists()
    again.finish()
    again.close()
    assert (tmp_path / "deep" / "target").read_bytes() == CONTENT
    assert not (tmp_path / "partial").exists()


def test_more_than_there_should_be_and_something_else(tmp_path: Path) -> None:
    blob = incoming(tmp_path)
    with pytest.raises(DigestInvalid, match="more than the 10 bytes"):
        blob.write(memoryview(CONTENT + b"x"))
    blob.write(memoryview(bytes(10)))
    with pytest.raises(DigestInvalid, match="something else"):
        blob.finish()
    blob.close()
    assert not list(tmp_path.iterdir())


def test_a_registry_that_knows_no_ranges_sends_all_of_it_again(tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(CONTENT[:4])
    blob = incoming(tmp_path)
    assert blob.accept(Response(200, {}))
    assert blob.offset == 0
    blob.write(memoryview(CONTENT))
    blob.finish()
    blob.close()


def test_two_pulls_do_not_write_to_one_file(tmp_path: Path) -> None:
    blob = incoming(tmp_path)
    with pytest.raises(ContentInvalid, match="another pull is writing"):
        incoming(tmp_path)
    blob.close()


@pytest.mark.parametrize("title", ["../x", "/etc/passwd", "a/../../x", "..", "a\\..\\x"])
def test_an_artifact_writes_nothing_outside_of_the_folder(tmp_path: Path, title: str) -> None:
    layer = {**BLOB.as_json(), "annotations": {"org.opencontainers.image.title": title}}
    media_type = "application/vnd.oci.image.manifest.v1+json"
    document = {"schemaVersion": 2, "mediaType": media_type, "config": BLOB.as_json(), "layers": [layer]}
    script = Script([answer(200, {"Content-Type": media_type}, json.dumps(document).encode())])
    registry = Registry("reg.test", "https://reg.test", lambda host: None)
    with pytest.raises(ManifestInvalid, match="outside of the folder"):
        script.run(pull_artifact(registry, ImageReference.parse("reg.test/a:1"), tmp_path / "out", Progress()))
    assert not (tmp_path / "out").exists()
