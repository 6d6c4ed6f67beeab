"""What the registry refuses, in ECR's words: texts that clients are known to look at are AWS's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from aws.call import Call
from aws.errors import AwsError
from estiva.errors import NameUnknown
from estiva.reference import RepositoryName
from registry.deleting import RepositoryNotEmpty
from registry.repositories import MOST_TAGS, RepositoryExists, TooManyTags


@contextmanager
def aws_words(call: Call, name: RepositoryName) -> Iterator[None]:
    """Turn what concerns the whole repository into AwsError."""
    try:
        yield
    except NameUnknown:
        raise no_repository(call, name) from None
    except RepositoryExists:
        raise AwsError(
            "RepositoryAlreadyExistsException",
            f"The repository with name '{name}' already exists in the registry with id '{call.account}'",
        ) from None
    except RepositoryNotEmpty:
        raise AwsError(
            "RepositoryNotEmptyException",
            f"The repository with name '{name}' in registry with id '{call.account}' cannot be deleted because it "
            "still contains images",
        ) from None
    except TooManyTags:
        raise AwsError("TooManyTagsException", f"A repository has at most {MOST_TAGS} tags.") from None


def no_repository(call: Call, name: RepositoryName) -> AwsError:
    """There is no repository of that name."""
    account = name.account or call.parts.account
    return AwsError(
        "RepositoryNotFoundException",
        f"The repository with name '{name}' does not exist in the registry with id '{account}'",
    )
