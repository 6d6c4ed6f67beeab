"""Images made of folders."""

import gzip
import io
import os
import socket
import tarfile
from pathlib import Path

import pytest

from estiva.failures import ContentInvalid, ReferenceInvalid
from estiva.layout import Package
from estiva.packing import PackConfig, pack_folder
from estiva.platform import Platform
from estiva.protocol.steps import FileSlice

LINUX = PackConfig(platform=Platform("linux", "amd64"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "program").write_text("#!/bin/sh\n")
    (folder / "b" / "program").chmod(0o755)
    (folder / "a").symlink_to("b/program")
    (folder / "c").write_text("")
    return folder


def packed(folder: Path, workspace: Path) -> Package:
    workspace.mkdir(exist_ok=True)
    return pack_folder(folder, LINUX, workspace)


def members(package: Package) -> list[tarfile.TarInfo]:
    source = package.blobs[-1].source
    assert isinstance(source, FileSlice)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(source.path.read_bytes()))) as tar:
        return tar.getmembers()


def test_a_layer_holds_the_folder_sorted_and_owned_by_root(folder: Path, tmp_path: Path) -> None:
    found = members(packed(folder, tmp_path / "work"))
    assert [member.name for member in found] == ["a", "b", "b/program", "c"]
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in found} == {(0, 0, "", 0)}
    assert found[0].linkname == "b/program"
    assert found[2].mode == 0o755


def test_the_same_files_are_the_same_image(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = packed(folder, tmp_path / "one").root
    os.utime(folder / "c", (1, 1))
    assert packed(folder, tmp_path / "two").root == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    dated = packed(folder, tmp_path / "three")
    assert dated.root != first
    assert {member.mtime for member in members(dated)} == {86400}
    assert b'"created":"1970-01-02T00:00:00Z"' in bytes(
        dated.blobs[0].source if isinstance(dated.blobs[0].source, bytes) else b""
    )
    (folder / "c").chmod(0o600)
    assert packed(folder, tmp_path / "four").root != dated.root


def test_what_can_not_be_packed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ContentInvalid, match="is no folder"):
        pack_folder(folder / "c", LINUX, tmp_path)
    os.mkfifo(folder / "pipe")
    with pytest.raises(ContentInvalid, match=r"pipe is no file, folder or link"):
        pack_folder(folder, LINUX, tmp_path)
    (folder / "pipe").unlink()
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(ContentInvalid, match="socket is no file"):
            pack_folder(folder, LINUX, tmp_path)
    (folder / "socket").unlink()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(ContentInvalid, match="SOURCE_DATE_EPOCH"):
        pack_folder(folder, LINUX, tmp_path)


@pytest.mark.parametrize(
    ("asked", "offered", "fits"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/x86_64", "linux/amd64", True),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/amd64", "linux/amd64/v3", False),
    ],
)
def test_platforms_fit(asked: str, offered: str, fits: bool) -> None:
    assert Platform.parse(asked).matches(Platform.parse(offered)) == fits


@pytest.mark.parametrize("text", ["", "linux", "linux/", "a/b/c/d", "linux/am d64", "/amd64"])
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(ReferenceInvalid, match="no platform such as"):
        Platform.parse(text)
