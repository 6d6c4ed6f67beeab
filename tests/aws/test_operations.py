"""Every operation of the table: it answers, only with what the service's model knows, and is documented."""

import contextlib
import json
import re
from typing import Any

import pytest
from botocore.model import Shape

from auth.sealing import Seal
from aws.answers import NotInModelError, body_of
from aws.ecs_operations import ECS
from aws.errors import AwsError
from aws.models import load_service
from aws.operations import ECR
from aws.paging import Pages
from aws.requests import SAFE_PATTERNS, check
from tests.aws.calls import CALLS
from tests.aws.clients import Ecr, Front, new_repository
from tests.aws.test_front import post
from tests.house.source import ROOT

SERVICE, ECS_SERVICE = load_service("ecr"), load_service("ecs")
ROW = re.compile(r"^\| `(\w+)` \| (supported|partly|501) \|", re.MULTILINE)


@pytest.mark.parametrize("operation", ECR)
def test_every_operation_answers_with_members_of_its_model_only(front: Front, ecr: Ecr, operation: str) -> None:
    answer = post(front, operation, json.dumps(CALLS[operation](ecr, new_repository(ecr))).encode())
    assert answer.status == 200, answer
    assert members(json.loads(answer.body), SERVICE.operations[operation].output_shape) == []


def members(value: Any, shape: Shape, path: str = "") -> list[str]:
    """The members of an answer that its shape does not have."""
    if shape is not None and shape.type_name == "structure":
        found = [f"{path}.{name}" for name in value if name not in shape.members]
        known = [
            (entry, shape.members[name], f"{path}.{name}") for name, entry in value.items() if name in shape.members
        ]
        return found + [deeper for one in known for deeper in members(*one)]
    if shape is not None and shape.type_name == "list":
        return [deeper for entry in value for deeper in members(entry, shape.member, path)]
    return []


def test_an_answer_with_a_member_that_the_model_lacks_is_an_error() -> None:
    shape = SERVICE.operations["DescribeRegistry"].output_shape
    with pytest.raises(NotInModelError, match="registryName"):
        body_of(shape, {"registryName": "x"})
    with pytest.raises(NotInModelError, match="registryId"):
        body_of(shape, {"registryId": 7})


def test_the_documentation_names_every_operation_of_ecs_as_it_is() -> None:
    documented = dict(ROW.findall((ROOT / "docs" / "ecs.md").read_text()))
    assert set(documented) == set(ECS_SERVICE.operations)
    assert {name for name, state in documented.items() if state != "501"} == set(ECS)


def test_every_operation_of_the_table_is_one_of_the_service() -> None:
    assert set(ECR) <= set(SERVICE.operations)
    assert set(ECS) <= set(ECS_SERVICE.operations)


def test_the_documentation_names_every_operation_of_ecr_as_it_is() -> None:
    documented = dict(ROW.findall((ROOT / "docs" / "ecr.md").read_text()))
    assert set(documented) == set(SERVICE.operations)
    assert {name for name, state in documented.items() if state != "501"} == set(ECR)


SHAPES = {name: shape for service in (SERVICE, ECS_SERVICE) for name, shape in service.shapes.items()}


@pytest.mark.parametrize("shape", [name for name, shape in SHAPES.items() if shape.metadata.get("pattern")], ids=str)
def test_no_pattern_of_the_model_takes_long(shape: str) -> None:
    found = SHAPES[shape]
    for text in (
        "a" * 255 + "!",
        "a." * 127 + "!",
        "a/" * 127 + "!",
        "*" * 255 + "!",
        "a-" * 127 + "/!",
        "arn:aws" + "-a" * 120,
    ):
        with contextlib.suppress(AwsError):
            check(found, text)


@pytest.mark.parametrize(
    ("text", "fits"), [("a*b", True), ("*", True), ("a/b.c-d_e", True), ("a..b", False), ("a/", False), ("/a", False)]
)
def test_a_pattern_that_was_rewritten_means_the_same(text: str, fits: bool) -> None:
    original, rewritten = next(iter(SAFE_PATTERNS.items()))
    assert bool(re.fullmatch(original, text)) is bool(re.fullmatch(rewritten, text)) is fits


def test_a_page_is_bound_to_its_list_and_not_to_its_size() -> None:
    pages = Pages(Seal(bytes(32)))
    token = pages.give("list", {"repositoryName": "app", "maxResults": 5}, "position")
    assert pages.take("list", {"repositoryName": "app", "nextToken": "x", "maxResults": 9}, token) == "position"
    for what, parameters in (("list", {"repositoryName": "other"}), ("other", {"repositoryName": "app"})):
        with pytest.raises(Exception, match="nextToken"):
            pages.take(what, parameters, token)
    with pytest.raises(Exception, match="nextToken"):
        Pages(Seal(bytes(31) + b"1")).take("list", {"repositoryName": "app"}, token)
