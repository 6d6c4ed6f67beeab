"""The front: what is no request is refused in AWS's words, and nothing ever is a fault of the server."""

import json
import random
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.aws.calls import CALLS
from tests.aws.clients import Ecr, Front, new_repository, refused
from tests.hostile.conversation import Answer, ask
from tests.security.secured import KEY_ID, KEY_SECRET

PREFIX = "AmazonEC2ContainerRegistry_V20150921"
SHALLOW = b'{"repositoryName":' + b"[" * 50_000


def post(front: Front, operation: str, body: bytes, target: str = PREFIX, **headers: str) -> Answer:
    """The answer to a signed request with just this body."""
    named = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{target}.{operation}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    request = AWSRequest("POST", "http://registry.example/", data=body, headers=named)
    SigV4Auth(Credentials(KEY_ID, KEY_SECRET), "ecr", "us-east-1").add_auth(request)
    return ask(front.served.port, "POST", "/", *request.headers.items(), body=body)


def code(answer: Answer) -> str:
    """The error's code, said twice."""
    said: str = json.loads(answer.body)["__type"]
    assert answer.field("x-amzn-errortype") == said
    assert answer.field("x-amzn-requestid")
    assert answer.field("content-type") == "application/x-amz-json-1.1"
    return said


def test_an_operation_that_is_not_implemented_says_so_by_name_and_is_not_tried_again(ecr: Ecr) -> None:
    error, text = refused(ecr.get_account_setting, name="BASIC_SCAN_TYPE_VERSION")
    assert error == "NotImplementedException"
    assert "GetAccountSetting" in text


@pytest.mark.parametrize("target", [f"{PREFIX}.DropEverything", "Nobody.CreateRepository", "x", ""])
def test_an_operation_that_is_none_is_unknown(front: Front, target: str) -> None:
    prefix, _, operation = target.partition(".")
    assert code(post(front, operation, b"{}", prefix)) == "UnknownOperationException"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", "SerializationException"),
        (b"[]", "SerializationException"),
        (b"null", "SerializationException"),
        (b"\xff\xfe", "SerializationException"),
        (SHALLOW, "SerializationException"),
        (b'{"repositoryName":"\\ud800"}', "SerializationException"),
        (b'{"repositoryName":"app\\u0000"}', "InvalidParameterException"),
        (b'{"repositoryName":7}', "SerializationException"),
        (b'{"repositoryName":"../etc"}', "InvalidParameterException"),
        (b'{"repositoryName":"' + b"a" * 300 + b'"}', "InvalidParameterException"),
        (b'{"repositoryName":null}', "InvalidParameterException"),
        (b"", "InvalidParameterException"),
        (b'{"repositoryName":"app","maxResults":1001}', "InvalidParameterException"),
        (b'{"repositoryName":"app","maxResults":1e3}', "SerializationException"),
        (b'{"repositoryName":"app","maxResults":true}', "SerializationException"),
        (b'{"repositoryName":"app","maxResults":99999999999999999999}', "SerializationException"),
        (b'{"repositoryName":"app","maxResults":NaN}', "SerializationException"),
        (b'{"repositoryName":"app","registryId":"12"}', "InvalidParameterException"),
        (b'{"repositoryName":"app","filter":{"tagStatus":"SOME"}}', "InvalidParameterException"),
        (b'{"repositoryName":"app","imageIds":[]}', "InvalidParameterException"),
        (b'{"repositoryName":"app","imageIds":[[]]}', "SerializationException"),
        (b'{"repositoryName":"app","imageIds":' + json.dumps([{}] * 101).encode() + b"}", "InvalidParameterException"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_what_is_no_input_is_refused(front: Front, body: bytes, expected: str) -> None:
    answer = post(front, "DescribeImages", body)
    assert (answer.status, code(answer)) == (400, expected)


def test_members_that_nobody_knows_are_ignored(front: Front) -> None:
    answer = post(front, "DescribeRegistry", b'{"more":{"than":["anybody","knows"]}}')
    assert answer.status == 200


def test_a_body_that_is_too_large_is_refused(front: Front) -> None:
    answer = post(front, "DescribeImages", b'{"repositoryName":"' + b"a" * 300_000 + b'"}')
    assert (answer.status, code(answer)) == (413, "RequestEntityTooLargeException")


def test_a_request_that_is_not_signed_is_refused(front: Front) -> None:
    target = ("X-Amz-Target", f"{PREFIX}.DescribeRegistry")
    answer = ask(front.served.port, "POST", "/", target, body=b"{}")
    assert (answer.status, code(answer)) == (400, "MissingAuthenticationTokenException")


def test_an_unknown_key_and_a_wrong_secret_are_refused(front: Front) -> None:
    assert refused(front.client("AKIA" + "Z" * 16).describe_registry)[0] == "UnrecognizedClientException"
    assert refused(front.client(secret="wrong").describe_registry)[0] == "InvalidSignatureException"
    assert refused(front.client(aws_session_token="t").describe_registry)[0] == "UnrecognizedClientException"


def test_what_policies_do_not_allow_is_denied_before_it_is_looked_for(front: Front, ecr: Ecr) -> None:
    name = new_repository(ecr)
    nobody = front.user("front-nobody")
    texts = {refused(nobody.describe_images, repositoryName=text)[1].replace(text, "") for text in (name, "absent")}
    [text] = texts
    assert text.startswith("User: arn:aws:iam::000000000000:user/front-nobody is not authorized to perform: ecr:Descr")


def test_a_policy_may_ask_for_the_tag(front: Front, ecr: Ecr) -> None:
    name = new_repository(ecr)
    only_dev = {"StringLike": {"ecr:ImageTag": "dev-*"}}
    document = {"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "*", "Condition": only_dev}
    pusher = front.user("front-tagger", json.dumps({"Version": "2012-10-17", "Statement": [document]}))
    assert (
        refused(pusher.put_image, repositoryName=name, imageManifest="{}", imageTag="v1")[0] == "AccessDeniedException"
    )
    denied = refused(pusher.put_image, repositoryName=name, imageManifest="{}", imageTag="dev-1")[0]
    assert denied == "InvalidParameterException"


def test_sts_speaks_its_own_protocol_in_refusals_too(front: Front) -> None:
    assert refused(front.client(service="sts").get_session_token)[0] == "NotImplemented"
    assert refused(front.client(secret="wrong", service="sts").get_caller_identity)[0] == "InvalidSignature"


def _mutated(value: Any, chance: random.Random) -> Any:
    """The value, or something else in its place."""
    odd: list[Any] = [
        None,
        True,
        -1,
        2**70,
        1.5,
        "",
        "\u0000",
        "a" * 5000,
        "ü",
        [],
        {},
        [[]],
        {"a": {}},
        "../..",
        "%00",
        "*",
    ]
    if chance.random() < 0.2:
        return chance.choice(odd)
    if isinstance(value, dict):
        return {key: _mutated(entry, chance) for key, entry in value.items()}
    if isinstance(value, list):
        return [_mutated(entry, chance) for entry in value * chance.choice([1, 1, 2])]
    return value


def test_whatever_is_sent_is_never_a_fault_of_the_server(front: Front, ecr: Ecr) -> None:
    name, chance = new_repository(ecr), random.Random(7)
    for operation, make in CALLS.items():
        for _ in range(6):
            sent = json.dumps(_mutated(make(ecr, name), chance)).encode()
            answer = post(front, operation, sent)
            assert answer.status < 500, (operation, sent[:500], answer)
