"""ECR operations on the tags of repositories (not those of images)."""

import re
from collections.abc import Mapping, Sequence

from aws.call import Answer, Call
from aws.ecr_errors import aws_words
from aws.errors import AwsError
from aws.resources import repository_of_arn

_TEXT = re.compile(r"[\w\s.:/=+\-@]*")
LONGEST_KEY, LONGEST_VALUE = 128, 256


async def tag_resource(call: Call) -> Answer:
    """Set tags of a repository."""
    name, tags = repository_of_arn(call), parse_tags(call.input["tags"])
    with aws_words(call, name):
        await call.parts.registry.repositories.tag(call.actor, name, tags)
    return {}


async def untag_resource(call: Call) -> Answer:
    """Remove tags of a repository."""
    name = repository_of_arn(call)
    with aws_words(call, name):
        await call.parts.registry.repositories.untag(call.actor, name, call.input["tagKeys"])
    return {}


async def list_tags_for_resource(call: Call) -> Answer:
    """List the tags of a repository."""
    name = repository_of_arn(call)
    with aws_words(call, name):
        tags = await call.parts.registry.repositories.tags(name)
    return {"tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def parse_tags(given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The tags by key. AwsError for what AWS does not take."""
    tags: dict[str, str] = {}
    for tag in given:
        key, value = tag["Key"], tag["Value"]
        if not 0 < len(key) <= LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise _invalid(f"A key has 1 to {LONGEST_KEY} characters, a value at most {LONGEST_VALUE}.")
        if key.lower().startswith("aws:"):
            raise _invalid("Keys that begin with aws: are reserved.")
        if not _TEXT.fullmatch(key) or not _TEXT.fullmatch(value):
            raise _invalid("Keys and values have letters, digits, spaces and _ . : / = + - @ only.")
        if key in tags:
            raise _invalid(f"The key '{key}' is there twice.")
        tags[key] = value
    return tags


def _invalid(text: str) -> AwsError:
    return AwsError("InvalidTagParameterException", text)
