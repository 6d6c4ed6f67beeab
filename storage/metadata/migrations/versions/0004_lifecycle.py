"""Lifecycle policies with their previews, webhooks with what they are still to be told."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time: sa.Double[float] = sa.Double()


def upgrade() -> None:
    create_lifecycle_policies()
    create_lifecycle_previews()
    create_webhooks()
    create_deliveries()
    op.create_index("audit_by_target", "audit", ["target", "id"])
    op.create_index("audit_by_actor", "audit", ["actor", "id"])
    op.create_index("audit_by_action", "audit", ["action", "id"])
    op.create_index("audit_by_time", "audit", ["at"])


def create_lifecycle_policies() -> None:
    op.create_table(
        "lifecycle_policies",
        sa.Column("repository_id", Id, sa.ForeignKey("repositories.id", ondelete="RESTRICT"), primary_key=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("updated_at", Time, nullable=False),
        sa.Column("evaluated_at", Time),
        sa.Column("due_at", Time, nullable=False),
    )
    op.create_index("lifecycle_policies_by_time", "lifecycle_policies", ["due_at"])


def create_lifecycle_previews() -> None:
    op.create_table(
        "lifecycle_previews",
        sa.Column("repository_id", Id, sa.ForeignKey("repositories.id", ondelete="RESTRICT"), primary_key=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("evaluated_at", Time, nullable=False),
        sa.Column("expiring", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "lifecycle_preview_images",
        sa.Column(
            "repository_id", Id, sa.ForeignKey("lifecycle_previews.repository_id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("digest", Name, nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("pushed_at", Time, nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "digest"),
        sqlite_with_rowid=False,
    )


def create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", Id, primary_key=True, autoincrement=True),
        sa.Column("name", Name, nullable=False, unique=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("actions", sa.Text(), nullable=False),
        sa.Column("prefix", Name, nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sqlite_autoincrement=True,
    )


def create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", Id, primary_key=True, autoincrement=True),
        sa.Column("webhook_id", Id, sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("repository", Name, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("tag", Name),
        sa.Column("previous", Name),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("occurred_at", Time, nullable=False),
        sa.Column("due_at", Time, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("dead", sa.Boolean(), nullable=False),
        sa.Column("last_error", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("deliveries_by_time", "deliveries", ["dead", "due_at"])
    op.create_index("deliveries_in_order", "deliveries", ["webhook_id", "repository", "id"])
