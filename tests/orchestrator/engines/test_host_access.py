"""What tasks may have of the host."""

from typing import Any

import pytest

from orchestrator.definition import ContainerDefinition, Device, LinuxParameters, NetworkMode, TaskDefinition, Volume
from orchestrator.engines import Refused
from orchestrator.engines.host_access import HostAccess


def definition(volumes: tuple[Volume, ...] = (), **members: Any) -> TaskDefinition:
    own = {name: members.pop(name) for name in ("network_mode", "pid_mode", "ipc_mode") if name in members}
    return TaskDefinition("f", 1, (ContainerDefinition("app", "i", **members),), volumes, **own)


ASKS_MUCH = {
    "privileged": definition(privileged=True),
    "devices": definition(linux_parameters=LinuxParameters(devices=(Device("/dev/sda"),))),
    "capabilities": definition(linux_parameters=LinuxParameters(capabilities_add=("CAP_SYS_ADMIN",))),
    "all capabilities": definition(linux_parameters=LinuxParameters(capabilities_add=("ALL",))),
    "security options": definition(docker_security_options=("apparmor=unconfined",)),
    "processes": definition(pid_mode="host"),
    "ipc": definition(ipc_mode="host"),
}


@pytest.mark.parametrize("asked", ASKS_MUCH.values(), ids=ASKS_MUCH.keys())
def test_only_the_privileged_get_what_reaches_out_of_a_container(asked: TaskDefinition) -> None:
    HostAccess(privileged=True).check(asked)
    with pytest.raises(Refused, match=r"^CannotCreateContainerError: this instance does not allow ") as refused:
        HostAccess().check(asked)

    assert refused.value.lasting


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/srv/data", True),
        ("/srv/data/app", True),
        ("/srv/data/../data/app", True),
        ("/srv/database", False),
        ("/srv/data/../../etc", False),
        ("/", False),
        ("relative", False),
    ],
)
def test_volumes_are_in_the_folders_that_are_allowed(path: str, allowed: bool) -> None:
    access = HostAccess(paths=("/srv/data/",))
    for volume in (
        Volume("v", host_path=path),
        Volume("v", driver_options={"type": "none", "o": "bind", "device": path}),
    ):
        if allowed:
            access.check(definition((volume,)))
        else:
            with pytest.raises(Refused, match="of the host in a volume"):
                access.check(definition((volume,)))


def test_everything_else_is_allowed() -> None:
    linux = LinuxParameters(capabilities_add=("NET_ADMIN", "CAP_CHOWN"))
    HostAccess().check(definition((Volume("v"),), linux_parameters=linux, network_mode=NetworkMode.HOST))
    with pytest.raises(Refused, match="network mode host"):
        HostAccess(network=False).check(definition(network_mode=NetworkMode.HOST))
