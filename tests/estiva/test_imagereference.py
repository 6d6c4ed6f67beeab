import pytest

from estiva.failures import ReferenceInvalid
from estiva.imagereference import ImageReference, base_url

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("localhost/a", "localhost/a"),
        ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b:1"),
        (f"reg.test/a@{DIGEST}", f"reg.test/a@{DIGEST}"),
        (f"reg.test/a:1@{DIGEST}", f"reg.test/a@{DIGEST}"),
        ("[::1]:5000/a:1", "[::1]:5000/a:1"),
        ("alpine", "docker.io/library/alpine"),
        ("alpine:3", "docker.io/library/alpine:3"),
        ("grafana/grafana:9", "docker.io/grafana/grafana:9"),
    ],
)
def test_references_are_read_as_docker_does(text: str, written: str) -> None:
    assert str(ImageReference.parse(text)) == written


@pytest.mark.parametrize(
    "text", ["", ":", "/", "a:", "a:1:2", "reg.test/", "reg.test/A", "a@sha256:12", "a@", "reg.test/a b", "a" * 300]
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ReferenceInvalid, match="no image reference"):
        ImageReference.parse(text)


@pytest.mark.parametrize(
    ("host", "plain", "url"),
    [
        ("localhost:5000", None, "http://localhost:5000"),
        ("127.0.0.9", None, "http://127.0.0.9"),
        ("[::1]:5000", None, "http://[::1]:5000"),
        ("localhost", False, "https://localhost"),
        ("reg.test", None, "https://reg.test"),
        ("reg.test", True, "http://reg.test"),
        ("127.0.0.1.reg.test", None, "https://127.0.0.1.reg.test"),
        ("docker.io", None, "https://registry-1.docker.io"),
    ],
)
def test_only_the_loopback_interface_is_spoken_to_without_encryption(host: str, plain: bool | None, url: str) -> None:
    assert base_url(host, plain) == url
