"""Indexes: who has a policy, and a password hash that came from a htpasswd file."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    # Word for word the condition of the query: that is how both databases see that the index answers it.
    condition = sa.text("substr(secret_hash, 1, 2) = '$2'")
    op.create_index(
        "principals_with_bcrypt", "principals", ["id"], sqlite_where=condition, postgresql_where=condition
    )
    op.create_index("principal_policies_by_policy", "principal_policies", ["policy"])
    op.create_index("group_policies_by_policy", "group_policies", ["policy"])
