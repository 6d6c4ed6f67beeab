"""Pull-through cache: which names come from which other registry, and when a cached tag was last looked at there."""

from dataclasses import dataclass

from estiva.reference import RepositoryName, Tag
from storage.metadata import repositories
from storage.metadata.database import Statement, Work

SELECT = """
SELECT prefix, upstream_url, upstream_prefix, upstream_registry, credential, credential_arn, custom_role_arn,
created_at, updated_at FROM pull_through_rules WHERE account = :account
"""
INSERT = """
INSERT INTO pull_through_rules (account, prefix, upstream_url, upstream_prefix, upstream_registry, credential,
credential_arn, custom_role_arn, created_at, updated_at)
VALUES (:account, :prefix, :url, :upstream_prefix, :registry, :credential, :arn, :role, :now, :now)
ON CONFLICT (account, prefix) DO NOTHING RETURNING prefix
"""
UPDATE = """
UPDATE pull_through_rules
SET credential = :credential, credential_arn = :arn, custom_role_arn = :role, updated_at = :now
WHERE account = :account AND prefix = :prefix RETURNING prefix
"""
PAGE = SELECT + "AND prefix > :last ORDER BY prefix LIMIT :limit"
FIRST_PAGE = SELECT + "ORDER BY prefix LIMIT :limit"
CHECKED = """
INSERT INTO cached_tags (repository_id, name, checked_at)
SELECT id, :tag, :now FROM repositories WHERE name = :name
ON CONFLICT (repository_id, name) DO UPDATE SET checked_at = excluded.checked_at
"""
AGE = """
SELECT :now - checked_at FROM cached_tags
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND name = :tag
"""


@dataclass(frozen=True, slots=True)
class RuleRecord:
    """Repositories under `prefix` come from under `upstream_prefix` at `upstream_url`; an empty prefix is all there is.

    `upstream_registry`, `credential_arn` and `custom_role_arn` are what AWS's clients said and want to hear again.
    """

    prefix: str
    upstream_url: str
    upstream_prefix: str = ""
    upstream_registry: str | None = None
    credential: str | None = None
    credential_arn: str | None = None
    custom_role_arn: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0


def create(account: str, rule: RuleRecord) -> Work[bool]:
    """Enter a rule: whether the prefix was free."""
    rows = yield Statement(
        INSERT,
        {
            **_credential(account, rule),
            "url": rule.upstream_url,
            "upstream_prefix": rule.upstream_prefix,
            "registry": rule.upstream_registry,
        },
    )
    return bool(rows)


def update(account: str, rule: RuleRecord) -> Work[bool]:
    """Give the rule of that prefix another credential: whether there is such a rule."""
    rows = yield Statement(UPDATE, _credential(account, rule))
    return bool(rows)


def find(account: str, prefix: str) -> Work[RuleRecord | None]:
    """The rule of exactly that prefix."""
    rows = yield Statement(
        SELECT + "AND prefix = :prefix",
        {"account": account, "prefix": prefix},
    )
    return RuleRecord(*rows[0]) if rows else None


def page(account: str, last: str | None, limit: int) -> Work[list[RuleRecord]]:
    """At most `limit` rules after prefix `last`, from the first where that is None."""
    values = {"account": account, "limit": limit}
    # Nothing sorts before the empty prefix, which is one of them.
    rows = yield Statement(FIRST_PAGE, values) if last is None else Statement(PAGE, {**values, "last": last})
    return [RuleRecord(*row) for row in rows]


def delete(account: str, prefix: str) -> Work[bool]:
    """Remove the rule: whether it was there. What was cached stays."""
    rows = yield Statement(
        "DELETE FROM pull_through_rules WHERE account = :account AND prefix = :prefix RETURNING prefix",
        {"account": account, "prefix": prefix},
    )
    return bool(rows)


def tag_age(name: RepositoryName, tag: Tag) -> Work[float | None]:
    """Seconds since the tag was last compared with the upstream's; None where it never was."""
    rows = yield Statement(AGE, {"name": name.key, "tag": tag.text})
    return rows[0][0] if rows else None


def tag_checked(name: RepositoryName, tag: Tag) -> Work[None]:
    """Write down that the tag is the upstream's, now."""
    yield Statement(CHECKED, {"name": name.key, "tag": tag.text})


def is_cached(name: RepositoryName) -> Work[bool | None]:
    """Whether the repository came from another registry; None where there is no such repository."""
    repository = yield from repositories.find(name)
    if repository is None:
        return None
    rows = yield Statement(
        "SELECT 1 FROM cached_tags WHERE repository_id = :repository AND name = ''", {"repository": repository}
    )
    return bool(rows)


def repository_cached(repository: int) -> Work[None]:
    """Write down that the repository came from another registry."""
    # The row of the tag that has no name, which is none, stands for the repository itself.
    yield Statement(
        "INSERT INTO cached_tags (repository_id, name, checked_at) VALUES (:repository, '', :now) "
        "ON CONFLICT DO NOTHING",
        {"repository": repository},
    )


def _credential(account: str, rule: RuleRecord) -> dict[str, object]:
    return {
        "account": account,
        "prefix": rule.prefix,
        "credential": rule.credential,
        "arn": rule.credential_arn,
        "role": rule.custom_role_arn,
    }
