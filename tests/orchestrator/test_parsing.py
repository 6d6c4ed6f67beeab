"""Task definitions: what is read from ECS's JSON, what is added to it, and what is refused in which words."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.definition import (
    Condition,
    Dependency,
    Device,
    HealthCheck,
    MountPoint,
    NetworkMode,
    PortMapping,
    RestartPolicy,
    Tmpfs,
    Ulimit,
    Volume,
    VolumesFrom,
)
from orchestrator.parsing import cpu_units, mebibytes, parse, with_defaults
from orchestrator.rules import DefinitionInvalid


def container(name: str = "app", **members: Any) -> dict[str, Any]:
    return {"name": name, "image": "127.0.0.1:5000/web:1", "memory": 64} | members


def document(*containers: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    return {"family": "web", "containerDefinitions": list(containers) or [container()]} | members


FULL = document(
    container(
        cpu=256,
        memoryReservation=32,
        entryPoint=["/bin/sh", "-c"],
        command=["serve"],
        environment=[{"name": "A", "value": "b"}],
        secrets=[{"name": "PASSWORD", "valueFrom": "secret:db/password"}],
        portMappings=[
            {"containerPort": 80, "hostPort": 8080, "name": "http"},
            {"containerPort": 53, "protocol": "udp"},
        ],
        dependsOn=[{"containerName": "init", "condition": "SUCCESS"}],
        startTimeout=60,
        stopTimeout=5,
        healthCheck={"command": ["CMD-SHELL", "true"], "interval": 10, "startPeriod": 3},
        restartPolicy={"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60},
        mountPoints=[{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
        volumesFrom=[{"sourceContainer": "init"}],
        ulimits=[{"name": "nofile", "softLimit": 1024, "hardLimit": 2048}],
        linuxParameters={
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            "devices": [{"hostPath": "/dev/fuse", "permissions": ["read"]}],
            "initProcessEnabled": True,
            "sharedMemorySize": 64,
            "tmpfs": [{"containerPath": "/tmp", "size": 16, "mountOptions": ["noexec"]}],
        },
        logConfiguration={"logDriver": "awslogs", "options": {"awslogs-group": "web"}},
        user="1000:1000",
        workingDirectory="/srv",
        extraHosts=[{"hostname": "db", "ipAddress": "10.0.0.1"}],
        dockerLabels={"traefik.enable": "true"},
        systemControls=[{"namespace": "net.core.somaxconn", "value": "1024"}],
        resourceRequirements=[{"type": "GPU", "value": "1"}],
        versionConsistency="disabled",
    ),
    container("init", essential=False),
    volumes=[
        {"name": "data", "host": {"sourcePath": "/srv/data"}},
        {"name": "own"},
        {"name": "named", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True, "driver": "local"}},
    ],
    cpu="1 vCPU",
    memory="0.5 GB",
    runtimePlatform={"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
    executionRoleArn="arn:aws:iam::1:role/x",
)


def test_everything_that_acts_is_read() -> None:
    definition = parse(FULL, 7)
    app = definition.container("app")
    assert (definition.family, definition.revision, definition.cpu, definition.memory) == ("web", 7, 1024, 512)
    assert (definition.architecture, definition.network_mode) == ("arm64", NetworkMode.BRIDGE)
    assert definition.volumes == (
        Volume("data", "/srv/data"),
        Volume("own"),
        Volume("named", shared_name="named", driver="local", autoprovision=True),
    )
    assert (app.entry_point, app.command, app.environment) == (("/bin/sh", "-c"), ("serve",), {"A": "b"})
    assert app.secrets == {"PASSWORD": "secret:db/password"}
    assert app.port_mappings == (PortMapping(80, 8080, name="http"), PortMapping(53, None, "udp"))
    assert app.depends_on == (Dependency("init", Condition.SUCCESS),)
    assert (app.start_timeout, app.stop_timeout, app.cpu, app.memory, app.memory_reservation) == (60, 5, 256, 64, 32)
    assert app.health_check == HealthCheck(("CMD-SHELL", "true"), 10, 5, 3, 3)
    assert app.restart_policy == RestartPolicy(frozenset({0}), 60)
    assert app.mount_points == (MountPoint("data", "/data", True),)
    assert app.volumes_from == (VolumesFrom("init"),)
    assert app.ulimits == (Ulimit("nofile", 1024, 2048),)
    linux = app.linux_parameters
    assert (linux.capabilities_add, linux.capabilities_drop, linux.init_process_enabled) == (
        ("NET_ADMIN",),
        ("ALL",),
        True,
    )
    assert linux.devices == (Device("/dev/fuse", None, ("read",)),)
    assert (linux.tmpfs, linux.shared_memory_size) == ((Tmpfs("/tmp", 16, ("noexec",)),), 64)
    assert app.log_configuration is not None
    assert app.log_configuration.options == {"awslogs-group": "web"}
    assert (app.user, app.working_directory, app.extra_hosts) == ("1000:1000", "/srv", {"db": "10.0.0.1"})
    assert (app.docker_labels, app.gpus, app.resolves_at_launch) == ({"traefik.enable": "true"}, 1, True)
    assert app.system_controls == {"net.core.somaxconn": "1024"}
    assert not definition.container("init").essential
    with pytest.raises(KeyError):
        definition.container("absent")


def test_the_document_is_given_back_whole_with_ecs_own_defaults() -> None:
    before = copy.deepcopy(FULL)
    shown = with_defaults(FULL)
    assert before == FULL
    assert shown["executionRoleArn"] == FULL["executionRoleArn"]
    assert with_defaults(shown) == shown
    assert parse(shown, 7) == parse(FULL, 7)
    for given_container, shown_container in zip(
        FULL["containerDefinitions"], shown["containerDefinitions"], strict=True
    ):
        for name, value in given_container.items():
            if name != "portMappings":
                assert shown_container[name] == value
    bare = with_defaults(document())["containerDefinitions"][0]
    added = {"cpu": 0, "essential": True, "portMappings": [], "environment": [], "mountPoints": [], "volumesFrom": []}
    assert bare == container() | added | {"systemControls": []}


def test_on_the_hosts_network_a_port_is_the_hosts_and_with_awsvpc_the_engine_chooses() -> None:
    ports = [{"containerPort": 80, "hostPort": 80}]
    shown = {
        mode: parse(document(container(portMappings=ports), networkMode=mode)).containers[0].port_mappings[0].host_port
        for mode in ("bridge", "host", "awsvpc")
    }
    assert shown == {"bridge": 80, "host": 80, "awsvpc": None}
    unset = document(container(portMappings=[{"containerPort": 80, "hostPort": 0}]))
    assert parse(unset).containers[0].port_mappings[0].host_port is None


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no image": (document(container(image="")), "Container.image should not be null or empty."),
    "no name": (document(container(name="")), "Container.name should not be null or empty."),
    "no containers": (document() | {"containerDefinitions": []}, "at least one container definition"),
    "family": (document(family="a b"), "Family contains invalid characters"),
    "no memory": (
        document({"name": "app", "image": "i"}),
        "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified.",
    ),
    "little memory": (document(container(memory=4)), "at least 6 MiB"),
    "soft above hard": (document(container(memoryReservation=65)), "must not be greater than 'memory'"),
    "above the task": (document(memory="32"), "greater than that of the task"),
    "cpu above the task": (document(container(cpu=512), cpu="256"), "more than the task has"),
    "memory text": (document(memory="much"), "Invalid 'memory' setting for task."),
    "nothing essential": (document(container(essential=False)), "at least one essential container"),
    "twice": (document(container(), container()), "The container name 'app' is there twice."),
    "cycle": (
        document(
            container("a", dependsOn=[{"containerName": "b", "condition": "START"}]),
            container("b", dependsOn=[{"containerName": "a", "condition": "START"}]),
        ),
        "Container dependencies form a cycle: a, b.",
    ),
    "itself": (document(container(dependsOn=[{"containerName": "app", "condition": "START"}])), "no other container"),
    "absent": (
        document(container(dependsOn=[{"containerName": "x", "condition": "START"}])),
        "no other container: 'x'",
    ),
    "unchecked": (
        document(container(dependsOn=[{"containerName": "b", "condition": "HEALTHY"}]), container("b")),
        "HEALTHY needs a healthCheck of the container 'b'",
    ),
    "essential": (
        document(container(dependsOn=[{"containerName": "b", "condition": "COMPLETE"}]), container("b")),
        "'b' is essential: nothing can depend on its COMPLETE",
    ),
    "health": (document(container(healthCheck={"command": ["true"]})), "begins with CMD, CMD-SHELL or NONE"),
    "no command": (document(container(healthCheck={"command": ["CMD"]})), "must not be empty"),
    "interval": (document(container(healthCheck={"command": ["CMD", "a"], "interval": 1})), "between 5 and 300"),
    "restart": (document(container(restartPolicy={"enabled": True, "restartAttemptPeriod": 5})), "between 60 and 1800"),
    "timeout": (document(container(stopTimeout=-1)), "'stopTimeout' must be between"),
    "volume": (document(container(mountPoints=[{"sourceVolume": "x", "containerPath": "/x"}])), "Unknown volume 'x'."),
    "links": (
        document(container(links=["b"]), networkMode="awsvpc"),
        "Links are not supported when networkMode=awsvpc.",
    ),
    "ports": (document(container(portMappings=[{"containerPort": 1}]), networkMode="none"), "networkMode=none"),
    "host port": (
        document(container(portMappings=[{"containerPort": 80, "hostPort": 81}]), networkMode="awsvpc"),
        "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
    ),
    "port range": (document(container(portMappings=[{"containerPort": 70000}])), "between 1 and 65535"),
    "port twice": (
        document(container(portMappings=[{"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}])),
        "The port 9 is used by more than one port mapping.",
    ),
    "secret": (document(container(secrets=[{"name": "A", "valueFrom": "arn:x"}])), "must be 'secret:NAME'"),
    "secret and variable": (
        document(
            container(secrets=[{"name": "A", "valueFrom": "secret:a"}], environment=[{"name": "A", "value": "b"}])
        ),
        "not shared with environment: 'A'",
    ),
    "efs": (
        document(volumes=[{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]),
        "volumes.efsVolumeConfiguration is not supported",
    ),
    "firelens": (document(container(firelensConfiguration={"type": "fluentd"})), "containerDefinitions.firelens"),
    "windows": (
        document(runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
        "operatingSystemFamily",
    ),
    "mesh": (document(proxyConfiguration={"containerName": "a"}), "proxyConfiguration is not supported"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_run_is_refused_in_words_that_name_it(case: str) -> None:
    given_document, words = REFUSED[case]
    with pytest.raises(DefinitionInvalid) as caught:
        parse(given_document)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "units"), [("256", 256), (".25 vCPU", 256), ("1vcpu", 1024), (None, None), ("", None)], ids=str
)
def test_a_processors_share_is_in_units_or_processors(text: str | None, units: int | None) -> None:
    assert cpu_units(text) == units


@pytest.mark.parametrize("text", ["0", "-1", "vCPU", "1e3", "٣", "9" * 20, "1 GB"])
def test_what_is_no_share_of_a_processor_is_refused(text: str) -> None:
    with pytest.raises(DefinitionInvalid):
        cpu_units(text)
    assert mebibytes("2 GB") == 2048


edges = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


@given(edges)
def test_dependencies_are_refused_exactly_where_they_can_not_be_put_in_order(pairs: list[tuple[int, int]]) -> None:
    waits = {number: {other for one, other in pairs if one == number} for number in range(6)}
    containers = [
        container(
            f"c{number}", dependsOn=[{"containerName": f"c{other}", "condition": "START"} for other in sorted(on)]
        )
        for number, on in waits.items()
    ]

    def reachable(start: int) -> set[int]:
        seen: set[int] = set()
        found = list(waits[start])
        while found:
            number = found.pop()
            if number not in seen:
                seen.add(number)
                found.extend(waits[number])
        return seen

    if any(number in reachable(number) for number in waits):
        with pytest.raises(DefinitionInvalid):
            parse(document(*containers))
    else:
        assert len(parse(document(*containers)).containers) == 6


@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(0, 3), st.sampled_from(["tcp", "udp"])), max_size=6))
def test_two_mappings_never_take_the_same_port_of_the_host(ports: list[tuple[int, int, str]]) -> None:
    mappings = [
        {"containerPort": inside, "hostPort": outside, "protocol": protocol} for inside, outside, protocol in ports
    ]
    fixed = [(outside, protocol) for _, outside, protocol in ports if outside]
    try:
        parsed = parse(document(container(portMappings=mappings))).containers[0].port_mappings
    except DefinitionInvalid:
        assert len(set(fixed)) < len(fixed)
    else:
        assert len(set(fixed)) == len(fixed)
        assert [one.container_port for one in parsed] == [inside for inside, _, _ in ports]
