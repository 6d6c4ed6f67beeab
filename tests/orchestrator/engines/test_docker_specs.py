"""What is asked of Docker, where an engine cannot show it: newer versions, and machines that are not here."""

from dataclasses import replace

from orchestrator.definition import Device, HealthCheck, LinuxParameters, LogConfiguration, NetworkMode, PortMapping
from orchestrator.engines import TaskSpec
from orchestrator.engines.docker_specs import Bodies, plumbing
from tests.fixtures.engines import FakeWorld, container, task

CHECK = HealthCheck(("CMD", "true"), interval=30, timeout=5, retries=3, start_period=10)
SECOND = 1_000_000_000


def bodies(spec: TaskSpec, api: tuple[int, int] = (1, 41)) -> Bodies:
    return Bodies(spec, plumbing(spec), api, "127.0.0.1")


def test_asks_for_health_at_startup_where_the_engine_can() -> None:
    spec = task(container(FakeWorld(), "stays", "app", health_check=CHECK))

    old = bodies(spec).container(spec.containers[0], 0, None)["Healthcheck"]
    new = bodies(spec, (1, 44)).container(spec.containers[0], 0, None)["Healthcheck"]

    assert old == {
        "Test": ["CMD", "true"],
        "Interval": 30 * SECOND,
        "Timeout": 5 * SECOND,
        "Retries": 3,
        "StartPeriod": 10 * SECOND,
    }
    assert new == {**old, "StartInterval": SECOND, "StartPeriod": 30 * SECOND}


def test_ignores_the_health_check_of_an_image() -> None:
    spec = task(container(FakeWorld(), "stays", "app"))

    assert bodies(spec).container(spec.containers[0], 0, None)["Healthcheck"] == {"Test": ["NONE"]}


def test_says_nothing_of_what_the_definition_leaves_to_the_image() -> None:
    spec = task(container(FakeWorld(), "stays", "app", command=None))

    body = bodies(spec).container(spec.containers[0], 0, None)

    assert not {"Cmd", "Entrypoint", "User", "WorkingDir", "Hostname"} & body.keys()


def test_asks_for_devices_swap_and_processors_of_graphics() -> None:
    linux = LinuxParameters(devices=(Device("/dev/fuse", permissions=("read",)),), max_swap=64, swappiness=10)
    spec = task(container(FakeWorld(), "stays", "app", linux_parameters=linux, memory=64, gpus=2))

    host = bodies(spec).container(spec.containers[0], 0, None)["HostConfig"]

    assert host["Devices"] == [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "r"}]
    assert (host["MemorySwap"], host["MemorySwappiness"]) == (128 << 20, 10)
    assert host["DeviceRequests"] == [{"Driver": "", "Count": 2, "Capabilities": [["gpu"]]}]


def test_passes_other_log_drivers_through() -> None:
    logs = LogConfiguration("syslog", {"syslog-address": "udp://192.0.2.1"})
    spec = task(container(FakeWorld(), "stays", "app", log_configuration=logs))

    told = bodies(spec).container(spec.containers[0], 0, None)["HostConfig"]["LogConfig"]

    assert told == {"Type": "syslog", "Config": {"syslog-address": "udp://192.0.2.1"}}


def test_the_pause_container_has_the_ports_and_names_of_all() -> None:
    world = FakeWorld()
    web = container(world, "stays", "web", port_mappings=(PortMapping(80, 80),), system_controls={"net.a": "1"})
    side = container(world, "stays", "side", port_mappings=(PortMapping(53, protocol="udp"),))
    spec = task(web, side, network_mode=NetworkMode.AWSVPC)

    pause = bodies(spec).pause()
    joined = bodies(spec).container(spec.containers[0], 0, "abc")

    chosen = [{"HostIp": "127.0.0.1", "HostPort": ""}]
    assert pause["HostConfig"]["PortBindings"] == {"80/tcp": chosen, "53/udp": chosen}
    assert pause["HostConfig"]["Sysctls"] == {"net.a": "1"}
    assert pause["HostConfig"]["NetworkMode"] == "estiva"
    assert joined["HostConfig"]["NetworkMode"] == "container:abc"
    assert joined["HostConfig"]["Sysctls"] == {}
    assert not {"PortBindings", "Dns", "ExtraHosts"} & joined["HostConfig"].keys()
    assert not {"ExposedPorts", "Hostname", "NetworkingConfig"} & joined.keys()


def test_alone_a_container_needs_no_pause_and_no_network_of_its_own() -> None:
    world = FakeWorld()
    for mode in (NetworkMode.BRIDGE, NetworkMode.AWSVPC):
        spec = task(container(world, "stays", "app"), network_mode=mode)
        assert plumbing(spec) == replace(plumbing(spec), network="estiva", is_own=False, is_paused=False)


def test_containers_that_share_processes_join_those_of_the_pause() -> None:
    world = FakeWorld()
    spec = task(container(world, "stays", "a"), container(world, "stays", "b"), pid_mode="task", ipc_mode="task")

    assert plumbing(spec).is_paused
    host = bodies(spec).container(spec.containers[0], 0, "abc")["HostConfig"]
    assert (host["PidMode"], host["IpcMode"]) == ("container:abc", "container:abc")
    assert host["NetworkMode"] == f"task-{spec.task_id}"
