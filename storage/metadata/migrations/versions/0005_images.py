"""Settings and tags of repositories, what is known of images beside their manifests, short parts of uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time: sa.Double[float] = sa.Double()

# A manifest that lists others is as large as the largest of them. Indexes of indexes stay at what their blobs need:
# nobody's, in practice; the next push of one enters it right.
BACKFILL = """
INSERT INTO images (repository_id, digest, size)
SELECT manifests.repository_id, manifests.digest, COALESCE((
  SELECT SUM(blobs.size) FROM manifest_blobs JOIN blobs ON blobs.digest = manifest_blobs.blob_digest
  WHERE manifest_blobs.repository_id = manifests.repository_id AND manifest_blobs.manifest_digest = manifests.digest
), 0) FROM manifests
"""
LARGEST_CHILD = """
UPDATE images SET size = size + COALESCE((
  SELECT MAX(child.size) FROM manifest_children
  JOIN images AS child ON child.repository_id = manifest_children.repository_id
  AND child.digest = manifest_children.child_digest
  WHERE manifest_children.repository_id = images.repository_id AND manifest_children.parent_digest = images.digest
), 0)
"""


def upgrade() -> None:
    op.add_column("repositories", sa.Column("tag_mutability", sa.Text(), nullable=False, server_default="MUTABLE"))
    op.add_column("repositories", sa.Column("mutability_exclusions", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("repositories", sa.Column("scan_on_push", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("repositories", sa.Column("encryption", sa.Text(), nullable=False, server_default="AES256"))
    op.create_table(
        "repository_tags",
        sa.Column("repository_id", Id, sa.ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "name"),
        sqlite_with_rowid=False,
    )
    # Beside the manifests, whose payload would have to be read on the way to any further column of theirs.
    op.create_table(
        "images",
        sa.Column("repository_id", Id, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("pulled_at", Time),
        sa.PrimaryKeyConstraint("repository_id", "digest"),
        sa.ForeignKeyConstraint(
            ["repository_id", "digest"], ["manifests.repository_id", "manifests.digest"], ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.execute(BACKFILL)
    op.execute(LARGEST_CHILD)
    op.add_column("uploads", sa.Column("short_part_end", sa.BigInteger()))
