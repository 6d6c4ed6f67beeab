"""Repositories, blobs, manifests, tags and uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Names sort by their bytes, whatever the database's locale.
Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time: sa.Double[float] = sa.Double()


def upgrade() -> None:
    create_repositories()
    create_blobs()
    create_manifests()
    create_needs_of_manifests()
    create_tags()
    create_uploads()


def create_repositories() -> None:
    op.create_table(
        "repositories",
        sa.Column("id", Id, primary_key=True, autoincrement=True),
        sa.Column("name", Name, nullable=False, unique=True),
        sa.Column("created_at", Time, nullable=False),
        sqlite_autoincrement=True,
    )


def create_blobs() -> None:
    op.create_table(
        "blobs",
        sa.Column("digest", Name, primary_key=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("store_key", sa.Text(), nullable=False, unique=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.CheckConstraint("state IN ('live', 'missing', 'corrupt')", name="blob_state"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "repository_blobs",
        sa.Column("repository_id", Id, sa.ForeignKey("repositories.id", ondelete="RESTRICT"), nullable=False),
        sa.Column("digest", Name, sa.ForeignKey("blobs.digest", ondelete="RESTRICT"), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "digest"),
        sqlite_with_rowid=False,
    )
    op.create_index("repository_blobs_by_digest", "repository_blobs", ["digest"])


def create_manifests() -> None:
    op.create_table(
        "manifests",
        sa.Column("repository_id", Id, sa.ForeignKey("repositories.id", ondelete="RESTRICT"), nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("artifact_type", sa.Text()),
        sa.Column("subject", Name),
        sa.Column("annotations", sa.Text()),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("pushed_at", Time, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "digest"),
    )
    op.create_index(
        "manifests_by_subject",
        "manifests",
        ["repository_id", "subject", "digest"],
        sqlite_where=sa.text("subject IS NOT NULL"),
        postgresql_where=sa.text("subject IS NOT NULL"),
    )


def create_needs_of_manifests() -> None:
    # What a manifest needs can't go while the manifest is there: the database itself refuses.
    op.create_table(
        "manifest_blobs",
        sa.Column("repository_id", Id, nullable=False),
        sa.Column("manifest_digest", Name, nullable=False),
        sa.Column("blob_digest", Name, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "manifest_digest", "blob_digest"),
        sa.ForeignKeyConstraint(
            ["repository_id", "manifest_digest"], ["manifests.repository_id", "manifests.digest"], ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["repository_id", "blob_digest"],
            ["repository_blobs.repository_id", "repository_blobs.digest"],
            ondelete="RESTRICT",
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("manifest_blobs_by_blob", "manifest_blobs", ["repository_id", "blob_digest"])
    op.create_table(
        "manifest_children",
        sa.Column("repository_id", Id, nullable=False),
        sa.Column("parent_digest", Name, nullable=False),
        sa.Column("child_digest", Name, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "parent_digest", "child_digest"),
        sa.ForeignKeyConstraint(
            ["repository_id", "parent_digest"], ["manifests.repository_id", "manifests.digest"], ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["repository_id", "child_digest"], ["manifests.repository_id", "manifests.digest"], ondelete="RESTRICT"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("manifest_children_by_child", "manifest_children", ["repository_id", "child_digest"])


def create_tags() -> None:
    op.create_table(
        "tags",
        sa.Column("repository_id", Id, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("tagged_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "name"),
        sa.ForeignKeyConstraint(
            ["repository_id", "digest"], ["manifests.repository_id", "manifests.digest"], ondelete="RESTRICT"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("tags_by_digest", "tags", ["repository_id", "digest"])


def create_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("repository_id", Id, sa.ForeignKey("repositories.id", ondelete="RESTRICT"), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("started_at", Time, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("uploads_by_repository", "uploads", ["repository_id"])
    op.create_index("uploads_by_start", "uploads", ["started_at"])
