"""What an engine says when it refuses, in one true sentence each and with the names of the ECS agent.

Statuses tell nothing (a wrong password is 500), so words do: Docker's, containerd's and podman's.
"""

import re

from orchestrator.engines import Image, Refused
from orchestrator.engines.docker_http import ApiError

PULL, PULL_AUTH = "CannotPullContainerError", "CannotPullContainerAuthError"
CREATE, START = "CannotCreateContainerError", "CannotStartContainerError"
TIMEOUT, VANISHED = "DockerTimeoutError", "ContainerVanishedError"
RESOURCE = "ResourceInitializationError"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
NO_ROOM = "no space is left on the engine's disk"

_NO_PLATFORM = re.compile(r"no matching manifest for|does not match the specified platform|no image found in.*for arch")
_NO_REPOSITORY = re.compile(r"name unknown|repository .* (does not exist|not found)|NAME_UNKNOWN", re.IGNORECASE)
_NO_MANIFEST = re.compile(r"manifest unknown|manifest for .* not found|not found|no such manifest", re.IGNORECASE)
_DENIED = re.compile(r"unauthorized|denied|forbidden|no basic auth|authentication required", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"connection refused|no such host|dial tcp|timeout|timed out|EOF|reset by peer|unreachable|HTTPS client|x509|tls:",
    re.IGNORECASE,
)
_NO_SPACE = re.compile(r"no space left on device", re.IGNORECASE)
_PORT_TAKEN = re.compile(r"port is already allocated|address already in use|ports are not available", re.IGNORECASE)
_PORT = re.compile(r"(?:[\d.]+|::|\[::\]|):(\d{1,5})\b(?!.*\d\.\d+\.\d+\.\d+:\d)")
_NO_PROGRAM = re.compile(
    r'exec: \\?"(?P<a>[^"\\]*)\\?": (?:stat [^:]*: no such file|executable file not found|no such file)'
    r"|executable file [`'\"](?P<b>[^`'\"]*)[`'\"] not found"
)
_NOT_EXECUTABLE = re.compile(r'exec: \\?"(?P<a>[^"\\]*)\\?".*permission denied')
_NO_SUBNET = re.compile(r"non-overlapping IPv4 address pool|could not find free subnet|no free subnet", re.IGNORECASE)


def pull_refusal(image: Image, message: str) -> Refused:
    """Why an image could not be pulled."""
    what, registry = image.reference, image.repository.partition("/")[0]
    kind = "digest" if image.digest is not None else "tag"
    words = _short(message)
    causes = (
        (_NO_PLATFORM, PULL, f"{what} has no image for the platform of this engine", True),
        (_NO_SPACE, PULL, f"{NO_ROOM} for {what}", False),
        (_DENIED, PULL_AUTH, f"{registry} does not let this engine pull {what}: {words}", True),
        (_NO_REPOSITORY, PULL, f"{registry} has no repository for {what}", True),
        (_UNREACHABLE, PULL, f"this engine cannot reach {registry}: {words}", False),
        (_NO_MANIFEST, PULL, f"{registry} has no such {kind}: {what}", True),
    )
    for pattern, name, sentence, lasting in causes:
        if pattern.search(message):
            return Refused(name, sentence, lasting=lasting)
    return Refused(PULL, f"{what}: {words}")


def create_refusal(container: str, image: Image, error: ApiError) -> Refused:
    """Why a container could not be created."""
    if error.status == 404 and "no such image" in error.message.lower():
        return Refused(CREATE, f"No such image: {image.reference}", container=container)
    if _NO_SPACE.search(error.message):
        return Refused(CREATE, NO_ROOM, container=container)
    lasting = error.status in (400, 404)
    return Refused(CREATE, _short(error.message), lasting=lasting, container=container)


def start_refusal(container: str, message: str) -> Refused:
    """Why a container could not be started; `lasting` where it never can as it is."""
    if _PORT_TAKEN.search(message):
        port = _PORT.search(message)
        which = f"port {port.group(1)}" if port else "a port"
        return Refused(START, f"{which} of the host is already in use", port_taken=True, container=container)
    if missing := _NO_PROGRAM.search(message):
        program = missing.group("a") or missing.group("b")
        return Refused(START, f"the image has no program {program}", lasting=True, container=container)
    if program_ := _NOT_EXECUTABLE.search(message):
        return Refused(START, f"{program_.group('a')} may not be executed", lasting=True, container=container)
    if _NO_SPACE.search(message):
        return Refused(START, NO_ROOM, container=container)
    lasting = "OCI runtime" in message
    return Refused(START, _short(message), lasting=lasting, container=container)


def network_refusal(error: ApiError) -> Refused:
    """Why the network of a task could not be made."""
    if _NO_SUBNET.search(error.message):
        advice = "its daemon.json may be given more default-address-pools"
        return Refused(RESOURCE, f"the engine has no free subnet for the network of the task: {advice}")
    return Refused(RESOURCE, f"the network of the task cannot be made: {_short(error.message)}")


def vanished(task_id: str, container: str) -> Refused:
    """A container that should be there is not."""
    return Refused(VANISHED, f"there is no container {container} of task {task_id}", lasting=True, container=container)


def _short(message: str) -> str:
    """On one line, and not longer than somebody reads."""
    line = " ".join(message.split())
    return line if len(line) <= 400 else f"{line[:400]}…"
