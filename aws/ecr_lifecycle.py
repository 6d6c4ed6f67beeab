"""ECR operations on lifecycle policies."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aws.call import Answer, Call
from aws.ecr_errors import aws_words
from aws.ecr_ids import ImageId, parse_ids
from aws.errors import AwsError, invalid_parameter
from estiva.reference import RepositoryName
from registry.lifecycle.policies import LifecyclePolicyUnknown, LifecyclePreviewUnknown
from registry.lifecycle.policy import LifecyclePolicyInvalid
from storage.metadata.lifecycle import PreviewedImage

ALL = 1 << 31


async def put_lifecycle_policy(call: Call) -> Answer:
    """Set the repository's lifecycle policy; it is carried out within a day."""
    name, text = call.name(), call.input["lifecyclePolicyText"]
    with _words(call, name):
        await call.parts.registry.lifecycle_policies.put(call.actor, name, text)
    return _answer(call, name, lifecyclePolicyText=text)


async def get_lifecycle_policy(call: Call) -> Answer:
    """The repository's lifecycle policy, as it was set, and when it was last carried out."""
    name = call.name()
    with _words(call, name):
        found = await call.parts.registry.lifecycle_policies.find(name)
    return _answer(call, name, lifecyclePolicyText=found.document, lastEvaluatedAt=found.evaluated_at)


async def delete_lifecycle_policy(call: Call) -> Answer:
    """Remove the repository's lifecycle policy: it is in the answer."""
    name = call.name()
    with _words(call, name):
        found = await call.parts.registry.lifecycle_policies.delete(call.actor, name)
    return _answer(call, name, lifecyclePolicyText=found.document, lastEvaluatedAt=found.evaluated_at)


async def start_lifecycle_policy_preview(call: Call) -> Answer:
    """Try out the policy that is given, or the repository's: complete when this answers."""
    name = call.name()
    with _words(call, name):
        preview = await call.parts.registry.lifecycle_policies.start_preview(
            name, call.input.get("lifecyclePolicyText")
        )
    return _answer(call, name, lifecyclePolicyText=preview.document, status="COMPLETE")


async def get_lifecycle_policy_preview(call: Call) -> Answer:
    """What the last preview said, page by page or of these ids."""
    name = call.name()
    ids = [one for one in parse_ids(call.input.get("imageIds", ())) if one.fault is None]
    chosen = "imageIds" in call.input
    if chosen and ("nextToken" in call.input or "maxResults" in call.input):
        raise invalid_parameter("imageIds", "can't be given together with nextToken or maxResults")
    asked = call.page()
    with _words(call, name):
        preview, found = await call.parts.registry.lifecycle_policies.find_preview(
            name, asked.position, ALL if chosen else asked.size + 1
        )
    more = not chosen and len(found) > asked.size
    shown = [image for image in found if not chosen or _is_among(image, ids)][: None if chosen else asked.size]
    return _answer(
        call,
        name,
        lifecyclePolicyText=preview.document,
        status="COMPLETE",
        nextToken=call.next_token(shown[-1].digest if more else None),
        previewResults=[_result(image) for image in shown if _is_wanted(call, image)],
        summary={"expiringImageTotalCount": preview.expiring},
    )


def _answer(call: Call, name: RepositoryName, **members: Any) -> Answer:
    return {"registryId": call.account, "repositoryName": name.text, **members}


def _result(image: PreviewedImage) -> dict[str, Any]:
    return {
        "imageTags": list(image.tags),
        "imageDigest": image.digest,
        "imagePushedAt": image.pushed_at,
        "action": {"type": "EXPIRE"},
        "appliedRulePriority": image.priority,
        "storageClass": "STANDARD",
    }


def _is_among(image: PreviewedImage, ids: list[ImageId]) -> bool:
    return any(
        (one.digest is None or str(one.digest) == image.digest) and (one.tag is None or one.tag.text in image.tags)
        for one in ids
    )


def _is_wanted(call: Call, image: PreviewedImage) -> bool:
    status: str = call.input.get("filter", {}).get("tagStatus", "ANY")
    return status == "ANY" or (status == "TAGGED") == bool(image.tags)


@contextmanager
def _words(call: Call, name: RepositoryName) -> Iterator[None]:
    try:
        with aws_words(call, name):
            yield
    except LifecyclePolicyInvalid as error:
        raise invalid_parameter("LifecyclePolicyText", f"Lifecycle policy validation failure: {error.text}") from None
    except LifecyclePolicyUnknown:
        raise _absent(call, name, "LifecyclePolicyNotFoundException", "Lifecycle policy") from None
    except LifecyclePreviewUnknown:
        raise _absent(call, name, "LifecyclePolicyPreviewNotFoundException", "Lifecycle policy preview") from None


def _absent(call: Call, name: RepositoryName, code: str, what: str) -> AwsError:
    return AwsError(
        code,
        f"{what} does not exist for the repository with name '{name}' in the registry with id '{call.account}'",
    )
