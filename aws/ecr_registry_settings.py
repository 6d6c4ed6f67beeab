"""ECR operations on what is set for a whole registry: its policy, and replication."""

from auth.identities import IdentityUnknown
from auth.policies import PolicyInvalid
from aws.call import Answer, Call
from aws.ecr_one_image import no_image, one_image
from aws.errors import AwsError, invalid_parameter
from estiva.errors import ManifestUnknown
from registry.replicating.configuration import ReplicationConfiguration, ReplicationInvalid


async def put_registry_policy(call: Call) -> Answer:
    """Set the registry's policy."""
    text = call.input["policyText"]
    try:
        await call.parts.policies.put_for_registry(call.actor, call.account_key, text)
    except PolicyInvalid as error:
        raise invalid_parameter("policyText", f"Invalid registry policy provided: {error.text}") from None
    return {"registryId": call.account, "policyText": text}


async def get_registry_policy(call: Call) -> Answer:
    """The registry's policy, as it was set."""
    try:
        text = await call.parts.policies.of_registry(call.account_key)
    except IdentityUnknown:
        raise _no_policy(call) from None
    return {"registryId": call.account, "policyText": text}


async def delete_registry_policy(call: Call) -> Answer:
    """Remove the registry's policy: it is in the answer."""
    try:
        text = await call.parts.policies.delete_for_registry(call.actor, call.account_key)
    except IdentityUnknown:
        raise _no_policy(call) from None
    return {"registryId": call.account, "policyText": text}


async def put_replication_configuration(call: Call) -> Answer:
    """Say where what is pushed from now on is replicated to."""
    wanted = ReplicationConfiguration(call.input["replicationConfiguration"]["rules"])
    try:
        made = await call.parts.registry.replicating.configure(call.actor, call.account_key, wanted)
    except ReplicationInvalid as error:
        raise AwsError("InvalidParameterException", error.text) from None
    return {"replicationConfiguration": {"rules": made.rules}}


async def describe_image_replication_status(call: Call) -> Answer:
    """How far an image has come, destination by destination."""
    name, reference = await one_image(call)
    try:
        _, statuses = await call.parts.registry.replicating.statuses(name, reference)
    except ManifestUnknown:
        raise no_image(call, name) from None
    shown = [
        {
            "region": one.destination.region,
            "registryId": one.destination.registry_id,
            "status": one.status,
            "failureCode": one.failure,
        }
        for one in statuses
    ]
    return {"repositoryName": name.text, "imageId": call.input["imageId"], "replicationStatuses": shown}


def _no_policy(call: Call) -> AwsError:
    return AwsError(
        "RegistryPolicyNotFoundException",
        f"Registry policy does not exist in the registry with id '{call.account}'",
    )
