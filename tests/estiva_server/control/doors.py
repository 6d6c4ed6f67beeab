"""Every door of `/api/v1/`: what is asked, what the administrator is told, and what has to be there first."""

import itertools
import re
from collections.abc import Callable
from typing import NamedTuple

from tests.security.secured import (
    Content,
    Secured,
    for_everyone,
    statement,
)

numbers = itertools.count()
READ_ONLY = "AmazonEC2ContainerRegistryReadOnly"
TRUST = (
    '{"issuer":"https://issuer.example","audience":"estiva","rules":[{"claims":{"sub":"a"},'
    f'"policies":["{READ_ONLY}"]}}]}}'
)


LIFECYCLE = (
    '{{"rules":[{{"rulePriority":1,"selection":{{"tagStatus":"untagged","countType":"imageCountMoreThan",'
    '"countNumber":9}},"action":{{"type":"expire"}}}}]}}'
)


class Door(NamedTuple):
    """A path with its method; what makes sense there as a body; what the administrator is answered.

    `{new}` stands for a name of its own, `{made}` for one of something of the sort that exists.
    """

    method: str
    path: str
    good: int = 204
    body: str | None = None
    makes: Callable[[Secured, str], object] = lambda secured, name: None
    of_repository: bool = False

    @property
    def changes(self) -> bool:
        """Whether it changes what is stored."""
        return self.method not in ("GET", "HEAD") and not self.path.startswith("/lifecycle-previews/")


def user(secured: Secured, name: str) -> None:
    secured.user(name)


def robot(secured: Secured, name: str) -> None:
    secured.done("POST", "/robots", {"name": name})


def group(secured: Secured, name: str) -> None:
    secured.done("POST", "/groups", {"name": name})


def key(secured: Secured, kind: str, name: str) -> str:
    made = secured.done("POST", f"/{kind}/{name}/keys").body.decode()
    return str(re.findall(r"AKIA\w{16}", made)[0])


def policy(secured: Secured, name: str) -> None:
    secured.done("PUT", f"/policies/{name}", statement("ecr:*", "*"))


def issuer(secured: Secured, name: str) -> None:
    secured.done("PUT", f"/issuers/{name}", TRUST)


def webhook(secured: Secured, name: str) -> None:
    secured.done("POST", "/webhooks", {"name": name, "url": "https://hooks.example/"})


def credential(secured: Secured, name: str) -> None:
    secured.done("PUT", f"/upstream-credentials/{name}", {"username": "robot", "secret": "a secret"})


def task_secret(secured: Secured, name: str) -> None:
    secured.done("PUT", f"/secrets/{name}", {"value": "a secret"})


def rule(secured: Secured, name: str) -> None:
    secured.done("POST", "/pull-through-rules", {"prefix": name, "upstream": "127.0.0.1:1"})


def endpoint(secured: Secured, name: str) -> None:
    secured.done("PUT", f"/replication-endpoints/{name}/000000000001", {"url": "https://a.example"})


def repository(secured: Secured, name: str) -> None:
    secured.push(Content.of(f"a/{name}"))
    secured.public(f"a/{name}")


def lifecycle(secured: Secured, name: str) -> None:
    repository(secured, name)
    secured.done("PUT", f"/lifecycle-policies/a/{name}", LIFECYCLE.replace("{{", "{").replace("}}", "}"))


def quota(secured: Secured, name: str) -> None:
    secured.done("PUT", f"/quotas/a/{name}", '{"limit_bytes":1}')


def of_kind(kind: str, make: Callable[[Secured, str], object], create: str, change: str) -> list[Door]:
    base = f"/{kind}"
    return [
        Door("GET", base, 200),
        Door("HEAD", base, 200),
        Door("POST", base, 201, create),
        Door("GET", base + "/{made}", 200, makes=make),
        Door("HEAD", base + "/{made}", 200, makes=make),
        Door("PATCH", base + "/{made}", 204, change, make),
        Door("DELETE", base + "/{made}", makes=make),
        Door("POST", base + "/{made}/keys", 201, makes=make),
        Door("PATCH", base + "/{made}/keys/{key}", 204, '{{"disabled":true}}', make),
        Door("DELETE", base + "/{made}/keys/{key}", makes=make),
        Door("PUT", base + "/{made}/policies/" + READ_ONLY, makes=make),
        Door("DELETE", base + "/{made}/policies/" + READ_ONLY, makes=make),
    ]


DOORS = [
    *of_kind("users", user, '{{"name":"{new}","password":"a password"}}', '{{"disabled":true}}'),
    *of_kind("robots", robot, '{{"name":"{new}"}}', '{{"disabled":true}}'),
    Door("GET", "/groups", 200),
    Door("HEAD", "/groups", 200),
    Door("POST", "/groups", 201, '{{"name":"{new}"}}'),
    Door("GET", "/groups/{made}", 200, makes=group),
    Door("HEAD", "/groups/{made}", 200, makes=group),
    Door("DELETE", "/groups/{made}", makes=group),
    Door("PUT", "/groups/{made}/members/admin", makes=group),
    Door("DELETE", "/groups/{made}/members/admin", makes=group),
    Door("PUT", "/groups/{made}/policies/" + READ_ONLY, makes=group),
    Door("DELETE", "/groups/{made}/policies/" + READ_ONLY, makes=group),
    Door("GET", "/policies", 200),
    Door("HEAD", "/policies", 200),
    Door("GET", "/policies/{made}", 200, makes=policy),
    Door("HEAD", "/policies/{made}", 200, makes=policy),
    Door("PUT", "/policies/{new}", 204, statement("ecr:*", "*").replace("{", "{{").replace("}", "}}")),
    Door("DELETE", "/policies/{made}", makes=policy),
    Door("GET", "/issuers", 200),
    Door("HEAD", "/issuers", 200),
    Door("PUT", "/issuers/{new}", 204, TRUST.replace("{", "{{").replace("}", "}}")),
    Door("DELETE", "/issuers/{made}", makes=issuer),
    Door("GET", "/audit", 200),
    Door("HEAD", "/audit", 200),
    Door("POST", "/signing-keys", 204),
    Door("GET", "/lifecycle-policies/a/{made}", 200, None, lifecycle, True),
    Door("HEAD", "/lifecycle-policies/a/{made}", 200, None, lifecycle, True),
    Door("PUT", "/lifecycle-policies/a/{made}", 204, LIFECYCLE, repository, True),
    Door("DELETE", "/lifecycle-policies/a/{made}", 204, None, lifecycle, True),
    Door("POST", "/lifecycle-previews/a/{made}", 200, LIFECYCLE, repository, True),
    Door("POST", "/lifecycle-runs/a/{made}", 200, None, lifecycle, True),
    Door("GET", "/webhooks", 200),
    Door("HEAD", "/webhooks", 200),
    Door("POST", "/webhooks", 201, '{{"name":"{new}","url":"https://hooks.example/"}}'),
    Door("GET", "/webhooks/{made}", 200, makes=webhook),
    Door("HEAD", "/webhooks/{made}", 200, makes=webhook),
    Door("PATCH", "/webhooks/{made}", 204, '{{"enabled":false}}', webhook),
    Door("DELETE", "/webhooks/{made}", makes=webhook),
    Door("GET", "/webhooks/{made}/failures", 200, makes=webhook),
    Door("HEAD", "/webhooks/{made}/failures", 200, makes=webhook),
    Door("POST", "/webhooks/{made}/failures", 200, makes=webhook),
    Door("GET", "/gc", 200),
    Door("HEAD", "/gc", 200),
    Door("POST", "/gc", 200),
    Door("GET", "/scrub", 200),
    Door("HEAD", "/scrub", 200),
    Door("POST", "/scrub", 200),
    Door("POST", "/fsck", 200),
    Door("PUT", "/gc/hold", 204, '{{"seconds":0}}'),
    Door("GET", "/quotas", 200),
    Door("HEAD", "/quotas", 200),
    Door("GET", "/quotas/a/{made}", 200, None, quota),
    Door("HEAD", "/quotas/a/{made}", 200, None, quota),
    Door("PUT", "/quotas/a/{made}", 200, '{{"limit_bytes":1}}'),
    Door("DELETE", "/quotas/a/{made}", 204, None, quota),
    Door("GET", "/upstream-credentials", 200),
    Door("HEAD", "/upstream-credentials", 200),
    Door("PUT", "/upstream-credentials/{new}", 204, '{{"username":"a","secret":"b"}}'),
    Door("DELETE", "/upstream-credentials/{made}", makes=credential),
    Door("GET", "/secrets", 200),
    Door("HEAD", "/secrets", 200),
    Door("PUT", "/secrets/{new}", 204, '{{"value":"a"}}'),
    Door("DELETE", "/secrets/{made}", makes=task_secret),
    Door("GET", "/replication-endpoints", 200),
    Door("HEAD", "/replication-endpoints", 200),
    Door("PUT", "/replication-endpoints/{new}/000000000001", 204, '{{"url":"https://a.example"}}'),
    Door("DELETE", "/replication-endpoints/{made}/000000000001", makes=endpoint),
    Door("GET", "/pull-through-rules", 200),
    Door("HEAD", "/pull-through-rules", 200),
    Door("POST", "/pull-through-rules", 201, '{{"prefix":"{new}","upstream":"127.0.0.1:1"}}'),
    Door("GET", "/pull-through-rules/{made}", 200, makes=rule),
    Door("HEAD", "/pull-through-rules/{made}", 200, makes=rule),
    Door("PUT", "/pull-through-rules/{made}", 204, '{{"credential":null}}', rule),
    Door("DELETE", "/pull-through-rules/{made}", makes=rule),
    Door("GET", "/repository-policies/a/{made}", 200, None, repository, True),
    Door("HEAD", "/repository-policies/a/{made}", 200, None, repository, True),
    Door(
        "PUT",
        "/repository-policies/a/{made}",
        204,
        for_everyone().replace("{", "{{").replace("}", "}}"),
        repository,
        True,
    ),
    Door("DELETE", "/repository-policies/a/{made}", 204, None, repository, True),
    Door("GET", "/repositories", 200),
    Door("HEAD", "/repositories", 200),
    Door("POST", "/repositories", 201, '{{"name":"b/{new}"}}'),
    Door("GET", "/repositories/a/{made}", 200, None, repository, True),
    Door("HEAD", "/repositories/a/{made}", 200, None, repository, True),
    Door("DELETE", "/repositories/a/{made}", 204, None, repository, True),
]


def shape(path: str) -> str:
    """A path with all that varies in it left out."""
    return (
        re.sub(r"a/\{made\}|000000000001", "*", path).replace("{made}", "*").replace("{new}", "*").replace("{key}", "*")
    )


def tried() -> set[tuple[str, str]]:
    """Every method and path that DOORS try."""
    named = re.compile(rf"(members|policies)/(?:admin|{READ_ONLY})")
    return {(door.method, named.sub(r"\1/*", shape(door.path))) for door in DOORS}
