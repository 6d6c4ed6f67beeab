"""The resources on which policies decide: as AWS's own list of ECR's actions has them."""

import re
from collections.abc import Mapping

from auth.access import IMAGE_TAG
from auth.policy.actions import registry_arn
from aws.call import Call
from aws.errors import invalid_parameter
from estiva.errors import NameInvalid
from estiva.reference import RepositoryName

_REPOSITORY_ARN = re.compile(
    r"arn:aws[a-z-]*:ecr:[a-z0-9-]{1,32}:(?P<account>[0-9]{12}):repository/(?P<name>[^:]{1,255})"
)


def anything(call: Call) -> list[str]:
    """No resource in particular, and nothing of an account's: `*`."""
    return ["*"]


def registry(call: Call) -> list[str]:
    """The registry itself: its rules and settings. Only a policy for `*` covers it, as in AWS."""
    return [f"arn:aws:ecr:{call.parts.region}:{call.account}:registry/{call.account}"]


def repository(call: Call) -> list[str]:
    """The repository `repositoryName`."""
    return [call.arn(call.name())]


def image_tag(call: Call, resource: str) -> Mapping[str, str]:
    """The tag that the request is about, where it is about one."""
    tag = call.input.get("imageTag")
    return {} if tag is None else {IMAGE_TAG: tag}


def repositories(call: Call) -> list[str]:
    """Each of `repositoryNames`; without any, all repositories."""
    names = call.input.get("repositoryNames")
    if not names:
        return [registry_arn(call.parts.region, call.account)]
    return [call.arn(call.name(name)) for name in names]


def by_arn(call: Call) -> list[str]:
    """The repository that `resourceArn` names."""
    return [call.arn(repository_of_arn(call))]


def repository_of_arn(call: Call) -> RepositoryName:
    """The repository that `resourceArn` names. AwsError."""
    match = _REPOSITORY_ARN.fullmatch(call.input["resourceArn"])
    if match is None:
        raise invalid_parameter("resourceArn", "must be the ARN of a repository")
    account = match["account"]
    try:
        return RepositoryName.parse(match["name"]).within("" if account == call.parts.account else account)
    except NameInvalid:
        raise invalid_parameter("resourceArn", "must be the ARN of a repository") from None
