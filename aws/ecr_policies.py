"""ECR operations on the policies of repositories."""

from auth.identities import IdentityUnknown
from auth.policies import PolicyInvalid
from aws.call import Answer, Call
from aws.ecr_errors import aws_words
from aws.errors import AwsError, invalid_parameter
from estiva.reference import RepositoryName


async def set_repository_policy(call: Call) -> Answer:
    """Set the repository's policy. `force` has nothing to force: nobody can be locked out who manages policies."""
    name, text = call.name(), call.input["policyText"]
    try:
        with aws_words(call, name):
            await call.parts.policies.put_for_repository(call.actor, name, text)
    except PolicyInvalid as error:
        raise invalid_parameter("policyText", f"Invalid repository policy provided: {error.text}") from None
    return _answer(call, name, text)


async def get_repository_policy(call: Call) -> Answer:
    """The repository's policy, as it was set."""
    name = call.name()
    return _answer(call, name, await _policy(call, name))


async def delete_repository_policy(call: Call) -> Answer:
    """Remove the repository's policy: it is in the answer."""
    name = call.name()
    text = await _policy(call, name)
    try:
        await call.parts.policies.delete_for_repository(call.actor, name)
    except IdentityUnknown:
        raise _no_policy(call, name) from None
    return _answer(call, name, text)


async def _policy(call: Call, name: RepositoryName) -> str:
    with aws_words(call, name):
        await call.parts.registry.repositories.find(name)
    try:
        return await call.parts.policies.of_repository(name)
    except IdentityUnknown:
        raise _no_policy(call, name) from None


def _no_policy(call: Call, name: RepositoryName) -> AwsError:
    return AwsError(
        "RepositoryPolicyNotFoundException",
        f"Repository policy does not exist for the repository with name '{name}' in the registry with id "
        f"'{call.account}'",
    )


def _answer(call: Call, name: RepositoryName, text: str) -> Answer:
    return {"registryId": call.account, "repositoryName": name.text, "policyText": text}
