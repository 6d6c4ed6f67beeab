"""ECR operations on a registry as a whole."""

import base64

from aws.call import Answer, Call


async def get_authorization_token(call: Call) -> Answer:
    """A password for `docker login --username AWS`: it says who, and what they may do is asked at each use."""
    password, expires_at = call.parts.passes.issue(call.key_id)
    token = base64.b64encode(f"AWS:{password}".encode()).decode()
    data = [
        {"authorizationToken": token, "expiresAt": expires_at, "proxyEndpoint": call.registry_url(account)}
        for account in call.input.get("registryIds") or [call.account]
    ]
    return {"authorizationData": data}


async def describe_registry(call: Call) -> Answer:
    """The registry's id, and where its images are replicated to."""
    configuration = await call.parts.registry.replicating.configuration(call.account_key)
    return {"registryId": call.account, "replicationConfiguration": {"rules": configuration.rules}}
