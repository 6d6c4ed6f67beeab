"""boto3 as tests use it: against a server of their own, without retries, with images in one line."""

import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from estiva import mediatypes
from tests.security.secured import KEY_ID, KEY_SECRET, Secured

Ecr = Any
"""boto3 makes its clients' methods at run time."""
OWN = "000000000000"
_names = itertools.count(1)


@dataclass(frozen=True)
class Front:
    """A server that speaks AWS."""

    served: Secured

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.served.port}"

    def client(self, key: str = KEY_ID, secret: str = KEY_SECRET, service: str = "ecr", **options: Any) -> Any:
        """A client with these credentials, by default the administrator's."""
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60)
        options.setdefault("config", config)
        return boto3.client(
            service,
            endpoint_url=f"http://{self.host}",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name="us-east-1",
            **options,
        )

    def unchecked(self) -> Ecr:
        """The administrator's client, which sends whatever it is given."""
        return self.client(config=Config(parameter_validation=False, retries={"total_max_attempts": 1}))

    def account(self, number: str) -> Ecr:
        """The client of an account of developer mode."""
        return self.client(number, "test")

    def user(self, name: str, *policies: str) -> Ecr:
        """The client of a new user with these policies."""
        self.served.user(name, *policies)
        made = json.loads(self.served.done("POST", f"/users/{name}/keys").body)
        return self.client(made["id"], made["secret"])


def new_name(prefix: str = "app") -> str:
    """A repository's name that no other test has."""
    return f"{prefix}-{next(_names)}"


def new_repository(ecr: Ecr, **settings: Any) -> str:
    """A new repository's name."""
    name = new_name()
    ecr.create_repository(repositoryName=name, **settings)
    return name


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def upload(ecr: Ecr, name: str, content: bytes) -> str:
    """Upload a layer in one part: its digest."""
    upload_id = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=name, uploadId=upload_id, partFirstByte=0, partLastByte=len(content) - 1, layerPartBlob=content
    )
    digest = digest_of(content)
    ecr.complete_layer_upload(repositoryName=name, uploadId=upload_id, layerDigests=[digest])
    return digest


def image_of(blob: bytes, note: str = "") -> str:
    """An image whose config and only layer are this blob; different for each note."""
    described = {"digest": digest_of(blob), "size": len(blob)}
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": mediatypes.OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **described},
            "layers": [],
            "annotations": {"note": note},
        }
    )


def index_of(*manifests: str) -> str:
    """An index of these images."""
    entries = [
        {"mediaType": mediatypes.OCI_MANIFEST, "digest": digest_of(text.encode()), "size": len(text.encode())}
        for text in manifests
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": mediatypes.OCI_INDEX, "manifests": entries})


def put(ecr: Ecr, name: str, tag: str | None = None, note: str = "") -> str:
    """Put an image, with the layer it needs: its digest."""
    blob = b"the blob of every image"
    available = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=[digest_of(blob)])["layers"]
    if available[0]["layerAvailability"] != "AVAILABLE":
        upload(ecr, name, blob)
    tagged = {} if tag is None else {"imageTag": tag}
    answer = ecr.put_image(repositoryName=name, imageManifest=image_of(blob, note), **tagged)
    digest: str = answer["image"]["imageId"]["imageDigest"]
    return digest


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    """The code and the text of the error that the call ends in."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]
