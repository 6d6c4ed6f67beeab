"""Principals, their keys, groups and policies, the keys that sign tokens, and what was done to all of these."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time: sa.Double[float] = sa.Double()


def upgrade() -> None:
    create_principals()
    create_groups()
    create_policies()
    create_tokens()
    create_audit_and_epoch()
    op.add_column("uploads", sa.Column("principal", sa.Text(), nullable=False, server_default=""))


def create_principals() -> None:
    op.create_table(
        "principals",
        sa.Column("id", Id, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", Name, nullable=False, unique=True),
        sa.Column("secret_hash", sa.Text()),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("expires_at", Time),
        sa.CheckConstraint("kind IN ('user', 'robot')", name="principal_kind"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "access_keys",
        sa.Column("id", Name, primary_key=True),
        sa.Column("principal_id", Id, sa.ForeignKey("principals.id", ondelete="CASCADE"), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("access_keys_by_principal", "access_keys", ["principal_id"])


def create_groups() -> None:
    op.create_table(
        "groups",
        sa.Column("id", Id, primary_key=True, autoincrement=True),
        sa.Column("name", Name, nullable=False, unique=True),
        sa.Column("created_at", Time, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "group_members",
        sa.Column("group_id", Id, sa.ForeignKey("groups.id", ondelete="CASCADE"), nullable=False),
        sa.Column("principal_id", Id, sa.ForeignKey("principals.id", ondelete="CASCADE"), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "principal_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("group_members_by_principal", "group_members", ["principal_id"])


def create_policies() -> None:
    op.create_table(
        "policies",
        sa.Column("name", Name, primary_key=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("updated_at", Time, nullable=False),
        sqlite_with_rowid=False,
    )
    # A policy's name may also be that of a ready-made one, which no table holds.
    op.create_table(
        "principal_policies",
        sa.Column("principal_id", Id, sa.ForeignKey("principals.id", ondelete="CASCADE"), nullable=False),
        sa.Column("policy", Name, nullable=False),
        sa.PrimaryKeyConstraint("principal_id", "policy"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "group_policies",
        sa.Column("group_id", Id, sa.ForeignKey("groups.id", ondelete="CASCADE"), nullable=False),
        sa.Column("policy", Name, nullable=False),
        sa.PrimaryKeyConstraint("group_id", "policy"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "repository_policies",
        sa.Column("repository_id", Id, sa.ForeignKey("repositories.id", ondelete="RESTRICT"), primary_key=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("updated_at", Time, nullable=False),
    )


def create_tokens() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("sealed_private_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "refresh_tokens",
        sa.Column("hash", sa.Text(), primary_key=True),
        sa.Column("principal_id", Id, sa.ForeignKey("principals.id", ondelete="CASCADE"), nullable=False),
        sa.Column("expires_at", Time, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("refresh_tokens_by_principal", "refresh_tokens", ["principal_id"])
    op.create_index("refresh_tokens_by_expiry", "refresh_tokens", ["expires_at"])
    op.create_table(
        "trusted_issuers",
        sa.Column("name", Name, primary_key=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("updated_at", Time, nullable=False),
        sqlite_with_rowid=False,
    )


def create_audit_and_epoch() -> None:
    op.create_table(
        "audit",
        sa.Column("id", Id, primary_key=True, autoincrement=True),
        sa.Column("at", Time, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    # One row: it changes whenever anything that a decision rests on does.
    epoch = op.create_table(
        "access_epoch",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
    )
    op.bulk_insert(epoch, [{"id": 1, "epoch": 1}])
