"""ECR operations on repositories and their settings."""

from collections.abc import Mapping
from typing import Any

from aws.call import Answer, Call
from aws.ecr_errors import aws_words
from aws.ecr_tags import parse_tags
from aws.errors import AwsError, invalid_parameter
from estiva.reference import RepositoryName
from registry.permitting import permit_repository
from registry.repositories import RepositorySettings
from storage.metadata.mutability import Mode, TagMutability
from storage.metadata.repository_settings import RepositoryRecord

MOST_WILDCARDS = 2


async def create_repository(call: Call) -> Answer:
    """Make a repository."""
    name = call.name()
    scanning = call.input.get("imageScanningConfiguration", {})
    settings = RepositorySettings(
        mutability=parse_mutability(call.input),
        scan_on_push=scanning.get("scanOnPush", False),
        encryption=_encryption(call.input),
        tags=parse_tags(call.input.get("tags", ())),
    )
    with aws_words(call, name):
        made = await call.parts.registry.repositories.create(call.actor, name, settings)
    return {"repository": described(call, made)}


async def describe_repositories(call: Call) -> Answer:
    """Describe the repositories of these names, or all of them, page by page."""
    names = call.input.get("repositoryNames")
    if names:
        _require_no_paging(call, "repositoryNames")
        return {"repositories": [described(call, await _find(call, call.name(name))) for name in names]}
    asked = call.page()
    page = await call.parts.registry.repositories.page(call.account_key, asked.position, asked.size)
    return {
        "repositories": [described(call, record) for record in page.entries],
        "nextToken": call.next_token(page.entries[-1].name.text if page.more else None),
    }


async def delete_repository(call: Call) -> Answer:
    """Delete a repository; one with images only when `force` says so."""
    name = call.name()
    with aws_words(call, name):
        found = await call.parts.registry.repositories.find(name)
        permit = await permit_repository(call.parts.access, call.caller, name)
        if_empty = not call.input.get("force", False)
        await call.parts.registry.deleting.repository(name, call.actor, permit=permit, if_empty=if_empty)
    return {"repository": described(call, found)}


async def put_image_tag_mutability(call: Call) -> Answer:
    """Say which tags may move."""
    name, mutability = call.name(), parse_mutability(call.input)
    with aws_words(call, name):
        await call.parts.registry.repositories.set_mutability(call.actor, name, mutability)
    return {"registryId": call.account, "repositoryName": name.text, **_mutability(mutability)}


async def put_image_scanning_configuration(call: Call) -> Answer:
    """Say whether images are to be scanned when they are pushed."""
    name, scan_on_push = call.name(), call.input["imageScanningConfiguration"].get("scanOnPush", False)
    with aws_words(call, name):
        await call.parts.registry.repositories.set_scan_on_push(call.actor, name, scan_on_push)
    scanning = {"scanOnPush": scan_on_push}
    return {"registryId": call.account, "repositoryName": name.text, "imageScanningConfiguration": scanning}


def described(call: Call, record: RepositoryRecord) -> Mapping[str, Any]:
    """The repository as ECR describes it."""
    return {
        "repositoryArn": call.arn(record.name),
        "registryId": call.account,
        "repositoryName": record.name.text,
        "repositoryUri": f"{call.base_url.partition('://')[2]}/{record.name}",
        "createdAt": record.created_at,
        **_mutability(record.mutability),
        "imageScanningConfiguration": {"scanOnPush": record.scan_on_push},
        "encryptionConfiguration": {"encryptionType": record.encryption},
    }


def parse_mutability(given: Mapping[str, Any]) -> TagMutability:
    """The tag mutability that these members describe. AwsError."""
    mode = Mode(given.get("imageTagMutability", Mode.MUTABLE))
    filters = tuple(entry["filter"] for entry in given.get("imageTagMutabilityExclusionFilters", ()))
    if mode.value.endswith("_WITH_EXCLUSION") != bool(filters):
        raise invalid_parameter(
            "imageTagMutabilityExclusionFilters",
            "must be given for MUTABLE_WITH_EXCLUSION and IMMUTABLE_WITH_EXCLUSION, and for no other mode",
        )
    if any(filter_.count("*") > MOST_WILDCARDS for filter_ in filters):
        raise invalid_parameter("imageTagMutabilityExclusionFilters", f"must have at most {MOST_WILDCARDS} wildcards")
    return TagMutability(mode, filters)


def _mutability(value: TagMutability) -> Mapping[str, Any]:
    filters = [{"filterType": "WILDCARD", "filter": filter_} for filter_ in value.exclusions]
    return {"imageTagMutability": value.mode.value, "imageTagMutabilityExclusionFilters": filters or None}


def _encryption(given: Mapping[str, Any]) -> str:
    kind: str = given.get("encryptionConfiguration", {}).get("encryptionType", "AES256")
    if kind != "AES256":
        raise AwsError("KmsException", "This server has no key management service: the encryption type is AES256.")
    return kind


async def _find(call: Call, name: RepositoryName) -> RepositoryRecord:
    with aws_words(call, name):
        return await call.parts.registry.repositories.find(name)


def _require_no_paging(call: Call, names: str) -> None:
    for parameter in ("nextToken", "maxResults"):
        if parameter in call.input:
            raise invalid_parameter(parameter, f"must not be given together with {names}")
