"""Replication: where other registries are, and how far each image has come there."""

from dataclasses import dataclass

from estiva.digest import Digest
from estiva.reference import RepositoryName
from storage.metadata.database import Statement, Work

PUT_ENDPOINT = """
INSERT INTO replication_endpoints (account, region, registry_id, url, credential, updated_at)
VALUES (:account, :region, :registry, :url, :credential, :now)
ON CONFLICT (account, region, registry_id) DO UPDATE SET url = excluded.url, credential = excluded.credential,
updated_at = excluded.updated_at
"""
ENDPOINTS = """
SELECT region, registry_id, url, credential FROM replication_endpoints
WHERE account = :account ORDER BY region, registry_id LIMIT :limit
"""
FIND_ENDPOINT = """
SELECT region, registry_id, url, credential FROM replication_endpoints
WHERE account = :account AND region = :region AND registry_id = :registry
"""
SET = """
INSERT INTO image_replications (repository_id, digest, region, registry_id, status, failure, updated_at)
SELECT repository_id, digest, :region, :registry, :status, :failure, :now FROM manifests
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND digest = :digest
ON CONFLICT (repository_id, digest, region, registry_id) DO UPDATE SET status = excluded.status,
failure = excluded.failure, updated_at = excluded.updated_at
"""
STATUSES = """
SELECT region, registry_id, status, failure FROM image_replications
WHERE repository_id = (SELECT id FROM repositories WHERE name = :name) AND digest = :digest
ORDER BY region, registry_id
"""

IN_PROGRESS, COMPLETE, FAILED = "IN_PROGRESS", "COMPLETE", "FAILED"


@dataclass(frozen=True, slots=True)
class Destination:
    """A registry as ECR names it."""

    region: str
    registry_id: str


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """Where a destination is, and the name of the credential to sign in with."""

    destination: Destination
    url: str
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class ReplicationRecord:
    """How far an image has come at one destination."""

    destination: Destination
    status: str
    failure: str | None = None


def put_endpoint(account: str, endpoint: EndpointRecord) -> Work[None]:
    """Say where a destination is. ConstraintError where there is no such credential."""
    values = {"url": endpoint.url, "credential": endpoint.credential}
    yield Statement(PUT_ENDPOINT, {**_key(account, endpoint.destination), **values})


def find_endpoint(account: str, destination: Destination) -> Work[EndpointRecord | None]:
    """Where the destination is."""
    rows = yield Statement(FIND_ENDPOINT, _key(account, destination))
    return _endpoint(*rows[0]) if rows else None


def endpoints(account: str, limit: int) -> Work[list[EndpointRecord]]:
    """Every destination that is somewhere, at most `limit`."""
    return [_endpoint(*row) for row in (yield Statement(ENDPOINTS, {"account": account, "limit": limit}))]


def delete_endpoint(account: str, destination: Destination) -> Work[bool]:
    """Forget where a destination is: whether that was known."""
    rows = yield Statement(
        "DELETE FROM replication_endpoints WHERE account = :account AND region = :region "
        "AND registry_id = :registry RETURNING url",
        _key(account, destination),
    )
    return bool(rows)


def set_status(name: RepositoryName, digest: Digest, record: ReplicationRecord) -> Work[None]:
    """Write down how far the image has come; nothing where there is no such image any more."""
    destination = record.destination
    yield Statement(
        SET,
        {
            "name": name.key,
            "digest": str(digest),
            "region": destination.region,
            "registry": destination.registry_id,
            "status": record.status,
            "failure": record.failure,
        },
    )


def statuses(name: RepositoryName, digest: Digest) -> Work[list[ReplicationRecord]]:
    """How far the image has come, destination by destination."""
    rows = yield Statement(STATUSES, {"name": name.key, "digest": str(digest)})
    return [
        ReplicationRecord(Destination(region, registry), status, failure) for region, registry, status, failure in rows
    ]


def _key(account: str, destination: Destination) -> dict[str, object]:
    return {"account": account, "region": destination.region, "registry": destination.registry_id}


def _endpoint(region: str, registry: str, url: str, credential: str | None) -> EndpointRecord:
    return EndpointRecord(Destination(region, registry), url, credential)
