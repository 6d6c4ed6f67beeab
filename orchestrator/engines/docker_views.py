"""What an engine tells of a container (inspect), as the orchestrator sees it."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from estiva.digest import Digest
from orchestrator.engines import ContainerStatus, ContainerView, HealthStatus, NetworkBinding
from orchestrator.engines.docker_errors import OUT_OF_MEMORY, start_refusal
from orchestrator.engines.docker_http import JSON
from orchestrator.engines.labels import CONTAINER, DIGEST, PORTS

_HEALTH = {"healthy": HealthStatus.HEALTHY, "unhealthy": HealthStatus.UNHEALTHY}
_FRACTION = re.compile(r"\.(\d+)")


def container_view(inspected: JSON, pause: JSON | None, restarts: int, seen_well: float | None) -> ContainerView:
    """The container; `pause` is the one that holds its network, where there is one.

    `seen_well`: the start after which a probe of ours found it healthy, which counts until its own check has run.
    """
    config, state = inspected["Config"], inspected["State"]
    labels: Mapping[str, str] = config.get("Labels") or {}
    name = labels[CONTAINER]
    started, status = seconds(state.get("StartedAt")), _status(inspected, name)
    exit_code = int(state["ExitCode"]) if status is ContainerStatus.STOPPED else None
    holder = pause if pause is not None and _joins(inspected, pause) else inspected
    digest = labels.get(DIGEST)
    return ContainerView(
        name=name,
        status=status,
        runtime_id=inspected["Id"],
        image=config["Image"],
        digest=Digest.parse(digest) if digest else None,
        exit_code=exit_code,
        reason=_reason(state, name, status, exit_code),
        health=HealthStatus.HEALTHY if _is_seen_well(inspected, seen_well) else _health(inspected),
        created_at=seconds(inspected.get("Created")),
        started_at=started,
        finished_at=_finished(state, started) if status is ContainerStatus.STOPPED and started else None,
        restarts=restarts,
        bindings=tuple(_bindings(inspected, holder, labels)) if status is ContainerStatus.RUNNING else (),
        address=_address(holder) if status is ContainerStatus.RUNNING else None,
    )


def is_waiting_for_health(inspected: JSON) -> bool:
    """Whether the container runs and its health check has not said anything yet."""
    state = inspected["State"]
    return bool(state.get("Running")) and (state.get("Health") or {}).get("Status") == "starting"


def seconds(text: str | None) -> float | None:
    """Unix seconds of RFC 3339 with nanoseconds; None for Go's year 1, which stands for never."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(_FRACTION.sub(lambda match: f".{match.group(1)[:6]:0<6}", text)).timestamp()


def _status(inspected: JSON, name: str) -> ContainerStatus:
    state = inspected["State"]
    match state["Status"]:
        case "running" | "paused" | "restarting" | "stopping":
            return ContainerStatus.RUNNING
        case "created" | "configured" | "initialized":
            # A start that was refused for good is an end; after any other it may be tried again.
            said = state.get("Error")
            lasting = bool(said) and start_refusal(name, said).lasting
            return ContainerStatus.STOPPED if lasting else ContainerStatus.CREATED
        case _:
            return ContainerStatus.STOPPED


def _finished(state: JSON, started: float) -> float | None:
    """When it ended, never before it began: engines note a start when it is over, and hear of ends from below."""
    finished = seconds(state.get("FinishedAt"))
    return None if finished is None else max(finished, started)


def _reason(state: JSON, name: str, status: ContainerStatus, exit_code: int | None) -> str | None:
    # The flag alone means nothing: a container may live on after one of its processes was killed.
    if status is ContainerStatus.STOPPED and state.get("OOMKilled") and exit_code:
        return OUT_OF_MEMORY
    if status is ContainerStatus.STOPPED and state.get("Error"):
        return str(start_refusal(name, state["Error"]))
    return None


def _health(inspected: JSON) -> HealthStatus:
    return _HEALTH.get((inspected["State"].get("Health") or {}).get("Status", ""), HealthStatus.UNKNOWN)


def _is_seen_well(inspected: JSON, seen_well: float | None) -> bool:
    started = seconds(inspected["State"].get("StartedAt"))
    return seen_well is not None and seen_well == started and is_waiting_for_health(inspected)


def _joins(inspected: JSON, pause: JSON) -> bool:
    return bool(inspected["HostConfig"].get("NetworkMode") == f"container:{pause['Id']}")


def _bindings(inspected: JSON, holder: JSON, labels: Mapping[str, str]) -> Iterable[NetworkBinding]:
    own = labels.get(PORTS)
    if inspected["HostConfig"].get("NetworkMode") == "host":
        for port, protocol in _ports(own or ""):
            yield NetworkBinding(port, port, protocol)
        return
    wanted = None if own is None else set(_ports(own))
    for port, protocol in _ports(",".join((holder["NetworkSettings"].get("Ports") or {}).keys())):
        if wanted is None or (port, protocol) in wanted:
            for bound in holder["NetworkSettings"]["Ports"][f"{port}/{protocol}"] or ():
                yield NetworkBinding(port, int(bound["HostPort"]), protocol, bound["HostIp"])


def _ports(text: str) -> list[tuple[int, str]]:
    return [
        (int(port), protocol or "tcp") for port, _, protocol in (one.partition("/") for one in text.split(",") if one)
    ]


def _address(holder: JSON) -> str | None:
    networks = (holder["NetworkSettings"].get("Networks") or {}).values()
    return next((network["IPAddress"] for network in networks if network.get("IPAddress")), None)
