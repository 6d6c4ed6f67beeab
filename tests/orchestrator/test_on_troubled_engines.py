"""Trouble of real Docker Engines: one that hangs, one whose disk is full, and containers that end again and again."""

import contextlib
import os
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures.engines import STAYS
from tests.fixtures.serving_tasks import web
from tests.fixtures.two_engines import Joined, NetworkedEngine, PairServer, two_engines

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
DISK = 96 << 20
RESERVE = 24 << 20
GAPS = (1.0, 2.0, 4.0, 8.0)
"""Seconds between the end of a launch that failed and the next, of the first five."""


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[NetworkedEngine, NetworkedEngine]]:
    """The first has a disk of its own, which can be filled."""
    with two_engines(disk=DISK) as made:
        yield made


@pytest.fixture(scope="module")
def pair_server(
    engines: tuple[NetworkedEngine, NetworkedEngine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PairServer]:
    """No task is given up because its engine is silent for some minutes."""
    settings = {"ESTIVA_TASK_LOST_AFTER": "900", "ESTIVA_ENGINE_RESERVE": str(RESERVE)}
    made = PairServer(tmp_path_factory.mktemp("troubled"), engines, settings)
    made.start()
    try:
        for name in ("app", "spare"):
            made.push(name, "1", name)
        yield made
    finally:
        made.stop()


@pytest.fixture
def alone(pair_server: PairServer, request: pytest.FixtureRequest) -> Iterator["Alone"]:
    """A cluster of the first engine as one of this machine; afterwards its disk has room, and nothing of it runs."""
    name, engine = str(request.node.name)[:60], pair_server.pair[0]
    pair_server.ecs.create_cluster(clusterName=name)
    instance = pair_server.register(name, engine, engine.local)
    pair_server.until(lambda: pair_server.is_connected(name, instance))
    made = Alone(pair_server, name, instance, instance)
    yield made
    made.make_room()
    pair_server.leave(name)
    for image in made.images():
        engine.docker("rmi", "--force", *engine.docker("images", "--quiet", f"{pair_server.host}/{image}").split())


@dataclass(frozen=True)
class Alone(Joined):
    """A cluster of one engine, which has a disk of its own."""

    @property
    def engine(self) -> NetworkedEngine:
        return self.server.pair[0]

    @property
    def ballast(self) -> Path:
        return self.engine.data / "ballast"

    def fill(self, free: int) -> None:
        """Leave so many bytes free."""
        with self.ballast.open("ab") as file, contextlib.suppress(OSError):
            while (left := self.free() - free) > 0:
                file.write(bytes(min(left, 1 << 20)))
                file.flush()

    def make_room(self) -> None:
        self.ballast.unlink(missing_ok=True)

    def free(self) -> int:
        there = os.statvfs(self.engine.data)
        return there.f_bavail * there.f_frsize

    def images(self) -> set[str]:
        """Repositories, without their host, of the images that the engine has of this registry."""
        listed = self.engine.docker("images", "--format", "{{.Repository}}").split()
        return {one.partition("/")[2] for one in listed if one.startswith(self.server.host)}

    def statuses(self, *arns: str) -> list[str]:
        """The states of these tasks."""
        found = self.server.ecs.describe_tasks(cluster=self.name, tasks=list(arns))["tasks"]
        return [{one["taskArn"]: one["lastStatus"] for one in found}[arn] for arn in arns]

    def reason(self, arn: str) -> str:
        """Why this task stopped, when it has."""
        self.server.until(lambda: self.statuses(arn) == ["STOPPED"])
        (stopped,) = self.server.ecs.describe_tasks(cluster=self.name, tasks=[arn])["tasks"]
        return f"{stopped['stopCode']}: {stopped['stoppedReason']}"

    def start(self, definition: str, instance: str) -> str:
        """StartTask there: its ARN."""
        ran = self.server.ecs.start_task(cluster=self.name, taskDefinition=definition, containerInstances=[instance])
        assert ran["failures"] == []
        arn: str = ran["tasks"][0]["taskArn"]
        return arn


def register(joined: Joined, image: str = "app", **changes: object) -> str:
    """A revision that runs that image, which stays until it is told to go: FAMILY:REVISION."""
    given = {"command": ["sh", "-c", STAYS], "portMappings": [], **changes}
    container = web(f"{joined.server.host}/{image}:1", **given)
    made = joined.server.ecs.register_task_definition(family=image, containerDefinitions=[container])
    return f"{image}:{made['taskDefinition']['revision']}"


def ids(names: list[str]) -> list[str]:
    """The tasks of these containers."""
    return sorted(name.split("-")[1] for name in names)


def test_while_an_engine_hangs_others_are_used_and_nothing_of_it_is_lost_or_doubled(joined: Joined) -> None:
    definition, server = register(joined), joined.server
    joined.keep(definition, 2)
    assert Counter(joined.places()) == {joined.first: 1, joined.second: 1}
    first, second = server.pair
    before = first.containers()
    first.freeze()
    server.until(lambda: not server.is_connected(joined.name, joined.first))
    assert server.is_connected(joined.name, joined.second)
    apart = joined.run(definition, 2, placementConstraints=[{"type": "distinctInstance"}])
    assert [one["containerInstanceArn"].rpartition("/")[2] for one in apart["tasks"]] == [joined.second]
    assert "AGENT" in {one["reason"] for one in apart["failures"]}
    server.ecs.update_service(cluster=joined.name, service="kept", desiredCount=3)
    server.until(lambda: Counter(joined.places()) == {joined.first: 1, joined.second: 3})
    first.thaw()
    server.until(lambda: server.is_connected(joined.name, joined.first))
    server.until(joined.is_steady)
    assert first.containers() == before
    arns = [task["taskArn"] for task in server.tasks(joined.name)]
    there = [*first.containers(dead=True), *second.containers(dead=True)]
    assert ids(there) == sorted(arn.rpartition("/")[2] for arn in arns)
    assert len(there) == 4


def test_a_container_that_ends_again_and_again_is_started_ever_more_seldom_and_its_service_says_so(
    joined: Joined,
) -> None:
    server, waits = joined.server, []
    wrong = register(joined, command=["sh", "-c", "echo boom; exit 3"])
    begun = str(int(time.time()))
    settings = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}
    server.ecs.create_service(
        cluster=joined.name, serviceName="kept", taskDefinition=wrong, desiredCount=1, deploymentConfiguration=settings
    )

    def is_said() -> bool:
        asked = time.monotonic()
        events = " ".join(one["message"] for one in server.service("kept", joined.name)["events"])
        waits.append(time.monotonic() - asked)
        return "(service kept) is unable to consistently start tasks successfully." in events

    server.until(is_said)
    assert statistics.median(waits) < 1
    arns = server.ecs.list_tasks(cluster=joined.name, desiredStatus="STOPPED")["taskArns"]
    failed = server.ecs.describe_tasks(cluster=joined.name, tasks=arns)["tasks"]
    failed.sort(key=lambda task: task["createdAt"])
    assert len(failed) >= len(GAPS) + 1
    assert [one["containers"][0]["exitCode"] for one in failed] == [3] * len(failed)
    for ended, after, gap in zip(failed, failed[1:], GAPS, strict=False):
        assert (after["createdAt"] - ended["stoppingAt"]).total_seconds() >= gap
    assert starts(server.pair, begun) == len(failed), "each task was started once"
    server.ecs.update_service(cluster=joined.name, service="kept", taskDefinition=register(joined))
    server.until(joined.is_steady)
    assert starts(server.pair, begun) == len(failed) + 1


def starts(engines: tuple[NetworkedEngine, NetworkedEngine], since: str) -> int:
    """How many containers of the service `kept` both have started since then."""
    wanted = ("--filter", "event=start", "--filter", "label=dev.estiva.service=kept", "--format", "{{.ID}}")
    now = str(int(time.time()) + 1)
    return sum(len(one.docker("events", "--since", since, "--until", now, *wanted).split()) for one in engines)


def test_on_a_disk_that_is_full_a_launch_fails_with_one_sentence_others_run_on_and_room_is_all_it_needs(
    alone: Alone,
) -> None:
    server, engine = alone.server, alone.engine
    unseen = server.register(alone.name, engine)  # over TCP: nobody sees its disk, so that a launch finds it full
    server.until(lambda: server.is_connected(alone.name, unseen))
    running = alone.start(register(alone), unseen)
    server.until(lambda: alone.statuses(running) == ["RUNNING"])
    containers = engine.containers()
    alone.fill(0)
    spare = register(alone, "spare")
    reason = alone.reason(alone.start(spare, unseen))
    told = f"CannotPullContainerError: no space is left on the engine's disk for {server.host}/spare@sha256:"
    assert reason.startswith(f"TaskFailedToStart: {told}")
    alone.fill(0)
    reason = alone.reason(alone.start(register(alone), unseen))  # whose image is there
    told = r"Cannot(Create|Start)ContainerError: no space is left on the engine's disk"
    assert re.fullmatch(f"TaskFailedToStart: {told}", reason), reason
    assert alone.statuses(running) == ["RUNNING"]
    assert engine.containers() == containers
    alone.make_room()
    later = alone.start(spare, unseen)
    server.until(lambda: alone.statuses(running, later) == ["RUNNING", "RUNNING"])
    assert set(containers) < set(engine.containers())


def test_an_engine_whose_disk_is_too_full_is_rid_of_images_that_nothing_runs_and_then_placed_on_again(
    alone: Alone,
) -> None:
    server, engine = alone.server, alone.engine
    taken = register(alone, portMappings=[{"containerPort": 80, "hostPort": 8080}])

    def lacks(reason: str) -> bool:
        return [one["reason"] for one in alone.run(taken, 1)["failures"]] == [reason]

    running = alone.start(taken, alone.first)
    ended = alone.start(register(alone, "spare", command=["true"]), alone.first)
    server.until(lambda: alone.statuses(running, ended) == ["RUNNING", "STOPPED"])
    assert alone.images() == {"app", "spare"}
    containers = engine.containers()
    alone.fill(RESERVE - (1 << 19))
    server.until(lambda: alone.images() == {"app"})
    assert alone.free() >= RESERVE
    server.until(lambda: lacks("RESOURCE:PORTS"))  # which is asked last: there is room on the disk
    alone.fill(RESERVE - (1 << 19))
    server.until(lambda: lacks("RESOURCE:DISK"))  # nothing is left that could go
    assert alone.images() == {"app"}
    assert alone.statuses(running) == ["RUNNING"]
    assert engine.containers() == containers
