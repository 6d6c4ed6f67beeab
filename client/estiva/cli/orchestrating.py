"""`estiva clusters`, `taskdefs`, `tasks` and `services`: what is to run, in ECS's terms."""

import json
import time
from typing import Annotated, Any

import typer

from estiva.cli.failing import CommandError
from estiva.cli.server import Server, member, read_document, server_of, show

Cluster = Annotated[str, typer.Option(help="The cluster.")]
Name = Annotated[str, typer.Argument(help="The service's name.")]
Definition = Annotated[str, typer.Argument(help="A task definition: FAMILY (its newest revision) or FAMILY:REVISION.")]
Timeout = Annotated[float, typer.Option(help="Give up after so many seconds.")]
Wait = Annotated[float | None, typer.Option(help="Wait so many seconds for the deployment; fail where it is not held.")]
TASKS = ("task", "service", "definition", "status", "health", "instance", "started_at", "ports")
SERVICES = ("name", "status", "desired", "running", "definition", "rollout", "event")
SPARE_OF_TASKS = ("started_at", "instance", "definition", "ports", "health")
SPARE_OF_SERVICES = ("event", "status", "definition")
"""What a narrow terminal goes without, the first one first."""
LOOK_EVERY = 0.5


def clusters() -> typer.Typer:
    """The verbs of `estiva clusters`."""
    app = typer.Typer(help="Clusters: where tasks run.", invoke_without_command=True)

    @app.callback()
    def ls_if_nothing_else(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            ls(context)

    @app.command()
    def ls(context: typer.Context) -> None:
        """List the clusters."""
        show(context, member(server_of(context).call("GET", "clusters"), "clusters"), ("name",))

    @app.command()
    def create(context: typer.Context, name: Annotated[str, typer.Argument(help="Its name.")] = "default") -> None:
        """Create a cluster; one that is there stays as it is."""
        _show_one(
            context, ask(server_of(context), "CreateCluster", clusterName=name)["cluster"], "clusterName", "status"
        )

    @app.command()
    def delete(context: typer.Context, name: Annotated[str, typer.Argument(help="Its name.")]) -> None:
        """Delete a cluster in which nothing is left."""
        ask(server_of(context), "DeleteCluster", cluster=name)

    return app


def taskdefs() -> typer.Typer:
    """The verbs of `estiva taskdefs`."""
    app = typer.Typer(help="Task definitions: which containers a task has.", no_args_is_help=True)

    @app.command()
    def ls(
        context: typer.Context,
        family: Annotated[str | None, typer.Option(help="Only families that begin like this.")] = None,
    ) -> None:
        """List the revisions that are active."""
        arns = every(server_of(context), "ListTaskDefinitions", "taskDefinitionArns", **_given(familyPrefix=family))
        show(context, [_last(arn) for arn in arns])

    @app.command()
    def register(
        context: typer.Context,
        document: Annotated[str, typer.Argument(help="The input of RegisterTaskDefinition in JSON, or - .")],
    ) -> None:
        """Register the next revision of a family, from the JSON that `aws ecs register-task-definition` takes."""
        made = ask(server_of(context), "RegisterTaskDefinition", **_document(document))["taskDefinition"]
        _show_one(context, made, "family", "revision")

    @app.command("show")
    def show_one(context: typer.Context, definition: Definition) -> None:
        """Show a task definition as it was registered."""
        found = ask(server_of(context), "DescribeTaskDefinition", taskDefinition=definition)["taskDefinition"]
        typer.echo(json.dumps(found, indent=2))

    @app.command()
    def deregister(context: typer.Context, definition: Definition) -> None:
        """Make a revision INACTIVE: what runs goes on, and nothing new can use it."""
        ask(server_of(context), "DeregisterTaskDefinition", taskDefinition=definition)

    return app


def list_tasks(context: typer.Context, cluster: Cluster = "default") -> None:
    """List the tasks of a cluster that have not stopped."""
    found = member(server_of(context).call("GET", "clusters", cluster, "tasks"), "tasks")
    show(context, found if _as_json(context) else [_in_a_row(task) for task in found], TASKS, SPARE_OF_TASKS)


def _in_a_row(task: dict[str, Any]) -> dict[str, Any]:
    """A task for people: as much of the instance's id as they look at."""
    return {**task, "instance": str(task.get("instance") or "")[:8] or None}


def tasks() -> typer.Typer:
    """The verbs of `estiva tasks`."""
    app = typer.Typer(help="Tasks: containers that run together.", invoke_without_command=True)

    @app.callback()
    def ls_if_nothing_else(context: typer.Context, cluster: Cluster = "default") -> None:
        if context.invoked_subcommand is None:
            list_tasks(context, cluster)

    app.command("ls")(list_tasks)

    @app.command()
    def run(
        context: typer.Context,
        definition: Definition,
        cluster: Cluster = "default",
        count: Annotated[int, typer.Option(help="How many, at most 10.")] = 1,
    ) -> None:
        """Run tasks of a task definition, and show their ids."""
        done = ask(server_of(context), "RunTask", cluster=cluster, taskDefinition=definition, count=count)
        show(context, done if _as_json(context) else [_last(task["taskArn"]) for task in done["tasks"]])
        if failures := done.get("failures"):
            reasons = ", ".join(sorted({str(one.get("reason")) for one in failures}))
            raise CommandError(f"{len(done['tasks'])} of {count} were placed: {reasons}")

    @app.command()
    def stop(
        context: typer.Context,
        task: Annotated[str, typer.Argument(help="A task's id, or its ARN.")],
        cluster: Cluster = "default",
        reason: Annotated[str | None, typer.Option(help="Why; the task keeps it.")] = None,
    ) -> None:
        """Stop a task; a service's is replaced."""
        ask(server_of(context), "StopTask", cluster=cluster, task=task, **_given(reason=reason))

    return app


def services() -> typer.Typer:
    """The verbs of `estiva services`."""
    app = typer.Typer(help="Services: tasks that are kept running.", invoke_without_command=True)

    @app.callback()
    def ls_if_nothing_else(context: typer.Context, cluster: Cluster = "default") -> None:
        if context.invoked_subcommand is None:
            ls(context, cluster)

    @app.command()
    def ls(context: typer.Context, cluster: Cluster = "default") -> None:
        """List the services of a cluster, and how far each is."""
        show(
            context,
            member(server_of(context).call("GET", "clusters", cluster, "services"), "services"),
            SERVICES,
            SPARE_OF_SERVICES,
        )

    @app.command()
    def delete(
        context: typer.Context,
        name: Name,
        cluster: Cluster = "default",
        force: Annotated[bool, typer.Option("--force", help="Although it is scaled above 0.")] = False,
    ) -> None:
        """Delete a service: its tasks are stopped."""
        ask(server_of(context), "DeleteService", cluster=cluster, service=name, force=force)

    @app.command()
    def wait(context: typer.Context, name: Name, cluster: Cluster = "default", timeout: Timeout = 600) -> None:
        """Wait until a service's deployment is complete and healthy; fails where it is not what is left."""
        wait_for(server_of(context), cluster, name, timeout)

    _changing_services(app)
    return app


def _changing_services(app: typer.Typer) -> None:
    @app.command()
    def create(
        context: typer.Context,
        name: Name,
        definition: Definition,
        cluster: Cluster = "default",
        count: Annotated[int, typer.Option(help="How many tasks are kept.")] = 1,
        deploy_on_push: Annotated[bool, typer.Option("--deploy-on-push", help="Deploy what its tag becomes.")] = False,
        wait: Wait = None,
    ) -> None:
        """Keep so many tasks of a task definition running."""
        server, given = server_of(context), {"taskDefinition": definition, "desiredCount": count}
        if deploy_on_push:
            given["tags"] = [{"key": "deploy-on-push", "value": "true"}]
        made = ask(server, "CreateService", cluster=cluster, serviceName=name, **given)["service"]
        if wait is not None:
            wait_for(server, cluster, name, wait)
        _show_one(context, made, "serviceName", "desiredCount")

    @app.command()
    def update(
        context: typer.Context,
        name: Name,
        cluster: Cluster = "default",
        definition: Annotated[str | None, typer.Option(help="Deploy this task definition.")] = None,
        count: Annotated[int | None, typer.Option(help="Keep so many tasks.")] = None,
        force: Annotated[bool, typer.Option("--force", help="Deploy anew what there is: tags are looked up.")] = False,
        wait: Wait = None,
    ) -> None:
        """Change how many tasks a service has, or deploy something else."""
        server, given = server_of(context), _given(taskDefinition=definition, desiredCount=count)
        given |= {"forceNewDeployment": True} if force else {}
        if not given:
            raise typer.BadParameter("nothing to change: give --definition, --count or --force")
        made = ask(server, "UpdateService", cluster=cluster, service=name, **given)["service"]
        if wait is not None:
            wait_for(server, cluster, name, wait)
        _show_one(context, made, "serviceName", "desiredCount")


def wait_for(server: Server, cluster: str, name: str, timeout: float) -> None:
    """Until what is PRIMARY now is all there is, complete. CommandError where it was rolled back, or takes too long."""
    awaited = None
    deadline = time.monotonic() + timeout
    while True:
        found = ask(server, "DescribeServices", cluster=cluster, services=[name])
        if not found.get("services"):
            raise CommandError(f"there is no service {name} in cluster {cluster}")
        service = found["services"][0]
        if service["status"] != "ACTIVE":
            raise CommandError(f"service {name} is {service['status']}")
        primary = next(one for one in service["deployments"] if one["status"] == "PRIMARY")
        awaited = awaited or primary["id"]
        said = next((event["message"] for event in service.get("events", ())), "nothing was said")
        if primary["id"] != awaited or primary["rolloutState"] == "FAILED":
            raise CommandError(f"service {name}: the deployment did not hold: {_why(service, awaited) or said}")
        done = primary["rolloutState"] == "COMPLETED" and len(service["deployments"]) == 1
        if done and service["runningCount"] == service["desiredCount"]:
            return
        if time.monotonic() >= deadline:
            raise CommandError(f"service {name} is not steady after {timeout:g} seconds: {said}")
        time.sleep(LOOK_EVERY)


def ask(server: Server, operation: str, **given: Any) -> dict[str, Any]:
    """What an operation of ECS answers."""
    return server.call("POST", "ecs", operation, body=given)


def every(server: Server, operation: str, name: str, **given: Any) -> list[Any]:
    """All that an operation lists, page after page."""
    found: list[Any] = []
    while True:
        page = ask(server, operation, **given)
        found += member(page, name)
        if not page.get("nextToken"):
            return found
        given["nextToken"] = page["nextToken"]


def _why(service: dict[str, Any], deployment: str) -> str:
    """Why that deployment failed, with how its last task ended; empty where it is not told any more."""
    failed = [one for one in service["deployments"] if one["id"] == deployment and one["rolloutState"] == "FAILED"]
    events = [event["message"] for event in service.get("events", ()) if " failed" in event["message"]]
    return next((str(one["rolloutStateReason"]) for one in failed), next(iter(events), ""))


def _given(**members: Any) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in members.items() if value is not None}


def _document(name: str) -> dict[str, Any]:
    try:
        value = json.loads(read_document(name))
    except ValueError:
        raise CommandError(f"{name} is not JSON") from None
    if not isinstance(value, dict):
        raise CommandError(f"{name} is not a JSON object")
    return value


def _show_one(context: typer.Context, value: dict[str, Any], *members: str) -> None:
    """All of it as JSON where that is asked for, else these members."""
    show(context, value if _as_json(context) else {name: value.get(name) for name in members})


def _as_json(context: typer.Context) -> bool:
    return bool(context.find_root().obj["json"])


def _last(arn: str) -> str:
    return arn.rpartition("/")[2]
