"""containerd with estiva as the mirror of another registry: `hosts.toml`, and `?ns=` in what it asks."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.engines import containerd
from tests.clients.images import Image
from tests.clients.people import ADMIN
from tests.clients.test_containerd import LOCAL
from tests.clients.wire import Wire
from tests.security.secured import Secured, secured
from tests.serving import OPEN, Registry, registry_running
from tests.tools import CommandFailed, run

# Without this the client that ctr asks (containerd's own, from 1.7 on) reads no folder of the command line's.
HOSTS = """server = "http://{upstream}"

[host."http://{mirror}"]
  capabilities = ["pull", "resolve"]
"""


@dataclass(frozen=True)
class Mirrored:
    """A registry behind a recording proxy, and its mirror behind another; `ctr` pulls as `hosts.toml` says."""

    upstream: Wire
    mirror: Wire
    served: Secured
    command: list[str]
    hosts: Path

    def ctr(self, *words: str | Path) -> str:
        return run([*self.command, *words]).strip()

    def reference(self, name: str) -> str:
        return f"{self.upstream.host}/{name}"

    def push(self, image: Image, name: str, folder: Path) -> str:
        """The image in the upstream, and its digest."""
        base, _, tag = self.reference(name).rpartition(":")
        layout = image.layout(folder, tag=tag)
        archive = layout.archive(folder.with_suffix(".tar"))
        self.ctr("images", "import", LOCAL, "--no-unpack", "--base-name", base, archive)
        self.ctr("images", "push", LOCAL, "--plain-http", self.reference(name))
        self.forget(name)
        return layout.digest

    def forget(self, name: str) -> None:
        self.ctr("images", "remove", "--sync", self.reference(name))
        self.upstream.clear()
        self.mirror.clear()

    def pull(self, name: str) -> str:
        """Pull as a node of a cluster does: the digest."""
        user = f"{ADMIN.name}:{ADMIN.password}"
        options: list[str | Path] = [LOCAL, "--hosts-dir", self.hosts, "--skip-verify", "--user", user]
        self.ctr("images", "pull", *options, self.reference(name))
        (line,) = self.ctr("images", "list", f"name=={self.reference(name)}").splitlines()[1:]
        return line.split()[2]


@pytest.fixture(scope="module")
def upstream(scratch: Path) -> Iterator[Registry]:
    folder = scratch / "upstream"
    folder.mkdir()
    with registry_running(folder, settings=OPEN) as running:
        yield running


@pytest.fixture(scope="module")
def mirrored(scratch: Path, upstream: Registry, require_tool: Callable[[str], str]) -> Iterator[Mirrored]:
    require_tool("runc")
    folder = scratch / "mirror"
    folder.mkdir()
    settings = {"private_upstreams": "true", "admin_password": ADMIN.password, "pull_through_fresh": "0"}
    with secured(folder, **settings) as served, Wire(upstream.port).open() as first, Wire(served.port).open() as second:
        rule = {"prefix": "cached", "upstream": f"http://{first.host}"}
        served.done("POST", "/pull-through-rules", rule)
        hosts = folder / "hosts"
        (hosts / first.host).mkdir(parents=True)
        (hosts / first.host / "hosts.toml").write_text(HOSTS.format(upstream=first.host, mirror=second.host))
        with containerd(scratch / "mirror-containerd") as command:
            yield Mirrored(first, second, served, command, hosts)


def test_containerd_pulls_another_registrys_image_from_the_mirror(
    mirrored: Mirrored, image: Image, tmp_path: Path
) -> None:
    digest = mirrored.push(image, "team/app:1", tmp_path / "image")
    assert mirrored.pull("team/app:1") == digest
    asked = [one for one in mirrored.mirror.exchanges if one.target.startswith("/v2/team/app/")]
    assert asked
    namespace = mirrored.upstream.host.replace(":", "%3A")
    assert all(f"ns={namespace}" in one.target for one in asked)
    # The upstream was asked by the mirror alone: each blob once, whatever containerd does.
    blobs = [one.target for one in mirrored.upstream.select("GET", "/blobs/")]
    assert len(blobs) == len(set(blobs)) == len(mirrored.mirror.downloaded())
    assert not any("ns=" in one.target for one in mirrored.upstream.exchanges)
    described = json.loads(mirrored.served.done("GET", "/v2/cached/team/app/tags/list").body)
    assert described["tags"] == ["1"]


def test_what_the_mirror_has_is_pulled_while_the_registry_is_gone(
    mirrored: Mirrored, upstream: Registry, small: Image, tmp_path: Path
) -> None:
    digest = mirrored.push(small, "team/kept:1", tmp_path / "image")
    assert mirrored.pull("team/kept:1") == digest
    mirrored.forget("team/kept:1")
    upstream.process.terminate()
    upstream.process.wait(30)
    assert mirrored.pull("team/kept:1") == digest
    mirrored.forget("team/kept:1")
    with pytest.raises(CommandFailed):
        mirrored.pull("team/never:1")
