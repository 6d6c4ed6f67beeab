from collections.abc import Iterator

import pytest

from tests.security.secured import Secured, secured


@pytest.fixture(scope="package")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One closed registry for all of this folder; in the end it has met no error that it did not expect."""
    with secured(tmp_path_factory.mktemp("secured")) as running:
        yield running
        log = running.registry.log.read_text()
        assert "unexpected error" not in log
        assert "Traceback" not in log
