"""A registry in developer mode, and boto3's clients to it."""

from collections.abc import Iterator

import pytest

from tests.aws.clients import Ecr, Front
from tests.security.secured import secured


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The server: its own account with `admin`, and every account of developer mode."""
    with secured(tmp_path_factory.mktemp("aws"), dev_accounts="true", scanner="/bin/false") as served:
        yield Front(served)


@pytest.fixture(scope="session")
def ecr(front: Front) -> Ecr:
    """The administrator's client."""
    return front.client()
