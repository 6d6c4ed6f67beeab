"""Every operation of ECR and ECS, asked by those who may not: generated from the tables and AWS's own models."""

import itertools
import json
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import OperationModel, Shape

from aws.ecs_operations import ECS
from aws.models import Service, load_service
from aws.operations import ECR
from tests.aws.clients import OWN, Front, refused
from tests.aws.ecs_facts import ARN, Ecs
from tests.hostile.conversation import Answer, ask
from tests.security.secured import KEY_ID, elsewhere, statement

SERVICES = {"ecr": (load_service("ecr"), ECR), "ecs": (load_service("ecs"), ECS)}
OPERATIONS = [(service, operation) for service, (_, table) in SERVICES.items() for operation in table]
DIGEST = "sha256:" + "0" * 64
SAMPLES: dict[str, Any] = {
    "resourceArn": f"arn:aws:ecr:us-east-1:{OWN}:repository/a/b",
    "repositoryName": "a/b",
    "ecrRepositoryPrefix": "aa",
    "prefix": "aa",
    "imageDigest": DIGEST,
    "layerDigest": DIGEST,
    "layerDigests": [DIGEST],
    "subjectId": {"imageDigest": DIGEST},
    "policyText": "{}",
    "lifecyclePolicyText": "x" * 100,
    "upstreamRegistryUrl": "127.0.0.1:1",
    "uploadId": "00000000-0000-4000-8000-000000000000",
    "replicationConfiguration": {"rules": []},
    "layerPartBlob": "AAAA",
    "appliedFor": ["REPLICATION"],
}
"""Values that the model alone does not tell."""
_numbers = itertools.count()


def least(model: OperationModel) -> dict[str, Any]:
    """An input with what is required and nothing more."""
    return value_of(model.input_shape) if model.input_shape is not None else {}


def value_of(shape: Shape) -> Any:
    """Some value of the shape."""
    if shape.type_name == "structure":
        members = {name: shape.members[name] for name in shape.required_members}
        return {name: SAMPLES.get(name) or value_of(member) for name, member in members.items()}
    if shape.type_name == "list":
        return [value_of(shape.member)]
    if shape.type_name == "map":
        return {}
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else "a" * max(1, int(shape.metadata.get("min", 1)))
    return {"boolean": True}.get(shape.type_name, 1)


def asked(front: Front, service: str, operation: str, credentials: Credentials | None) -> Answer:
    """The answer to the least request for the operation, signed with these credentials."""
    of_service: Service = SERVICES[service][0]
    body = json.dumps(least(of_service.operations[operation])).encode()
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"{of_service.target_prefix}.{operation}",
    }
    request = AWSRequest("POST", "http://registry.example/", data=body, headers=headers)
    if credentials is not None:
        SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    return ask(front.served.port, "POST", "/", *request.headers.items(), elsewhere(), body=body)


@pytest.fixture(scope="module")
def stranger(front: Front) -> Credentials:
    """The key of a user that no policy speaks of."""
    name = f"stranger-{next(_numbers)}"
    front.served.user(name)
    made = json.loads(front.served.done("POST", f"/users/{name}/keys").body)
    return Credentials(made["id"], made["secret"])


@pytest.fixture(scope="module")
def shut_out(front: Front) -> Credentials:
    """The key of an administrator who was shut out."""
    name = f"shut-out-{next(_numbers)}"
    front.served.user(name, "AdministratorAccess")
    made = json.loads(front.served.done("POST", f"/users/{name}/keys").body)
    front.served.done("PATCH", f"/users/{name}", {"disabled": True})
    return Credentials(made["id"], made["secret"])


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_no_operation_is_done_for_who_may_not(
    front: Front, stranger: Credentials, shut_out: Credentials, service: str, operation: str
) -> None:
    knocking = {
        "nobody": None,
        "an unknown key": Credentials("AKIA" + "Z" * 16, "a secret"),
        "a wrong secret": Credentials(KEY_ID, "a wrong secret"),
        "who was shut out": shut_out,
        "a stranger": stranger,
    }
    answers = {who: asked(front, service, operation, credentials) for who, credentials in knocking.items()}
    codes = {who: json.loads(answer.body)["__type"] for who, answer in answers.items()}
    assert codes == {
        "nobody": "MissingAuthenticationTokenException",
        "an unknown key": "UnrecognizedClientException",
        "a wrong secret": "InvalidSignatureException",
        "who was shut out": "UnrecognizedClientException",
        "a stranger": "AccessDeniedException",
    }
    assert all(400 <= answer.status < 500 for answer in answers.values())


def test_a_deny_holds_for_a_resource_by_whatever_arn_it_is_named(ecs: Ecs) -> None:
    cluster, family = ecs.cluster(instances=0), ecs.definition()
    kept = [f"{ARN}cluster/{cluster}", f"{ARN}task-definition/{family}:1"]
    denied = (statement("ecs:TagResource", arn, effect="Deny") for arn in kept)
    client = ecs.user(statement("ecs:*", "*"), *denied)
    elsewhere_named = [arn.replace("us-east-1", "eu-west-9").replace("arn:aws:", "arn:aws-cn:") for arn in kept]
    for arn in [*kept, *elsewhere_named]:
        assert refused(client.tag_resource, resourceArn=arn, tags=[])[0] == "AccessDeniedException", arn
    for arn, code in {
        f"{kept[0]}/more": "ResourceNotFoundException",
        f"{kept[1]}/more": "InvalidParameterException",
        kept[1].replace(":1", ":01"): "InvalidParameterException",
    }.items():
        assert refused(client.tag_resource, resourceArn=arn, tags=[])[0] == code, arn
    tags = {"key": "a", "value": "1"}
    ecs.client.tag_resource(resourceArn=elsewhere_named[0], tags=[tags])
    assert ecs.client.list_tags_for_resource(resourceArn=kept[0])["tags"] == [tags]
