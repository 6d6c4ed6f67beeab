import pytest

from auth.access import ANONYMOUS, Action, OpenAccess, Principal, permit
from estiva.errors import Denied
from estiva.reference import RepositoryName

NAME = RepositoryName("library/hello")


class PullOnly:
    """Lets everybody pull, and nothing else."""

    def may(self, principal: Principal, action: Action, repository: RepositoryName | None) -> bool:
        return action is Action.PULL


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("repository", [NAME, None])
def test_open_access_lets_everybody_do_everything(action: Action, repository: RepositoryName | None) -> None:
    permit(OpenAccess(), ANONYMOUS, action, repository)


def test_what_is_not_allowed_is_denied_with_what_was_asked() -> None:
    permit(PullOnly(), ANONYMOUS, Action.PULL, NAME)
    with pytest.raises(Denied) as denied:
        permit(PullOnly(), ANONYMOUS, Action.PUSH, NAME)
    assert denied.value.detail == {"action": "push", "repository": "library/hello"}


def test_what_concerns_no_repository_names_none() -> None:
    with pytest.raises(Denied) as denied:
        permit(PullOnly(), Principal("alice"), Action.CATALOG, None)
    assert denied.value.detail == {"action": "catalog", "repository": ""}
