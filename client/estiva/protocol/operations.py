"""What clients offer, as generators: text is parsed here, and the registry of each host is known here."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from estiva.credentials import Credential
from estiva.descriptor import Descriptor
from estiva.digest import Digest
from estiva.failures import ReferenceInvalid
from estiva.imagereference import ImageReference, base_url
from estiva.platform import Platform
from estiva.progress import Progress
from estiva.protocol import manifests, transfer
from estiva.protocol.answers import expect
from estiva.protocol.blobs import NoJournal, UploadJournal, get_blob
from estiva.protocol.manifests import StoredManifest
from estiva.protocol.registry import NOTHING, Registry
from estiva.protocol.steps import Call, Steps
from estiva.protocol.transfer import Pushing
from estiva.reference import Tag

if TYPE_CHECKING:
    from estiva.image import Image
    from estiva.packing import PackConfig
    from estiva.protocol.artifacts import Artifact

Name = str | ImageReference


class Operations:
    """Every operation of a client, before any I/O."""

    def __init__(
        self, find: Callable[[str], Credential | None], plain_http: bool | None, journal: UploadJournal | None
    ) -> None:
        self._find = find
        self._plain_http = plain_http
        self._journal = journal or NoJournal()
        self._registries: dict[str, Registry] = {}

    def sign_in(self, host: str, credential: Credential) -> Steps[None]:
        """Whether the registry lets the credential in; Unauthorized where not."""
        registry = Registry(host, base_url(host, self._plain_http), lambda _: credential)
        expect((yield from registry.ask("GET", "/v2/", NOTHING)), 200)
        self._registries.pop(host, None)

    def forget(self, host: str) -> None:
        """Ask with another credential from now on."""
        self._registries.pop(host, None)

    def push(
        self, source: str | Path, to: Name, chosen: str, mount_from: Sequence[str], progress: Progress | None
    ) -> Steps[Descriptor]:
        """A layout or an archive."""
        image = parsed(to)
        sources = tuple(image_of(name, image).repository for name in mount_from)
        how = Pushing(sources, progress or Progress(), self._journal)
        return (yield from transfer.push_path(self._at(image), image, Path(source), chosen, how))

    def pack(self, folder: str | Path, to: Name, config: "PackConfig", progress: Progress | None) -> Steps[Descriptor]:
        """An image made of a folder."""
        from estiva.packing import pack_folder

        image, how = parsed(to), Pushing((), progress or Progress(), self._journal)
        with transfer.workspace() as place:
            package = yield Call(lambda: pack_folder(Path(folder), config, place))
            return (yield from transfer.push_package(self._at(image), image, package, how))

    def pull(
        self, name: Name, folder: str | Path, platform: Platform | str | None, progress: Progress | None
    ) -> Steps[Descriptor]:
        """Into a layout."""
        image, wanted = parsed(name), as_platform(platform)
        return (yield from transfer.pull_layout(self._at(image), image, Path(folder), wanted, progress or Progress()))

    def pull_archive(
        self, name: Name, file: str | Path, platform: Platform | str | None, progress: Progress | None
    ) -> Steps[Descriptor]:
        """Into what docker load reads."""
        image, wanted = parsed(name), as_platform(platform)
        return (yield from transfer.pull_archive(self._at(image), image, Path(file), wanted, progress or Progress()))

    def copy(self, name: Name, to: Name, progress: Progress | None) -> Steps[Descriptor]:
        """From one repository to another."""
        image, target = parsed(name), parsed(to)
        how = Pushing((), progress or Progress(), self._journal)
        return (yield from transfer.copy_image(self._at(image), image, self._at(target), target, how))

    def tag(self, name: Name, tags: Sequence[str]) -> Steps[Descriptor]:
        """Further tags."""
        image, wanted = parsed(name), [Tag.parse(tag) for tag in tags]
        stored = yield from manifests.resolve(self._at(image), image)
        for tag in wanted:
            yield from manifests.put_manifest(self._at(image), image.repository, tag, stored)
        return stored.descriptor

    def push_files(self, to: Name, artifact: "Artifact", progress: Progress | None) -> Steps[Descriptor]:
        """An artifact."""
        from estiva.protocol import artifacts

        image, how = parsed(to), Pushing((), progress or Progress(), self._journal)
        return (yield from artifacts.push_artifact(self._at(image), image, artifact, how))

    def attach(self, name: Name, artifact: "Artifact", progress: Progress | None) -> Steps[Descriptor]:
        """An artifact that refers to an image."""
        from estiva.protocol import artifacts

        image, how = parsed(name), Pushing((), progress or Progress(), self._journal)
        return (yield from artifacts.attach_artifact(self._at(image), image, artifact, how))

    def pull_files(self, name: Name, folder: str | Path, progress: Progress | None) -> Steps[list[Path]]:
        """The files of an artifact."""
        from estiva.protocol import artifacts

        image = parsed(name)
        return (yield from artifacts.pull_artifact(self._at(image), image, Path(folder), progress or Progress()))

    def referrers(self, name: Name, artifact_type: str) -> Steps[list[Descriptor]]:
        """What refers to an image."""
        image = parsed(name)
        digest = image.reference
        if not isinstance(digest, Digest):
            digest = (yield from manifests.resolve(self._at(image), image)).digest
        return (yield from manifests.list_referrers(self._at(image), image.repository, digest, artifact_type))

    def tags(self, name: Name) -> Steps[list[str]]:
        """Every tag."""
        image = parsed(name)
        return (yield from manifests.list_tags(self._at(image), image.repository))

    def repositories(self, host: str) -> Steps[list[str]]:
        """Every repository."""
        return (yield from manifests.list_repositories(self._of(host)))

    def manifest(self, name: Name) -> Steps[StoredManifest]:
        """The manifest."""
        image = parsed(name)
        return (yield from manifests.resolve(self._at(image), image))

    def put_manifest(self, name: Name, content: bytes, media_type: str) -> Steps[Descriptor]:
        """A manifest of one's own."""
        image, stored = parsed(name), StoredManifest(Digest.of(content), media_type, content)
        reference = image.reference or stored.digest
        yield from transfer.push_manifest(self._at(image), image.repository, reference, stored)
        return stored.descriptor

    def blob(self, name: Name, blob: Descriptor) -> Steps[bytes]:
        """A small blob."""
        image = parsed(name)
        return (yield from get_blob(self._at(image), image.repository, blob))

    def delete(self, name: Name) -> Steps[None]:
        """A tag or a manifest."""
        image = parsed(name)
        if image.reference is None:
            raise ReferenceInvalid(f"{image} names no tag or digest to delete")
        yield from manifests.delete_manifest(self._at(image), image.repository, image.reference)

    def image(self, name: Name, platform: Platform | str | None) -> "Steps[Image]":
        """An image with its config."""
        image = parsed(name)
        return (yield from transfer.read_image(self._at(image), image, as_platform(platform)))

    def _at(self, image: ImageReference) -> Registry:
        return self._of(image.host)

    def _of(self, host: str) -> Registry:
        if host not in self._registries:
            self._registries[host] = Registry(host, base_url(host, self._plain_http), self._find)
        return self._registries[host]


def parsed(name: Name) -> ImageReference:
    """The reference in a text; ReferenceInvalid where there is none."""
    return name if isinstance(name, ImageReference) else ImageReference.parse(name)


def image_of(name: str, image: ImageReference) -> ImageReference:
    """A repository beside another's: its name, with or without the host."""
    return ImageReference.parse(name if name.startswith(f"{image.host}/") else f"{image.host}/{name}")


def as_platform(platform: Platform | str | None) -> Platform | None:
    """The platform in a text; ReferenceInvalid where there is none."""
    return Platform.parse(platform) if isinstance(platform, str) else platform
