"""Ids of uploads that prove themselves: a secret instead of a row for each upload; rows only for what has to be noted.

Uploads that are under way begin again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.drop_table("uploads")
    # One row. What began before `oldest` and has no bytes is no upload any more: ids begin with their time.
    op.create_table(
        "upload_ids",
        sa.Column("id", sa.SmallInteger(), primary_key=True),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("oldest", Name, nullable=False),
    )
    op.create_table(
        "upload_notes",
        sa.Column("id", Name, primary_key=True),
        sa.Column("ended", sa.SmallInteger(), nullable=False),
        sa.Column("short_part_end", sa.BigInteger()),
        sqlite_with_rowid=False,
    )
