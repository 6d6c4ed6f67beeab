"""Pull-through cache, templates of repositories, registry policy, replication, scans, and work that is queued."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time: sa.Double[float] = sa.Double()


def upgrade() -> None:
    create_rules()
    create_registry_settings()
    create_absent_content()
    create_queue()
    create_replications()
    create_scans()


def create_rules() -> None:
    op.create_table(
        "upstream_credentials",
        sa.Column("account", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("token_server", sa.Text()),
        sa.Column("updated_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("account", "name"),
    )
    op.create_table(
        "pull_through_rules",
        sa.Column("account", Name, nullable=False),
        sa.Column("prefix", Name, nullable=False),
        sa.Column("upstream_url", sa.Text(), nullable=False),
        sa.Column("upstream_prefix", sa.Text(), nullable=False),
        sa.Column("upstream_registry", sa.Text()),
        sa.Column("credential", Name),
        sa.Column("credential_arn", sa.Text()),
        sa.Column("custom_role_arn", sa.Text()),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("updated_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("account", "prefix"),
        # A credential that a rule uses can't go.
        sa.ForeignKeyConstraint(
            ["account", "credential"], ["upstream_credentials.account", "upstream_credentials.name"]
        ),
    )
    op.create_index("pull_through_rules_by_credential", "pull_through_rules", ["account", "credential"])
    op.create_table(
        "creation_templates",
        sa.Column("account", Name, nullable=False),
        sa.Column("prefix", Name, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("updated_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("account", "prefix"),
    )


def create_registry_settings() -> None:
    op.create_table(
        "registry_settings",
        sa.Column("account", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("updated_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("account", "name"),
    )


def create_absent_content() -> None:
    # What a cached manifest needs and the cache does not hold yet.
    op.create_table(
        "absent_content",
        sa.Column("repository_id", Id, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("manifest_digest", Name, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "digest", "manifest_digest"),
        sa.ForeignKeyConstraint(
            ["repository_id", "manifest_digest"], ["manifests.repository_id", "manifests.digest"], ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("absent_content_by_manifest", "absent_content", ["repository_id", "manifest_digest", "digest"])
    op.create_table(
        "cached_tags",
        sa.Column("repository_id", Id, sa.ForeignKey("repositories.id", ondelete="RESTRICT"), nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("checked_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "name"),
        sqlite_with_rowid=False,
    )


def create_queue() -> None:
    op.create_table(
        "queued_work",
        sa.Column("id", Id, primary_key=True, autoincrement=True),
        sa.Column("kind", Name, nullable=False),
        sa.Column("subject", Name, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", Time, nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("created_at", Time, nullable=False),
        sa.UniqueConstraint("kind", "subject"),
        sqlite_autoincrement=True,
    )
    op.create_index("queued_work_by_time", "queued_work", ["kind", "due_at"])


def create_replications() -> None:
    op.create_table(
        "replication_endpoints",
        sa.Column("account", Name, nullable=False),
        sa.Column("region", Name, nullable=False),
        sa.Column("registry_id", Name, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("credential", Name),
        sa.Column("updated_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "registry_id"),
        sa.ForeignKeyConstraint(
            ["account", "credential"], ["upstream_credentials.account", "upstream_credentials.name"]
        ),
    )
    op.create_index("replication_endpoints_by_credential", "replication_endpoints", ["account", "credential"])
    op.create_table(
        "image_replications",
        sa.Column("repository_id", Id, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("region", Name, nullable=False),
        sa.Column("registry_id", Name, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("failure", sa.Text()),
        sa.Column("updated_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "digest", "region", "registry_id"),
        sa.ForeignKeyConstraint(
            ["repository_id", "digest"], ["manifests.repository_id", "manifests.digest"], ondelete="CASCADE"
        ),
    )


def create_scans() -> None:
    op.create_table(
        "image_scans",
        sa.Column("repository_id", Id, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("requested_at", Time, nullable=False),
        sa.Column("completed_at", Time),
        sa.Column("source_updated_at", Time),
        sa.PrimaryKeyConstraint("repository_id", "digest"),
        sa.ForeignKeyConstraint(
            ["repository_id", "digest"], ["manifests.repository_id", "manifests.digest"], ondelete="CASCADE"
        ),
    )
    op.create_table(
        "scan_findings",
        sa.Column("repository_id", Id, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "digest", "position"),
        sa.ForeignKeyConstraint(
            ["repository_id", "digest"], ["image_scans.repository_id", "image_scans.digest"], ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
