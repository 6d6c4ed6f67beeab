"""What the operations of the OCI API are called in ECR: one table, for every door."""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from types import MappingProxyType

from estiva.reference import RepositoryName

GET_AUTHORIZATION_TOKEN = "ecr:GetAuthorizationToken"  # noqa: S105 - an action's name
BATCH_GET_IMAGE = "ecr:BatchGetImage"
GET_DOWNLOAD_URL_FOR_LAYER = "ecr:GetDownloadUrlForLayer"
BATCH_CHECK_LAYER_AVAILABILITY = "ecr:BatchCheckLayerAvailability"
INITIATE_LAYER_UPLOAD = "ecr:InitiateLayerUpload"
UPLOAD_LAYER_PART = "ecr:UploadLayerPart"
COMPLETE_LAYER_UPLOAD = "ecr:CompleteLayerUpload"
PUT_IMAGE = "ecr:PutImage"
LIST_IMAGES = "ecr:ListImages"
BATCH_DELETE_IMAGE = "ecr:BatchDeleteImage"
DESCRIBE_REPOSITORIES = "ecr:DescribeRepositories"
CREATE_REPOSITORY = "ecr:CreateRepository"
DELETE_REPOSITORY = "ecr:DeleteRepository"
BATCH_IMPORT_UPSTREAM_IMAGE = "ecr:BatchImportUpstreamImage"
REPLICATE_IMAGE = "ecr:ReplicateImage"


class Operation(Enum):
    """What a request to the OCI API, or to the token endpoint, does."""

    GET_TOKEN = auto()
    GET_MANIFEST = auto()
    HEAD_MANIFEST = auto()
    LIST_REFERRERS = auto()
    GET_BLOB = auto()
    HEAD_BLOB = auto()
    MOUNT_FROM = auto()
    """The repository that a mounted blob comes from; the one it goes to is asked for START_UPLOAD."""
    LIST_TAGS = auto()
    START_UPLOAD = auto()
    """POST without content, mounts included."""
    UPLOAD_AT_ONCE = auto()
    """POST with the content."""
    CONTINUE_UPLOAD = auto()
    """PATCH, and GET and DELETE of an upload."""
    FINISH_UPLOAD = auto()
    PUT_MANIFEST = auto()
    DELETE = auto()
    """Of a tag, a manifest or a blob."""
    LIST_REPOSITORIES = auto()
    CREATE_REPOSITORY = auto()
    """A push to a repository that does not exist yet."""
    IMPORT_UPSTREAM = auto()
    """A pull that fetches from the upstream registry."""
    REPLICATE = auto()
    """A push by which another registry replicates to here."""


Alternatives = tuple[frozenset[str], ...]


def _all_of(*actions: str) -> Alternatives:
    return (frozenset(actions),)


# An operation is allowed where all actions of one of its alternatives are.
REQUIRED: Mapping[Operation, Alternatives] = MappingProxyType(
    {
        Operation.GET_TOKEN: _all_of(GET_AUTHORIZATION_TOKEN),
        Operation.GET_MANIFEST: _all_of(BATCH_GET_IMAGE),
        # Those who push look first whether it is there already, and may put another in its place.
        Operation.HEAD_MANIFEST: (frozenset({BATCH_GET_IMAGE}), frozenset({PUT_IMAGE})),
        Operation.LIST_REFERRERS: _all_of(BATCH_GET_IMAGE),
        Operation.GET_BLOB: _all_of(GET_DOWNLOAD_URL_FOR_LAYER),
        # Those who pull ask whether a layer is there, and so do those who push: AWS's policies for either side name
        # only one of the two actions.
        Operation.HEAD_BLOB: (frozenset({GET_DOWNLOAD_URL_FOR_LAYER}), frozenset({BATCH_CHECK_LAYER_AVAILABILITY})),
        Operation.MOUNT_FROM: _all_of(GET_DOWNLOAD_URL_FOR_LAYER),
        Operation.LIST_TAGS: _all_of(LIST_IMAGES),
        Operation.START_UPLOAD: _all_of(INITIATE_LAYER_UPLOAD),
        Operation.UPLOAD_AT_ONCE: _all_of(INITIATE_LAYER_UPLOAD, UPLOAD_LAYER_PART, COMPLETE_LAYER_UPLOAD),
        Operation.CONTINUE_UPLOAD: _all_of(UPLOAD_LAYER_PART),
        Operation.FINISH_UPLOAD: _all_of(UPLOAD_LAYER_PART, COMPLETE_LAYER_UPLOAD),
        Operation.PUT_MANIFEST: _all_of(PUT_IMAGE),
        Operation.DELETE: _all_of(BATCH_DELETE_IMAGE),
        Operation.LIST_REPOSITORIES: _all_of(DESCRIBE_REPOSITORIES),
        Operation.CREATE_REPOSITORY: _all_of(CREATE_REPOSITORY),
        Operation.IMPORT_UPSTREAM: _all_of(BATCH_IMPORT_UPSTREAM_IMAGE),
        Operation.REPLICATE: _all_of(REPLICATE_IMAGE),
    }
)

# The actions of a token's scope on a repository, in the order in which tokens name them.
SCOPE_ACTIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "pull": frozenset({BATCH_GET_IMAGE, GET_DOWNLOAD_URL_FOR_LAYER}),
        "push": frozenset(
            {
                BATCH_CHECK_LAYER_AVAILABILITY,
                INITIATE_LAYER_UPLOAD,
                UPLOAD_LAYER_PART,
                COMPLETE_LAYER_UPLOAD,
                PUT_IMAGE,
            }
        ),
        "delete": frozenset({BATCH_DELETE_IMAGE}),
    }
)
EVERY_SCOPE_ACTION = "*"


def permits(operation: Operation, may: Callable[[str], bool]) -> bool:
    """Whether the operation is allowed to somebody of whom `may` tells which ECR actions are."""
    return any(all(map(may, sorted(actions))) for actions in REQUIRED[operation])


def grant(asked: Iterable[str], may: Callable[[str], bool]) -> tuple[str, ...]:
    """The scope actions a token gets of those that were asked for: each whose ECR actions are all allowed.

    `*` asks for all of them and is never granted as such. What is unknown is not granted.
    """
    wanted = set(asked)
    return tuple(
        action
        for action, actions in SCOPE_ACTIONS.items()
        if (action in wanted or EVERY_SCOPE_ACTION in wanted) and all(map(may, sorted(actions)))
    )


def repository_arn(region: str, account: str, name: RepositoryName) -> str:
    """The resource of everything that is done to one repository."""
    return f"arn:aws:ecr:{region}:{account}:repository/{name}"


def registry_arn(region: str, account: str) -> str:
    """The resource of what is done to all repositories at once, such as listing them."""
    return f"arn:aws:ecr:{region}:{account}:repository/*"
