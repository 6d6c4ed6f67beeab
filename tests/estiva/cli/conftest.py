from collections.abc import Iterator

import pytest

from tests.estiva.cli.command import KEY_ID, KEY_SECRET, Estiva
from tests.security.secured import Secured, secured


@pytest.fixture(scope="package")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One closed registry for all of this folder."""
    folder, key = tmp_path_factory.mktemp("commanded"), {"admin_access_key_id": KEY_ID}
    with secured(folder, admin_secret_access_key=KEY_SECRET, **key) as registry:
        yield registry
        assert "Traceback" not in registry.registry.log.read_text()


@pytest.fixture(scope="package")
def estiva(registry: Secured) -> Estiva:
    """The command in the hands of the registry's administrator."""
    return Estiva(
        {
            "ESTIVA_SERVER": f"http://{registry.registry.host}",
            "ESTIVA_USERNAME": KEY_ID,
            "ESTIVA_PASSWORD": KEY_SECRET,
        }
    )
