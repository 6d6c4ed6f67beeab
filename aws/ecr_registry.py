"""ECR operations on a registry as a whole."""

from aws.call import Answer, Call


async def describe_registry(call: Call) -> Answer:
    """The registry's id, and where its images are replicated to."""
    return {"registryId": call.account, "replicationConfiguration": {"rules": []}}
