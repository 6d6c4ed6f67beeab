"""Who uses the registry in these tests."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

READ_ONLY = "AmazonEC2ContainerRegistryReadOnly"
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


@dataclass(frozen=True)
class Account:
    """What somebody signs in with."""

    name: str
    password: str

    def mistyped(self) -> "Account":
        """The same name with another password."""
        return Account(self.name, f"{self.password}?")


ADMIN = Account("admin", "the password of admin")


class People:
    """The users of one registry, and what its repositories say about everybody."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._numbers = count(1)

    @classmethod
    @contextmanager
    def of(cls, host: str) -> Iterator["People"]:
        """Those of the registry on this host."""
        login = (ADMIN.name, ADMIN.password)
        with httpx.Client(base_url=f"http://{host}/api/v1", auth=login, timeout=30, trust_env=False) as http:
            yield cls(http)

    def join(self, *policies: str) -> Account:
        """A new user with these policies."""
        name = f"user-{next(self._numbers)}"
        account = Account(name, f"the password of {name}")
        self._http.post("/users", json={"name": name, "password": account.password}).raise_for_status()
        for policy in policies:
            self._http.put(f"/users/{name}/policies/{policy}").raise_for_status()
        return account

    def join_within(self, prefix: str) -> Account:
        """A new user who may do everything in the repositories below `prefix`, and nothing elsewhere."""
        arn = f"arn:aws:ecr:us-east-1:000000000000:repository/{prefix}/*"
        self._put(f"/policies/within-{prefix}", {"Action": "ecr:*", "Resource": arn})
        return self.join(f"within-{prefix}")

    def publish(self, repository: str) -> None:
        """Let everybody pull from the repository, without signing in."""
        self._put(f"/repository-policies/{repository}", {"Action": PULL, "Principal": "*"})

    def limit(self, repository: str, size: int) -> None:
        """Let the repository hold so many bytes."""
        self._http.put(f"/quotas/{repository}", json={"limit_bytes": size}).raise_for_status()

    def _put(self, path: str, statement: dict[str, Any]) -> None:
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
        self._http.put(path, content=json.dumps(document)).raise_for_status()
