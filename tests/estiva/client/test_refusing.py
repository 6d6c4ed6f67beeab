"""What does not fit is refused before anything is moved: platforms, ports, media types."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from estiva import Client, ContentInvalid, PackConfig, Platform
from estiva.errors import ManifestUnknown
from estiva.mediatypes import OCI_INDEX


def test_an_image_for_one_platform_is_not_taken_for_anothers(
    client: Client, repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    name = f"{repository}:1"
    pushed = client.pack(tmp_path / "root", name, PackConfig(platform=Platform("linux", "s390x")))
    asked: list[Callable[..., object]] = [
        lambda platform: client.pull(name, tmp_path / "target", platform=platform),
        lambda platform: client.pull_archive(name, tmp_path / "image.tar", platform=platform),
        lambda platform: client.image(name, platform=platform),
    ]
    for ask in asked:
        with pytest.raises(ManifestUnknown, match=r":1 is an image for linux/s390x alone, not for linux/arm64$"):
            ask("linux/arm64")
        ask("linux/s390x")
        ask(None)
    files = client.push_files(f"{repository}:files", [tmp_path / "image.tar"])
    assert client.pull(f"{repository}:files", tmp_path / "files", platform="linux/arm64") == files
    assert client.pull(name, tmp_path / "target") == pushed


@pytest.mark.parametrize(
    ("offered", "wanted", "same"),
    [
        (("linux", "arm", ""), "linux/arm/v6", True),
        (("linux", "arm", "v7"), "linux/arm/v6", False),
        (("linux", "arm64", "v8"), "linux/arm64", True),
        (("", "", ""), "linux/arm64", True),
        (("windows", "amd64", ""), "linux/amd64", False),
    ],
)
def test_a_config_that_says_less_is_believed(
    client: Client, repository: str, tmp_path: Path, offered: tuple[str, str, str], wanted: str, same: bool
) -> None:
    (tmp_path / "root").mkdir()
    client.pack(tmp_path / "root", f"{repository}:1", PackConfig(platform=Platform(*offered)))
    with nullcontext() if same else pytest.raises(ManifestUnknown):
        client.pull(f"{repository}:1", tmp_path / "target", platform=wanted)


def test_an_index_is_believed_whatever_the_images_own_config_says(
    client: Client, repository: str, tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    pushed = client.pack(tmp_path / "root", f"{repository}:1", PackConfig(platform=Platform("linux", "s390x")))
    entry = {**pushed.as_json(), "platform": {"os": "linux", "architecture": "arm64"}}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    client.put_manifest(f"{repository}:index", json.dumps(index).encode(), OCI_INDEX)
    assert client.pull(f"{repository}:index", tmp_path / "target", platform="linux/arm64") == pushed


@pytest.mark.parametrize("port", ["x", "", "0", "65536", "80/", "80/http", "8 0", "-1", "\N{SUPERSCRIPT TWO}"])
def test_what_is_no_port_is_not_packed(port: str) -> None:
    with pytest.raises(ContentInvalid, match="is no port such as 80 or 53/udp"):
        PackConfig(exposed_ports=[port])


@pytest.mark.parametrize(
    "text", ["", "x", "bad type", "a/", "/b", "a/b; charset=utf-8", "a/b/c", "a/" + "b" * 128, "a/b\n"]
)
def test_what_is_no_media_type_is_not_pushed(client: Client, repository: str, tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text("hello")
    with pytest.raises(ContentInvalid, match="is no media type such as application/octet-stream"):
        client.push_files(f"{repository}:1", [tmp_path / "file"], artifact_type=text)
    with pytest.raises(ContentInvalid, match="is no media type such as application/octet-stream"):
        client.push_files(f"{repository}:1", [tmp_path / "file"], media_type=text)
