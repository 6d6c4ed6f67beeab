"""Names and ARNs of ECS's resources: operations take either."""

import re
from dataclasses import dataclass

from aws.call import Call
from aws.errors import AwsError
from storage.metadata.clusters import ClusterKey

DEFAULT_CLUSTER = "default"
_ARN = re.compile(
    r"arn:aws[a-z-]*:ecs:[a-z0-9-]{1,32}:(?P<account>[0-9]{12}):(?P<kind>[a-z-]{1,32})/(?P<rest>[A-Za-z0-9_:/-]{1,600})"
)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_REVISION = re.compile(r"(?P<family>[A-Za-z0-9_-]{1,255})(?::(?P<revision>[1-9][0-9]{0,8}))?")


@dataclass(frozen=True, slots=True)
class Arns:
    """Makes ARNs; `account` is the server's own, which keys leave out."""

    region: str
    account: str

    def of(self, account: str, kind: str, *path: str) -> str:
        """The ARN of a resource of an account (empty: the server's own)."""
        return f"arn:aws:ecs:{self.region}:{account or self.account}:{kind}/{'/'.join(path)}"

    def cluster(self, key: ClusterKey) -> str:
        """A cluster's."""
        return self.of(key.account, "cluster", key.cluster)

    def within(self, key: ClusterKey, kind: str, *path: str) -> str:
        """That of something in a cluster: a `task`, a `service`, a `container-instance`, …"""
        return self.of(key.account, kind, key.cluster, *path)

    def definition(self, account: str, family: str, revision: int) -> str:
        """A task definition's."""
        return self.of(account, "task-definition", f"{family}:{revision}")

    def task(self, key: ClusterKey, task_id: str) -> str:
        """A task's."""
        return self.within(key, "task", task_id)


def arns(call: Call) -> Arns:
    """Makes the ARNs of answers."""
    return Arns(call.parts.region, call.parts.account)


def invalid(text: str) -> AwsError:
    """A parameter that can't be, in a sentence."""
    return AwsError("InvalidParameterException", text)


def client_error(text: str) -> AwsError:
    """A request that can't be carried out as things are."""
    return AwsError("ClientException", text)


def split(call: Call, text: str, kind: str) -> list[str] | None:
    """The path in an ARN of that kind and of this account; None where `text` is no ARN. AwsError."""
    if not text.startswith("arn:"):
        return None
    match = _ARN.fullmatch(text)
    if match is None or match["kind"] != kind:
        raise invalid(f"Invalid identifier: Identifier is for {match['kind'] if match else 'no ARN'}. Accepted: {kind}")
    if match["account"] != call.account:
        raise AwsError("AccessDeniedException", "The resource is of another account.")
    return str(match["rest"]).split("/")


def cluster_named(call: Call, text: str | None) -> ClusterKey:
    """The cluster of that name or ARN; `default` without one. AwsError."""
    named = text or DEFAULT_CLUSTER
    path = split(call, named, "cluster")
    name = named if path is None else path[-1]
    if _NAME.fullmatch(name) is None:
        raise invalid("Cluster names have up to 255 letters, numbers, hyphens and underscores.")
    return ClusterKey(call.account_key, name)


def cluster_of(call: Call) -> ClusterKey:
    """The cluster that the request is about."""
    return cluster_named(call, call.input.get("cluster"))


def identifier(call: Call, text: str, kind: str, key: ClusterKey) -> str:
    """What a name, an id or an ARN of that kind names within a cluster. AwsError where it is of another cluster."""
    path = split(call, text, kind)
    if path is None:
        return text
    if len(path) > 1 and path[0] != key.cluster:
        raise invalid(f"Invalid identifier: the {kind} is of another cluster.")
    return path[-1]


def name_checked(text: str, what: str) -> str:
    """A new name. AwsError."""
    if _NAME.fullmatch(text) is None:
        raise invalid(f"{what} has up to 255 letters, numbers, hyphens and underscores.")
    return text


def revision_named(call: Call, text: str) -> tuple[str, int | None]:
    """Family and revision of `family`, `family:revision` or an ARN; None: the newest active one. AwsError."""
    path = split(call, text, "task-definition")
    match = _REVISION.fullmatch(text if path is None else path[-1])
    if match is None:
        raise invalid("Invalid task definition: FAMILY, FAMILY:REVISION or an ARN.")
    return match["family"], int(match["revision"]) if match["revision"] else None
