"""What the orchestrator writes down is what it reads again."""

import json
from dataclasses import replace

from estiva.digest import Digest
from orchestrator import records
from orchestrator.engines import ContainerStatus, ContainerView, HealthStatus, NetworkBinding
from orchestrator.state import (
    Deployment,
    DeploymentSettings,
    DesiredStatus,
    Instance,
    InstanceStatus,
    Placement,
    Resources,
    RolloutState,
    SchedulingStrategy,
    Service,
    ServiceStatus,
    StopCode,
    Task,
    TaskStatus,
)
from storage.metadata.clusters import ClusterKey

KEY = ClusterKey("", "default")
DIGEST = Digest.of(b"image")
VIEW = ContainerView(
    "app",
    ContainerStatus.STOPPED,
    "runtime",
    "host/app@x",
    DIGEST,
    137,
    "OutOfMemoryError: Container killed due to memory usage",
    HealthStatus.UNHEALTHY,
    1.0,
    2.0,
    3.0,
    4,
    (NetworkBinding(80, 32768), NetworkBinding(53, 53, "udp", "127.0.0.1")),
    "172.18.0.2",
)
TASK = Task(
    "t1",
    "default",
    "web",
    3,
    DesiredStatus.STOPPED,
    TaskStatus.DEPROVISIONING,
    1.5,
    "service:web",
    "web",
    "d1",
    "i1",
    "ecs-svc/1",
    Resources(256, 512, frozenset({(80, "tcp"), (53, "udp")})),
    {"app": DIGEST},
    (VIEW, ContainerView("side", ContainerStatus.PENDING)),
    HealthStatus.UNHEALTHY,
    False,
    2.0,
    3.0,
    4.0,
    1.6,
    1.9,
    StopCode.ESSENTIAL_CONTAINER_EXITED,
    "Essential container in task exited",
    7,
)
SERVICE = Service(
    "web",
    "default",
    ServiceStatus.DRAINING,
    3,
    SchedulingStrategy.DAEMON,
    DeploymentSettings(150, 50, False, False, 4, 0.5),
    Placement((("spread", "instanceId"), ("binpack", "cpu")), (("distinctInstance", ""),)),
    1.0,
    30,
    True,
    2,
)
DEPLOYMENT = Deployment(
    "d1",
    "web",
    "web",
    3,
    {"app": DIGEST},
    3,
    1.0,
    2.0,
    False,
    RolloutState.FAILED,
    "why",
    4,
    5,
    6.0,
    "d0",
    {"app": DIGEST},
    7,
)
INSTANCE = Instance(
    "i1",
    "default",
    "tcp://host:2375",
    InstanceStatus.DRAINING,
    True,
    Resources(4096, 8192, frozenset({(22, "tcp")})),
    "arm64",
    {"zone": "a"},
    9.0,
    frozenset({DIGEST}),
    frozenset({(8080, "tcp")}),
    True,
    3,
)


def test_every_field_of_a_task_is_kept() -> None:
    row = records.task_record(KEY, TASK, {"overrides": {}})
    assert records.as_task(replace(row, state=json.loads(json.dumps(row.state)))) == TASK
    new = Task("t2", "default", "web", 1, DesiredStatus.RUNNING, TaskStatus.PROVISIONING, 1.0)
    assert records.as_task(records.task_record(KEY, new, {})) == new


def test_every_field_of_a_service_is_kept() -> None:
    row = records.service_record(KEY, SERVICE, {})
    assert records.as_service(replace(row, state=json.loads(json.dumps(row.state)))) == SERVICE


def test_every_field_of_a_deployment_is_kept() -> None:
    row = records.deployment_record(KEY, DEPLOYMENT, {})
    assert (row.status, row.rollout) == ("ACTIVE", "FAILED")
    assert records.as_deployment(replace(row, state=json.loads(json.dumps(row.state)))) == DEPLOYMENT
    assert records.inactive(row).status == "INACTIVE"
    assert records.deployment_record(KEY, replace(DEPLOYMENT, primary=True), {}).status == "PRIMARY"


def test_every_field_of_an_instance_is_kept() -> None:
    row = records.instance_record(KEY, INSTANCE, {})
    assert records.as_instance(replace(row, state=json.loads(json.dumps(row.state)))) == INSTANCE
