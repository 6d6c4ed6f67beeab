"""What engines say when they refuse, word for word as they said it, and what is told of it."""

import pytest

from estiva.digest import Digest
from orchestrator.engines import Image
from orchestrator.engines.docker_errors import create_refusal, network_refusal, pull_refusal, start_refusal
from orchestrator.engines.docker_http import ApiError

HOST = "127.0.0.1:5000"
TAGGED = Image(f"{HOST}/app", tag="1")
PINNED = Image(f"{HOST}/app", Digest.of(b""))
DIAL = f'Get "http://{HOST}/v2/": dial tcp {HOST}: connect: connection refused'


@pytest.mark.parametrize(
    ("image", "said", "told", "lasting"),
    [
        (TAGGED, f"manifest for {TAGGED.reference} not found: manifest unknown: gone", "has no such tag", True),
        (PINNED, f"manifest for {PINNED.reference} not found: manifest unknown: gone", "has no such digest", True),
        (TAGGED, "name unknown: repository name not known to registry", "has no repository for", True),
        (TAGGED, f"Get {HOST}/v2/app/manifests/1: unauthorized: sign in", "does not let this engine pull", True),
        (TAGGED, "pull access denied for app, repository does not exist or may require 'docker login'", "let", True),
        (TAGGED, DIAL, f"this engine cannot reach {HOST}: ", False),
        (TAGGED, "http: server gave HTTP response to HTTPS client", "cannot reach", False),
        (TAGGED, "net/http: TLS handshake timeout", "cannot reach", False),
        (TAGGED, "no matching manifest for linux/arm64/v8 in the manifest list entries", "for the platform", True),
        (TAGGED, "write /var/lib/docker/tmp/x: no space left on device", "no space is left", False),
        (TAGGED, "something else", f"{TAGGED.reference}: something else", False),
    ],
    ids=range(11),
)
def test_tells_why_a_pull_failed(image: Image, said: str, told: str, lasting: bool) -> None:
    refused = pull_refusal(image, said)

    assert told in refused.message
    assert refused.name in ("CannotPullContainerError", "CannotPullContainerAuthError")
    assert refused.lasting is lasting


RUNC = "failed to create shim: OCI runtime create failed: container_linux.go:380: starting container process caused: "
BRIDGE = "driver failed programming external connectivity on endpoint task-1-app (3e5f): "


@pytest.mark.parametrize(
    ("said", "told", "lasting", "port_taken"),
    [
        (
            f'{RUNC}exec: "/no/such": stat /no/such: no such file or directory: unknown',
            "no program /no/such",
            True,
            False,
        ),
        (f'{RUNC}exec: "nope": executable file not found in $PATH: unknown', "no program nope", True, False),
        (f'{RUNC}exec: "/etc": permission denied: unknown', "/etc may not be executed", True, False),
        ("crun: executable file `nope` not found in $PATH: No such file or directory", "no program nope", True, False),
        (f"{BRIDGE}Bind for 0.0.0.0:8080 failed: port is already allocated", "port 8080 of the host", False, True),
        (
            f"{BRIDGE}Error starting userland proxy: listen tcp4 127.0.0.1:8080: bind: address already in use",
            "port 8080 of the host is already in use",
            False,
            True,
        ),
        ("network estiva not found", "network estiva not found", False, False),
        (f"{RUNC}mkdir /x: no space left on device: unknown", "no space is left on the engine's disk", False, False),
    ],
    ids=range(8),
)
def test_tells_why_a_start_failed(said: str, told: str, lasting: bool, port_taken: bool) -> None:
    refused = start_refusal("app", said)

    assert refused.name == "CannotStartContainerError"
    assert told in refused.message
    assert (refused.lasting, refused.port_taken, refused.container) == (lasting, port_taken, "app")


def test_tells_why_nothing_was_created() -> None:
    gone = create_refusal("app", PINNED, ApiError(404, f"No such image: {PINNED.reference}"))
    assert (gone.message, gone.lasting) == (f"No such image: {PINNED.reference}", False)
    wrong = create_refusal("app", PINNED, ApiError(400, "Minimum memory limit allowed is 6MB"))
    assert (wrong.message, wrong.lasting) == ("Minimum memory limit allowed is 6MB", True)
    full = create_refusal("app", PINNED, ApiError(400, "mkdir /var/lib/docker/overlay2/x: no space left on device"))
    assert (full.message, full.lasting) == ("no space is left on the engine's disk", False)
    pools = "could not find an available, non-overlapping IPv4 address pool among the defaults to assign"
    assert "default-address-pools" in network_refusal(ApiError(500, pools)).message


def test_what_is_told_is_one_line_of_a_bounded_length() -> None:
    refused = pull_refusal(TAGGED, "a\nb " * 10_000)

    assert "\n" not in refused.message
    assert len(refused.message) < 500
