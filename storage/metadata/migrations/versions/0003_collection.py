"""What garbage collection has to look at again, and the bytes that wait to be removed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Time: sa.Double[float] = sa.Double()


def upgrade() -> None:
    op.create_table(
        "blob_reviews",
        sa.Column("digest", Name, primary_key=True),
        sa.Column("promised_at", Time, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("blob_reviews_by_promise", "blob_reviews", ["promised_at"])
    op.create_table(
        "trash",
        sa.Column("store_key", Name, primary_key=True),
        sa.Column("digest", Name, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", Time, nullable=False),
        sa.CheckConstraint("reason IN ('unused', 'replaced', 'orphan')", name="trash_reason"),
        sqlite_with_rowid=False,
    )
    op.create_index("trash_by_time", "trash", ["since"])
    op.create_table(
        "collection_state",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("position", Name, nullable=False, server_default=""),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "postgresql":  # storage keys are compared with lists in the order of their bytes
        op.alter_column("blobs", "store_key", type_=sa.Text(collation="C"))
    bad = sa.text("state <> 'live'")
    op.create_index("blobs_that_are_bad", "blobs", ["digest"], sqlite_where=bad, postgresql_where=bad)
    # Databases of before have never been collected: everything they hold is looked at once.
    op.execute("INSERT INTO blob_reviews (digest, promised_at) SELECT digest, created_at FROM blobs")
