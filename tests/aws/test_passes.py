"""`docker login --username AWS`: passwords that point to a key, and what they are worth later."""

import base64
import json
from datetime import UTC, datetime, timedelta

from tests.aws.clients import Front, new_repository, put
from tests.hostile.conversation import ask
from tests.security.secured import basic

PULL = "AmazonEC2ContainerRegistryPullOnly"


def pass_of(client: object) -> tuple[str, str]:
    """The user name and the password that the client's key gets."""
    [data] = client.get_authorization_token()["authorizationData"]  # type: ignore[attr-defined]
    assert timedelta(hours=11, minutes=55) < data["expiresAt"] - datetime.now(UTC) <= timedelta(hours=12)
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return user, password


def status(front: Front, method: str, path: str, authorization: str, body: bytes = b"") -> int:
    kind = ("Content-Type", "application/vnd.oci.image.manifest.v1+json")
    return ask(front.served.port, method, path, ("Authorization", authorization), kind, body=body).status


def test_the_endpoint_is_where_the_client_came(front: Front) -> None:
    [data] = front.client().get_authorization_token()["authorizationData"]
    assert data["proxyEndpoint"] == f"http://{front.host}"


def test_a_password_is_good_at_the_registry_and_for_its_tokens(front: Front) -> None:
    ecr = front.client()
    name = new_repository(ecr)
    put(ecr, name, "v1")
    user, password = pass_of(front.user("passer", PULL))
    assert user == "AWS"
    assert status(front, "GET", f"/v2/{name}/manifests/v1", basic(user, password)) == 200
    token = front.served.token_for(basic(user, password), name, actions="pull")
    assert status(front, "GET", f"/v2/{name}/manifests/v1", token) == 200


def test_who_may_only_pull_may_only_pull_with_a_password_too(front: Front) -> None:
    ecr = front.client()
    name = new_repository(ecr)
    put(ecr, name, "v1")
    user, password = pass_of(front.user("puller", PULL))
    stored = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])["images"][0]["imageManifest"]
    path = f"/v2/{name}/manifests/v2"
    assert status(front, "PUT", path, basic(user, password), stored.encode()) == 403
    assert status(front, "POST", f"/v2/{name}/blobs/uploads/", basic(user, password)) == 403


def test_rights_are_asked_at_each_use(front: Front) -> None:
    ecr = front.client()
    name = new_repository(ecr)
    put(ecr, name, "v1")
    user, password = pass_of(front.user("changing", PULL))
    path = f"/v2/{name}/manifests/v1"
    assert status(front, "GET", path, basic(user, password)) == 200
    front.served.done("DELETE", f"/users/changing/policies/{PULL}")
    assert status(front, "GET", path, basic(user, password)) == 403


def test_a_password_goes_with_its_key(front: Front) -> None:
    front.served.user("keyholder", PULL)
    made = json.loads(front.served.done("POST", "/users/keyholder/keys").body)
    user, password = pass_of(front.client(made["id"], made["secret"]))
    assert status(front, "GET", "/v2/", basic(user, password)) == 200
    front.served.done("DELETE", f"/users/keyholder/keys/{made['id']}")
    assert status(front, "GET", "/v2/", basic(user, password)) == 401


def test_no_other_password_is_one(front: Front) -> None:
    _, password = pass_of(front.client())
    changed = password[:-6] + ("AAAAAA" if password[-6:] != "AAAAAA" else "BBBBBB")
    for wrong in (changed, "", "secret", "ü", password + password):
        assert status(front, "GET", "/v2/", basic("AWS", wrong)) in (401, 429)
