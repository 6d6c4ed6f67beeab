"""What every client must be able to do with the registry: one suite, run by each client's own test file."""

from pathlib import Path
from typing import Protocol

import pytest

from tests.clients.api import Api
from tests.clients.images import Image, layers_of
from tests.clients.wire import Wire
from tests.tools import CommandFailed

GREETING = "carried by estiva"


class Client(Protocol):
    """A real client with a local store of its own."""

    def take(self, image: Image, reference: str, folder: Path) -> None:
        """Have the image in the local store under this name; `folder` is scratch space."""

    def push(self, reference: str) -> None:
        """Push it."""

    def pull(self, reference: str) -> str:
        """Forget the local copy, pull, and say which manifest digest the client got."""

    def delete(self, reference: str) -> None:
        """Delete the manifest: with the client, where it can."""


class CopyingClient(Client, Protocol):
    """A client that knows that a registry can hold one blob in two repositories."""

    def copy(self, source: str, target: str) -> None:
        """Bring what was pushed as `source` to `target`, another repository of the same registry."""


class ClientContract:
    """The suite; a subclass has a fixture `client`."""

    @pytest.fixture
    def pushed(self, client: Client, wire: Wire, image: Image, tmp_path: Path) -> str:
        """The reference of an image that the client pushed."""
        reference = f"{wire.host}/team/app:1"
        client.take(image, reference, tmp_path / "image")
        client.push(reference)
        return reference

    def test_pulls_back_what_it_pushed_with_equal_digest(
        self, client: Client, wire: Wire, api: Api, pushed: str
    ) -> None:
        stored = api.manifest("team/app", "1")
        wire.clear()

        assert client.pull(pushed) == stored.digest
        assert layers_of(stored.document) <= wire.downloaded()

    def test_uploads_nothing_when_it_pushes_again(self, client: Client, wire: Wire, pushed: str) -> None:
        assert wire.uploaded() > 0
        wire.clear()

        client.push(pushed)

        assert wire.exchanges
        assert wire.uploaded() == 0

    def test_cannot_pull_what_was_deleted(self, client: Client, api: Api, pushed: str) -> None:
        stored = api.manifest("team/app", "1")

        client.delete(pushed)

        assert not api.has_manifest("team/app", "1")
        assert not api.has_manifest("team/app", stored.digest)
        with pytest.raises(CommandFailed, match=r"(?i)manifest[ _]unknown|not found|404"):
            client.pull(pushed)


class CopyingClientContract(ClientContract):
    """The suite for a client that copies by mounting."""

    # Before it mounts a layer, this client asks whether the target repository has it (the registry may link it then).
    asks_first = False
    # This client uploads an image's config, a few hundred bytes, even where it mounts the layers.
    sends_config = False

    def test_copies_to_a_second_repository_without_uploading(
        self, client: CopyingClient, wire: Wire, api: Api, pushed: str
    ) -> None:
        stored = api.manifest("team/app", "1")
        wire.clear()

        client.copy(pushed, f"{wire.host}/other/app:2")

        assert api.manifest("other/app", "2").digest == stored.digest
        assert wire.uploaded() <= (stored.document["config"]["size"] if self.sends_config else 0)
        linked = wire.mounted() | (wire.found("other/app") if self.asks_first else set())
        assert linked >= layers_of(stored.document)
