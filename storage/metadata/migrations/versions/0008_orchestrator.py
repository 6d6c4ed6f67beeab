"""Facts of the orchestrator: clusters, task definitions, instances, services, deployments, tasks, and what they use."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time: sa.Double[float] = sa.Double()


def name(column: str, nullable: bool = False) -> "sa.Column[str]":
    return sa.Column(column, Name, nullable=nullable)


def text(column: str) -> "sa.Column[str]":
    return sa.Column(column, sa.Text(), nullable=False)


def time(column: str, nullable: bool = False) -> "sa.Column[float]":
    return sa.Column(column, Time, nullable=nullable)


def number(column: str) -> "sa.Column[int]":
    return sa.Column(column, sa.Integer(), nullable=False)


def upgrade() -> None:
    create_clusters()
    create_task_definitions()
    create_services()
    create_tasks()
    create_rest()


def create_clusters() -> None:
    op.create_table(
        "clusters",
        name("account"), name("name"), text("status"), text("document"), number("version"),
        time("created_at"), time("updated_at"),
        sa.PrimaryKeyConstraint("account", "name"),
    )
    # Who may act on a cluster's engines: one process at a time.
    op.create_table(
        "cluster_writers",
        name("account"), name("cluster"), text("holder"), time("held_until"),
        sa.PrimaryKeyConstraint("account", "cluster"),
    )
    op.create_table(
        "container_instances",
        name("account"), name("cluster"), name("id"), text("endpoint"), text("status"), text("state"),
        text("document"), number("version"), time("created_at"), time("updated_at"),
        sa.PrimaryKeyConstraint("account", "cluster", "id"),
    )


def create_task_definitions() -> None:
    # A family's revisions only grow, also past those that were deleted.
    op.create_table(
        "task_definition_families",
        name("account"), name("family"), number("last_revision"),
        sa.PrimaryKeyConstraint("account", "family"),
    )
    op.create_table(
        "task_definitions",
        name("account"), name("family"), number("revision"), name("status"), text("document"), text("images"),
        text("tags"), time("registered_at"), time("deregistered_at", nullable=True),
        sa.PrimaryKeyConstraint("account", "family", "revision"),
    )
    op.create_index("task_definitions_by_status", "task_definitions", ["account", "status", "family", "revision"])


def create_services() -> None:
    op.create_table(
        "services",
        name("account"), name("cluster"), name("name"), name("status"), text("state"), text("document"),
        number("deploys_on_push"), number("version"), time("created_at"), time("updated_at"),
        sa.PrimaryKeyConstraint("account", "cluster", "name"),
    )
    # Every push of a tag asks for these; most services are none of them.
    ask = sa.text("deploys_on_push = 1")
    op.create_index(
        "services_that_deploy_on_push", "services", ["deploys_on_push"], sqlite_where=ask, postgresql_where=ask
    )
    op.create_table(
        "deployments",
        name("account"), name("cluster"), name("service"), name("id"), name("family"), number("revision"),
        text("status"), text("rollout"), text("state"), text("document"), number("version"),
        time("created_at"), time("updated_at"),
        sa.PrimaryKeyConstraint("account", "cluster", "service", "id"),
    )
    op.create_index("deployments_by_time", "deployments", ["account", "cluster", "service", "created_at", "id"])
    op.create_index("deployments_by_definition", "deployments", ["account", "family", "revision"])
    op.create_table(
        "service_events",
        sa.Column("number", Id, primary_key=True, autoincrement=True),
        name("account"), name("cluster"), name("service"), text("id"), text("message"), time("created_at"),
        sqlite_autoincrement=True,
    )
    op.create_index("service_events_by_service", "service_events", ["account", "cluster", "service", "number"])


def create_tasks() -> None:
    op.create_table(
        "tasks",
        name("account"), name("cluster"), name("id"), name("family"), number("revision"), name("desired"),
        number("status"), name("service", nullable=True), name("deployment", nullable=True),
        name("instance", nullable=True), name("started_by", nullable=True), text("state"), text("document"),
        number("version"), time("created_at"), time("stopped_at", nullable=True),
        sa.PrimaryKeyConstraint("account", "cluster", "id"),
    )
    op.create_index("tasks_by_desire", "tasks", ["account", "cluster", "desired", "id"])
    op.create_index("tasks_by_status", "tasks", ["account", "cluster", "status", "id"])
    op.create_index("tasks_by_service", "tasks", ["account", "cluster", "service", "id"])
    op.create_index("tasks_by_instance", "tasks", ["account", "cluster", "instance", "id"])
    op.create_index("tasks_by_definition", "tasks", ["account", "family", "revision"])
    op.create_index("tasks_by_end", "tasks", ["stopped_at"])
    op.create_table(
        "task_logs",
        name("account"), name("cluster"), name("task"), name("container"), text("lines"),
        sa.PrimaryKeyConstraint("account", "cluster", "task", "container"),
        sa.ForeignKeyConstraint(
            ["account", "cluster", "task"], ["tasks.account", "tasks.cluster", "tasks.id"], ondelete="CASCADE"
        ),
    )


def create_rest() -> None:
    # Which digests of which repositories a task or a deployment runs; `repository` is the key of its name.
    op.create_table(
        "image_uses",
        name("repository"), name("digest"), name("account"), name("cluster"), name("kind"), name("user_id"),
        name("service"),
        sa.PrimaryKeyConstraint("repository", "digest", "account", "cluster", "kind", "service", "user_id"),
    )
    op.create_index("image_uses_by_user", "image_uses", ["account", "cluster", "kind", "service", "user_id"])
    op.create_table(
        "client_tokens",
        name("account"), name("operation"), name("token"), text("request"), text("answer"), time("created_at"),
        sa.PrimaryKeyConstraint("account", "operation", "token"),
    )
    op.create_index("client_tokens_by_time", "client_tokens", ["created_at"])
    op.create_table(
        "secrets",
        name("account"), name("name"), sa.Column("sealed", sa.LargeBinary(), nullable=False), time("created_at"),
        time("updated_at"),
        sa.PrimaryKeyConstraint("account", "name"),
    )
    op.create_table(
        "account_settings",
        name("account"), name("principal"), name("name"), text("value"),
        sa.PrimaryKeyConstraint("account", "principal", "name"),
    )
