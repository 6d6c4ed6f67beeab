"""How the registries of several accounts share the table of repositories: see `estiva.reference.RepositoryName.key`."""

from estiva.reference import RepositoryName


def between(account: str, last: str = "") -> dict[str, str]:
    """Between which keys (`last` and `end`, both left out) the account's repositories after `last` are."""
    # No name has a character after `z`, so `~` ends all of them.
    return {"last": RepositoryName(last, account).key, "end": RepositoryName("~", account).key}
