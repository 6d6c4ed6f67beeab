"""A server that is told to have no engine says so to whoever wants work placed, and serves all else of ECS."""

from collections.abc import Callable
from pathlib import Path

from tests.aws.clients import Front, refused
from tests.security.secured import secured


def test_what_would_place_work_is_refused_by_name_where_there_is_no_engine(tmp_path: Path) -> None:
    with secured(tmp_path, engine="none") as served:
        client = Front(served).client(service="ecs")
        client.create_cluster(clusterName="one")
        container = {"name": "app", "image": "example.org/app:1", "memory": 64}
        client.register_task_definition(family="web", containerDefinitions=[container])
        asked = {"cluster": "one", "taskDefinition": "web"}
        wanted: dict[str, Callable[[], tuple[str, str]]] = {
            "RunTask": lambda: refused(client.run_task, **asked),
            "StartTask": lambda: refused(client.start_task, **asked, containerInstances=["one"]),
            "CreateService": lambda: refused(client.create_service, **asked, serviceName="web", desiredCount=1),
            "UpdateService": lambda: refused(client.update_service, cluster="one", service="web", desiredCount=1),
            "RegisterContainerInstance": lambda: refused(client.register_container_instance, cluster="one"),
        }
        for name, ask in wanted.items():
            told = f"{name} is not supported by this server: it has no container engine (ESTIVA_ENGINE is none)."
            assert ask() == ("UnsupportedFeatureException", told)
        assert client.list_tasks(cluster="one")["taskArns"] == []
        assert client.describe_clusters(clusters=["one"])["clusters"][0]["registeredContainerInstancesCount"] == 0
