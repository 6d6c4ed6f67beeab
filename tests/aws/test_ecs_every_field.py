"""Each member that the model knows of a task definition acts, is refused by name, or is documented as only kept."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.model import Shape

from aws.models import load_service
from aws.requests import check
from orchestrator.parsing import parse, with_defaults
from orchestrator.rules import DefinitionInvalid
from tests.house.source import ROOT

INPUT = load_service("ecs").operations["RegisterTaskDefinition"].input_shape
BASE: dict[str, Any] = {
    "family": "web",
    "cpu": "256",
    "memory": "512",
    "volumes": [
        {"name": "v", "dockerVolumeConfiguration": {"scope": "task", "driver": "local"}},
        {"name": "w", "host": {}},
    ],
    "placementConstraints": [{"type": "memberOf", "expression": "attribute:a == b"}],
    "containerDefinitions": [
        {
            "name": "app", "image": "web:1", "memory": 64, "memoryReservation": 32,
            "portMappings": [{"containerPort": 80}],
            "restartPolicy": {"enabled": True},
            "environment": [{"name": "A", "value": "1"}],
            "mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}],
            "volumesFrom": [{"sourceContainer": "b"}],
            "secrets": [{"name": "S", "valueFrom": "secret:a"}],
            "dependsOn": [{"containerName": "b", "condition": "START"}],
            "extraHosts": [{"hostname": "h", "ipAddress": "10.0.0.1"}],
            "logConfiguration": {"logDriver": "json-file"},
            "healthCheck": {"command": ["CMD", "true"]},
            "systemControls": [{"namespace": "net.core.somaxconn", "value": "128"}],
            "resourceRequirements": [{"type": "GPU", "value": "1"}],
        },
        {"name": "b", "image": "web:1", "essential": False},
        {"name": "c", "image": "web:1"},
    ],
}  # fmt: skip
VALUES: dict[str, Any] = {
    "networkMode": "host",
    "cpu": "512",
    "memory": "1024",
    "placementConstraints.expression": "attribute:a == c",
    "containerDefinitions.name": "other",
    "containerDefinitions.image": "web:2",
    "containerDefinitions.memoryReservation": 16,
    "containerDefinitions.memory": 128,
    "containerDefinitions.essential": False,
    "containerDefinitions.links": ["b"],
    "containerDefinitions.portMappings.protocol": "udp",
    "containerDefinitions.restartPolicy.enabled": False,
    "containerDefinitions.restartPolicy.restartAttemptPeriod": 60,
    "containerDefinitions.mountPoints.sourceVolume": "w",
    "containerDefinitions.volumesFrom.sourceContainer": "c",
    "containerDefinitions.dependsOn.containerName": "c",
    "containerDefinitions.dependsOn.condition": "COMPLETE",
    "containerDefinitions.secrets.valueFrom": "secret:b",
    "containerDefinitions.versionConsistency": "disabled",
    "containerDefinitions.healthCheck.command": ["CMD", "false"],
    "containerDefinitions.logConfiguration.logDriver": "syslog",
    "containerDefinitions.resourceRequirements.value": "2",
    "containerDefinitions.resourceRequirements.type": "InferenceAccelerator",
    "runtimePlatform.operatingSystemFamily": "WINDOWS_SERVER_2022_CORE",
    "volumes.name": "x",
    "volumes.host.sourcePath": "/srv",
    "volumes.dockerVolumeConfiguration.scope": "shared",
}
KEPT = {
    "taskRoleArn",
    "executionRoleArn",
    "ephemeralStorage",
    "ephemeralStorage.sizeInGiB",
    "enableFaultInjection",
    "requiresCompatibilities",
    "trustedExecutionConfiguration",
    "trustedExecutionConfiguration.isolationMode",
    "trustedExecutionConfiguration.attestationPolicy",
    "containerDefinitions.repositoryCredentials",
    "containerDefinitions.repositoryCredentials.credentialsParameter",
    "containerDefinitions.portMappings.appProtocol",
}
"""What is given back, and has no effect."""
NOT_HERE = {"tags", "tags.key", "tags.value", "placementConstraints.type"}
"""Tags are kept beside the definition; there is one type of constraint."""


def leaves(shape: Shape, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of members, those of structures in lists too."""
    for name, member in shape.members.items():
        inner = member.member if member.type_name == "list" else member
        if inner.type_name == "structure" and inner.members:
            yield from leaves(inner, (*before, name))
        else:
            yield (*before, name)


def value(shape: Shape) -> Any:
    """Something of that shape."""
    match shape.type_name:
        case "string":
            return shape.enum[0] if shape.enum else "x"
        case "integer" | "long" | "float" | "double":
            return 10
        case "boolean":
            return True
        case "list":
            return [value(shape.member)]
        case "map":
            return {"k": "x"}
        case _:
            return {name: value(shape.members[name]) for name in shape.required_members}


def put(document: dict[str, Any], shape: Shape, path: tuple[str, ...], given: Any) -> None:
    """Set the member of that path, in the first entry of each list on its way."""
    name, *rest = path
    member = shape.members[name]
    if not rest:
        document[name] = value(member) if given is None else given
        return
    if member.type_name == "list":
        entries = document.setdefault(name, [])
        if not entries:
            entries.append(value(member.member))
        put(entries[0], member.member, tuple(rest), given)
    else:
        put(document.setdefault(name, value(member)), member, tuple(rest), given)


@pytest.mark.parametrize("path", [".".join(path) for path in leaves(INPUT) if ".".join(path) not in NOT_HERE])
def test_no_member_of_a_task_definition_is_left_out_silently(path: str) -> None:
    document = copy.deepcopy(BASE)
    put(document, INPUT, tuple(path.split(".")), VALUES.get(path))
    if path == "volumes.name":
        document["containerDefinitions"][0]["mountPoints"] = []
    checked = check(INPUT, document)
    try:
        parsed = parse(with_defaults(checked))
    except DefinitionInvalid as refusal:
        text = str(refusal)
        assert "is not supported by this server" in text, text
        assert text.split(maxsplit=1)[0].rsplit(".", maxsplit=1)[-1] in path, text
        assert path not in KEPT
        return
    assert (parsed == parse(with_defaults(check(INPUT, BASE)))) is (path in KEPT)


def test_what_is_only_kept_is_documented() -> None:
    documented = (ROOT / "docs" / "ecs.md").read_text()
    names = {path.removeprefix("containerDefinitions.").removeprefix("portMappings.").split(".")[0] for path in KEPT}
    assert [name for name in sorted(names) if f"`{name}`" not in documented] == []


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ({"resourceRequirements": [{"type": "GPU"}]}, "the value of GPU is a number"),
        (
            {"resourceRequirements": [{"type": "GPU", "value": "1", "sharingStrategy": {}}]},
            "resourceRequirements.sharingStrategy is not supported",
        ),
        ({"logConfiguration": {"logDriver": "awsfirelens"}}, "logConfiguration.logDriver awsfirelens"),
    ],
    ids=["no value", "shared", "firelens"],
)
def test_what_no_engine_could_do_is_refused_at_once(member: dict[str, Any], said: str) -> None:
    document = {"family": "web", "containerDefinitions": [{"name": "app", "image": "web:1", "memory": 64, **member}]}
    with pytest.raises(DefinitionInvalid, match=said):
        parse(with_defaults(check(INPUT, document)))
