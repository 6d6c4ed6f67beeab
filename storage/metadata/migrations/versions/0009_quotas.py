"""How many bytes a repository, or all of an account's, may hold."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Time: sa.Double[float] = sa.Double()


def upgrade() -> None:
    # `subject` is the key of a repository's name, or of `*`: all of the account's. It may be set before there is any.
    op.create_table(
        "quotas",
        sa.Column("subject", Name, primary_key=True),
        sa.Column("limit_bytes", sa.BigInteger(), nullable=False),
        sa.Column("used_bytes", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", Time, nullable=False),
        sqlite_with_rowid=False,
    )
