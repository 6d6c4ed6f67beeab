"""What every client must be able to do with the registry: one suite, run by each client's own test file."""

import contextlib
from pathlib import Path
from typing import Protocol

import pytest

from tests.clients.api import Api
from tests.clients.clock import Clock
from tests.clients.images import Image, layers_of
from tests.clients.people import ADMIN, Account, People
from tests.clients.wire import Wire
from tests.tools import CommandFailed

GREETING = "carried by estiva"

# What clients say, each in its own words, where they are not let in.
REFUSED = r"(?i)unauthori[sz]ed|denied|forbidden|authentication required|invalid username/password|\b40[13]\b"
TOKENS_OVER = 600  # seconds; more than any token here lasts


class Client(Protocol):
    """A real client with a local store of its own, signed in as the administrator."""

    def login(self, host: str, account: Account) -> None:
        """Sign in as its users do; not every client asks the registry already now."""

    def logout(self, host: str) -> None:
        """Forget who signed in."""

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

    # Told that its token has expired, this client asks for another; others end with what they were told.
    renews_tokens = True

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

    def test_says_that_a_password_is_wrong(self, client: Client, wire: Wire, people: People, pushed: str) -> None:
        mistyped = people.join("AdministratorAccess").mistyped()

        with pytest.raises(CommandFailed, match=REFUSED):  # noqa: PT012 - the one or the other asks the registry
            client.login(wire.host, mistyped)
            client.pull(pushed)

    def test_pulls_but_cannot_push_for_who_may_only_pull(
        self, client: Client, wire: Wire, api: Api, puller: Account, pushed: str, another: Image, tmp_path: Path
    ) -> None:
        second = f"{wire.host}/team/app:2"
        client.take(another, second, tmp_path / "another")
        client.login(wire.host, puller)
        wire.clear()

        with pytest.raises(CommandFailed, match=REFUSED):
            client.push(second)

        assert wire.exchanges
        assert not wire.accepted()
        # Told that it may not, the client did not try again and again.
        assert len(wire.select("POST", "/blobs/uploads/")) <= len(another.files) + 1
        assert not api.has_manifest("team/app", "2")
        assert client.pull(pushed) == api.manifest("team/app", "1").digest

    def test_pulls_without_login_what_is_public_and_nothing_else(
        self, client: Client, wire: Wire, api: Api, people: People, pushed: str, another: Image, tmp_path: Path
    ) -> None:
        public = f"{wire.host}/public/app:1"
        client.take(another, public, tmp_path / "another")
        client.push(public)
        people.publish("public/app")
        client.logout(wire.host)

        assert client.pull(public) == api.manifest("public/app", "1").digest
        with pytest.raises(CommandFailed, match=REFUSED):
            client.pull(pushed)

    def test_pushes_anew_what_an_expired_token_ended(
        self, client: Client, aging_wire: Wire, clock: Clock, small: Image, tmp_path: Path
    ) -> None:
        reference = self._aging(client, aging_wire, small, tmp_path)
        aging_wire.before_the_next("POST", "/blobs/uploads/", lambda: clock.set(TOKENS_OVER))

        with contextlib.nullcontext() if self.renews_tokens else pytest.raises(CommandFailed, match=REFUSED):
            client.push(reference)

        assert aging_wire.select("POST", "/blobs/uploads/", 401)
        if not self.renews_tokens:
            client.push(reference)
        assert aging_wire.select("PUT", "/manifests/", 201)

    def test_pulls_or_says_why_not_when_its_token_expires(
        self, client: Client, aging_wire: Wire, clock: Clock, small: Image, tmp_path: Path
    ) -> None:
        reference = self._aging(client, aging_wire, small, tmp_path)
        client.push(reference)
        aging_wire.clear()
        aging_wire.before_the_next("GET", "/blobs/sha256:", lambda: clock.set(TOKENS_OVER))

        with contextlib.nullcontext() if self.renews_tokens else pytest.raises(CommandFailed, match=REFUSED):
            client.pull(reference)

        assert aging_wire.select("GET", "/blobs/sha256:", 401)

    def test_asks_for_tokens_as_often_as_it_finds_them_over(
        self, client: Client, aging_wire: Wire, clock: Clock, small: Image, tmp_path: Path
    ) -> None:
        clock.set(-TOKENS_OVER)  # so every token seems old to a client that looks at its times
        reference = self._aging(client, aging_wire, small, tmp_path)

        client.push(reference)

        assert aging_wire.select("PUT", "/manifests/", 201)
        asked = aging_wire.select("GET", "^/token") + aging_wire.select("POST", "^/token")
        assert len(asked) > len(small.files) or self.renews_tokens

    def _aging(self, client: Client, wire: Wire, image: Image, folder: Path) -> str:
        """The name of an image that the client has, and will push to the registry whose clock is set."""
        reference = f"{wire.host}/aging/{image.name}:1"
        client.login(wire.host, ADMIN)
        client.take(image, reference, folder / "image")
        return reference


class CopyingClientContract(ClientContract):
    """The suite for a client that copies by mounting."""

    # Before it mounts a layer, this client asks whether the target repository has it (the registry may link it then).
    asks_first = False
    # This client uploads an image's config, a few hundred bytes, even where it mounts the layers.
    sends_config = False
    # This client has the image in a store of its own, and can copy without asking the first repository for anything.
    keeps_images = False

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

    def test_mounts_nothing_from_a_repository_that_it_may_not_read(
        self, client: CopyingClient, wire: Wire, api: Api, people: People, pushed: str
    ) -> None:
        stored = api.manifest("team/app", "1").document
        client.login(wire.host, people.join_within("visitors"))
        wire.clear()

        with contextlib.nullcontext() if self.keeps_images else pytest.raises(CommandFailed, match=REFUSED):
            client.copy(pushed, f"{wire.host}/visitors/app:1")

        assert wire.exchanges
        assert wire.mounted() == set()
        assert wire.downloaded() == set()
        assert wire.found("team/app") == set()
        expected = sum(layer["size"] for layer in stored["layers"]) if self.keeps_images else 0
        assert wire.uploaded() >= expected
