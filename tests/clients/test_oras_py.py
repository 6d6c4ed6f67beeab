"""oras-py, the Python client of oras, driven by the command in `oraspy.py`."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.api import Api
from tests.clients.contract import Client, ClientContract
from tests.clients.images import Image, digest_of
from tests.clients.people import ADMIN, Account
from tests.clients.wire import Wire
from tests.tools import absent, run


class OrasPy:
    """oras-py keeps nothing: what it pushes and pulls are files."""

    def __init__(self, api: Api, folder: Path) -> None:
        self._api = api
        self._folder = folder
        self._files: dict[str, list[Path]] = {}

    def run(self, *words: str | Path) -> Any:
        program = Path(__file__).with_name("oraspy.py")
        return json.loads(run([sys.executable, program, *words], environment={"HOME": str(self._folder)}))

    def login(self, host: str, account: Account) -> None:
        self.run("login", host, account.name, account.password)

    def logout(self, host: str) -> None:
        # The library has a word for it, but it only forgets what the process has in mind.
        (self._folder / ".docker" / "config.json").unlink()

    def take(self, image: Image, reference: str, folder: Path) -> None:
        folder.mkdir()
        self._files[reference] = [folder / name for name, _ in image.files]
        for name, content in image.files:
            (folder / name).write_bytes(content)

    def push(self, reference: str) -> None:
        self.run("push", reference, *self._files[reference])

    def push_chunked(self, reference: str) -> str:
        digest: str = self.run("push-chunked", reference, *self._files[reference])
        return digest

    def pull(self, reference: str) -> str:
        folder = self._folder / "pulled"
        pulled = [Path(path) for path in self.run("pull", reference, folder)]
        assert [path.read_bytes() for path in pulled] == [path.read_bytes() for path in self._files[reference]]
        digest: str = self.run("digest", reference)
        return digest

    def delete(self, reference: str) -> None:
        assert self.run("delete", reference) is True


@pytest.fixture
def oras(wire: Wire, api: Api, tmp_path: Path) -> OrasPy:
    if importlib.util.find_spec("oras") is None:
        absent("oras-py is not installed; scripts/setup clients installs it")
    oras = OrasPy(api, tmp_path)
    oras.login(wire.host, ADMIN)
    return oras


class TestOrasPy(ClientContract):
    @pytest.fixture
    def client(self, oras: OrasPy) -> Client:
        return oras


def test_uploads_in_chunks(oras: OrasPy, wire: Wire, api: Api, image: Image, tmp_path: Path) -> None:
    reference = f"{wire.host}/oraspy/chunked:1"
    oras.take(image, reference, tmp_path / "image")

    oras.push_chunked(reference)

    assert len(wire.select("PATCH", "/blobs/uploads/", 202)) > len(image.files)
    for _, content in image.files:
        assert api.blob("oraspy/chunked", digest_of(content)) == content
    assert oras.run("tags", f"{wire.host}/oraspy/chunked") == ["1"]
