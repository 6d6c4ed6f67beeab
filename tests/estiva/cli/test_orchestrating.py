"""Clusters, task definitions and services from the command line, on a server whose cluster has no engine."""

import json
from pathlib import Path

import pytest

from tests.estiva.cli.command import Estiva
from tests.security.secured import Secured, statement

APP = {"family": "app", "containerDefinitions": [{"name": "app", "image": "example.org/app:1", "memory": 64}]}


@pytest.fixture
def cluster(estiva: Estiva) -> str:
    """One without instances, which nothing runs in."""
    estiva.done("clusters", "create", "galley")
    return "galley"


@pytest.fixture
def definition(estiva: Estiva, tmp_path: Path) -> str:
    """The newest revision of `app`."""
    document = tmp_path / "task.json"
    document.write_text(json.dumps(APP))
    return f"app:{estiva.json('taskdefs', 'register', str(document))['revision']}"


def test_clusters_are_created_listed_and_deleted(estiva: Estiva) -> None:
    assert estiva.done("clusters", "create", "harbour").out == "clusterName: harbour\nstatus: ACTIVE\n"
    assert ["harbour"] in estiva.done("clusters").table()
    assert {"name": "harbour"} in estiva.json("clusters", "ls")

    estiva.done("clusters", "delete", "harbour")

    assert {"name": "harbour"} not in estiva.json("clusters", "ls")
    advice = "; `estiva clusters ls` lists what there is, `estiva clusters create` makes one"
    gone = "Cluster not found. (ClusterNotFoundException)"
    assert estiva.failed("clusters", "delete", "harbour") == f"{gone}{advice}"
    assert estiva.failed("ps", "--cluster", "absent") == f"there is no cluster absent{advice}"


def test_task_definitions_are_registered_from_aws_own_json(estiva: Estiva, definition: str) -> None:
    assert definition in estiva.json("taskdefs", "ls", "--family", "app")
    assert json.loads(estiva.done("taskdefs", "show", definition).out)["containerDefinitions"][0]["name"] == "app"
    assert estiva.done("taskdefs", "register", "-", given=json.dumps(APP).encode()).table()[0] == ["family:", "app"]

    estiva.done("taskdefs", "deregister", definition)

    assert definition not in estiva.json("taskdefs", "ls")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"{", "- is not JSON"),
        (b"[]", "- is not a JSON object"),
        (b'{"family": "app"}', "containerDefinitions"),
        (b'{"family": "app", "containerDefinitions": []}', "ClientException"),
    ],
)
def test_a_task_definition_that_is_none_is_refused_in_one_sentence(estiva: Estiva, document: bytes, said: str) -> None:
    outcome = estiva("taskdefs", "register", "-", given=document)

    assert outcome.code == 1
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_services_are_created_changed_awaited_and_deleted(estiva: Estiva, cluster: str, definition: str) -> None:
    made = estiva.done(
        "services", "create", "web", definition, "--cluster", cluster, "--count", "0", "--deploy-on-push"
    )
    assert made.out == "serviceName: web\ndesiredCount: 0\n"
    estiva.done("services", "wait", "web", "--cluster", cluster)
    [shown] = estiva.json("services", "ls", "--cluster", cluster)
    assert (shown["name"], shown["desired"], shown["definition"], shown["rollout"]) == (
        "web",
        0,
        definition,
        "COMPLETED",
    )
    assert estiva.done("services", "--cluster", cluster).table()[1][0] == "web"

    estiva.done("services", "update", "web", "--cluster", cluster, "--force", "--wait", "120")
    estiva.done("services", "update", "web", "--cluster", cluster, "--count", "2")

    assert estiva.json("services", "ls", "--cluster", cluster)[0]["desired"] == 2
    assert estiva.failed("services", "wait", "web", "--cluster", cluster, "--timeout", "1").startswith(
        "service web is not steady after 1 seconds: "
    )
    assert "scaled above 0" in estiva.failed("services", "delete", "web", "--cluster", cluster)
    estiva.done("services", "delete", "web", "--cluster", cluster, "--force")


def test_what_is_not_there_is_said_in_one_sentence(estiva: Estiva, cluster: str) -> None:
    assert estiva.failed("tasks", "run", "absent") == (
        "TaskDefinition not found. (ClientException); `estiva taskdefs ls` lists what there is, "
        "`estiva taskdefs register FILE` adds to it"
    )
    assert "was not found" in estiva.failed("tasks", "stop", "0" * 32, "--cluster", cluster)
    assert estiva.failed("services", "wait", "absent", "--cluster", cluster) == (
        f"there is no service absent in cluster {cluster}; `estiva services ls` lists what there is"
    )
    usage = estiva("services", "update", "absent")
    assert (usage.code, "nothing to change" in usage.err) == (2, True)
    assert estiva.json("tasks", "--cluster", cluster) == estiva.json("ps", "--cluster", cluster) == []


def test_policies_count_as_over_ecs_own_api(estiva: Estiva, registry: Secured) -> None:
    registry.done("PUT", "/policies/only-clusters", json.loads(statement("ecs:ListClusters", "*")))
    registry.user("looker", "only-clusters", password="the password of looker")
    login = {"ESTIVA_USERNAME": "looker", "ESTIVA_PASSWORD": "the password of looker"}
    looker = Estiva({**estiva.environment, **login})

    assert looker("clusters").code == 0
    assert "is not authorized to perform: ecs:CreateCluster" in looker.failed("clusters", "create", "mine")
