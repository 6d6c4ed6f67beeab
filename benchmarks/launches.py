"""From asking to a running container (``python -m benchmarks.launches``): RunTask beside ``docker run -d``.

Both on one Docker Engine of the benchmark's own, the same image, command, limits and network, one after the other in
each round. What is measured ends with the engine's own `start` event of the container.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import sleep, time
from typing import Any

import botocore.config
import botocore.session

from benchmarks import machine, peers, procfs
from benchmarks.access import ADMIN_KEY
from benchmarks.engine import Engine, Moments, engine_running
from benchmarks.figures import Spread, percentile, ratios
from benchmarks.scenario import NONE, TIMES, ScenarioFailed
from benchmarks.server import Server, started

GOAL = 1.3
REPLACED_WITHIN = 2.0
OURS, DOCKER, RAW = "RunTask", "docker run -d", "engine API"
REPLACED = "replaced after a kill"
NETWORKS = ("bridge", "awsvpc", "host", "none")
_REPOSITORY, _SETTLE = "bench/busybox", 0.3
_STEADY = 6.0
"""Seconds after which a task that ends is no failed launch, and its replacement waits for nothing."""
_COMMAND = ("busybox", "sleep", "1000")
_CPU, _MEMORY = 128, 32


@dataclass(frozen=True)
class Run:
    """What one launch took."""

    what: str
    round: int
    seconds: float
    cpu: float
    """CPU seconds of estiva, or of the docker command."""


@dataclass(frozen=True)
class Estiva(peers.Estiva):
    """The server with an engine."""

    engine: str = ""

    def environment(self) -> dict[str, str]:
        """See `Peer`."""
        return super().environment() | {"ESTIVA_ENGINE": self.engine, "ESTIVA_TASK_DRAIN": "0"}


@dataclass(frozen=True)
class Stage:
    """What takes part: the engine, a client of the server, and the image, which is on the engine."""

    engine: Engine
    server: Server
    ecs: Any
    image: str
    definition: str
    network: str
    moments: Moments


def main(arguments: Sequence[str]) -> int:
    """0 when everything was measured, 1 when something failed, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.launches", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--replacements", type=int, default=10, help="containers that are killed (default: 10)")
    parser.add_argument("--network", choices=NETWORKS, default="bridge", help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=1, help="of estiva (default: %(default)s)")
    parser.add_argument("--workdir", type=Path, default=peers.REPOSITORY / "build", help="where the data goes")
    parser.add_argument("--json", type=Path, help="write the results here too")
    options = parser.parse_args(arguments)
    options.workdir.mkdir(parents=True, exist_ok=True)
    try:
        with _stage(options.workdir, options.network, options.workers) as stage:
            runs = [*_launches(stage, options.rounds), *_replacements(stage, options.replacements)]
    except (peers.PeerMissing, ScenarioFailed) as refusal:
        print(f"benchmarks: {refusal}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    print(report(runs, options.network, options.workdir))
    return 0


@contextmanager
def _stage(workdir: Path, network: str, workers: int) -> Iterator[Stage]:
    peer = peers.find("estiva")
    assert isinstance(peer, peers.Estiva)
    # The path of a socket has 107 bytes at most: the engine is not in the working directory.
    with (
        tempfile.TemporaryDirectory(dir=workdir) as name,
        tempfile.TemporaryDirectory(prefix="bench-") as short,
        engine_running(Path(short) / "engine") as engine,
    ):
        own = Estiva(peer.name, peer.program, workers=workers, known=peer.known, engine=engine.endpoint)
        with started(own, Path(name) / "server") as server:
            image = _pushed(engine, server, peer.known.admin)
            ecs = _client(server, peer.known.admin)
            with closing(Moments(engine)) as moments:
                yield Stage(engine, server, ecs, image, _definition(ecs, image, network), network, moments)


def _pushed(engine: Engine, server: Server, secret: str) -> str:
    """The image by its digest, made of the machine's own busybox, pushed by the engine: it has it."""
    host = f"127.0.0.1:{server.port}"
    program = peers.look_for("busybox")
    if program is None:
        raise ScenarioFailed("the program busybox was not found (Debian package busybox-static)")
    engine.docker("import", "-", f"{host}/{_REPOSITORY}:1", content=_root(Path(program).read_bytes()))
    engine.docker("login", "--username", ADMIN_KEY, "--password-stdin", host, content=secret.encode())
    engine.docker("push", "--quiet", f"{host}/{_REPOSITORY}:1")
    return engine.docker("inspect", "--format", "{{index .RepoDigests 0}}", f"{host}/{_REPOSITORY}:1")


def _root(program: bytes) -> bytes:
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            entry = tarfile.TarInfo("bin/busybox")
            entry.size, entry.mode = len(program), 0o755
            tar.addfile(entry, io.BytesIO(program))
        return packed.getvalue()


def _client(server: Server, secret: str) -> Any:
    return botocore.session.get_session().create_client(
        "ecs",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{server.port}",
        aws_access_key_id=ADMIN_KEY,
        aws_secret_access_key=secret,
        config=botocore.config.Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def _definition(ecs: Any, image: str, network: str) -> str:
    container = {"name": "app", "image": image, "command": list(_COMMAND), "stopTimeout": 2}
    container |= {"cpu": _CPU, "memory": _MEMORY}
    made = ecs.register_task_definition(family="bench", networkMode=network, containerDefinitions=[container])
    return str(made["taskDefinition"]["taskDefinitionArn"])


def _launches(stage: Stage, rounds: int) -> Iterator[Run]:
    for number in range(rounds + 1):
        for run in (_run_task(stage, number), _docker_run(stage, number), _engine_api(stage, number)):
            if number:  # the first is for networks, caches and connections
                yield told(run)


def told(run: Run) -> Run:
    """The same, and a line of it for whoever waits."""
    print(f"{run.round:3}  {run.what:22} {run.seconds * 1000:7.0f} ms", file=sys.stderr)
    return run


def _run_task(stage: Stage, number: int) -> Run:
    pid = stage.server.pid
    before, begun = procfs.cpu_seconds(pid), time()
    ran = stage.ecs.run_task(taskDefinition=stage.definition)
    if ran["failures"]:
        raise ScenarioFailed(f"RunTask: {ran['failures']}")
    arn = ran["tasks"][0]["taskArn"]
    label = {"dev.estiva.task": arn.rpartition("/")[2]}
    try:
        _, at = stage.moments.until("start", **label)
    except ScenarioFailed as failed:
        task = stage.ecs.describe_tasks(tasks=[arn])["tasks"][0]
        raise ScenarioFailed(f"{failed}: {task['lastStatus']}, {task.get('stoppedReason')}") from None
    _until_running(stage, arn)
    used = procfs.cpu_seconds(pid) - before
    stage.ecs.stop_task(task=arn)
    stage.moments.until("destroy", **label)
    sleep(_SETTLE)
    return Run(OURS, number, at - begun, used)


def _until_running(stage: Stage, arn: str) -> None:
    while (status := stage.ecs.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"]) != "RUNNING":
        if status == "STOPPED":
            raise ScenarioFailed(f"{arn} has stopped")
        sleep(0.05)


def _network(stage: Stage) -> str:
    """The engine's network of a task with one container."""
    return "estiva" if stage.network in ("bridge", "awsvpc") else stage.network


def _docker_run(stage: Stage, number: int) -> Run:
    limits = (f"--memory={_MEMORY}m", f"--cpu-shares={_CPU}", "--stop-timeout=2", "--no-healthcheck")
    log = ("--log-driver=json-file", "--log-opt=max-size=10m", "--log-opt=max-file=3")
    name, before, begun = f"bench-{number}", os.times(), time()
    stage.engine.docker(
        "run", "--detach", f"--name={name}", f"--network={_network(stage)}", *limits, *log, stage.image, *_COMMAND
    )
    after = os.times()
    _, at = stage.moments.until("start", name=name)
    stage.engine.docker("rm", "--force", name)
    stage.moments.until("destroy", name=name)
    sleep(_SETTLE)
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(DOCKER, number, at - begun, used)


def _engine_api(stage: Stage, number: int) -> Run:
    """The two calls without which nothing runs, over a connection that is open: what the engine itself takes."""
    name, connection = f"raw-{number}", stage.engine.open()
    limits = {"Memory": _MEMORY << 20, "CpuShares": _CPU, "NetworkMode": _network(stage)}
    log = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    body = {"Image": stage.image, "Cmd": _COMMAND, "HostConfig": {**limits, "LogConfig": log}}
    _post(connection, "/_ping", {})
    begun = time()
    _post(connection, f"/containers/create?name={name}", body)
    _post(connection, f"/containers/{name}/start", None)
    connection.close()
    _, at = stage.moments.until("start", name=name)
    stage.engine.docker("rm", "--force", name)
    stage.moments.until("destroy", name=name)
    sleep(_SETTLE)
    return Run(RAW, number, at - begun, 0.0)


def _post(connection: Any, path: str, body: object) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    connection.request("GET" if path == "/_ping" else "POST", path, content, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status >= 400:
        raise ScenarioFailed(f"{path}: {said.decode(errors='replace')}")


def _replacements(stage: Stage, count: int) -> Iterator[Run]:
    """A service of one task whose container is killed when it has run for a while, again and again."""
    if not count:
        return
    stage.ecs.create_service(serviceName="kept", taskDefinition=stage.definition, desiredCount=1)
    labels = {"dev.estiva.service": "kept"}
    container, _ = stage.moments.until("start", **labels)
    for number in range(1, count + 1):
        sleep(_STEADY)
        before = procfs.cpu_seconds(stage.server.pid)
        stage.engine.docker("kill", container)
        _, died = stage.moments.until("die", **labels)
        container, at = stage.moments.until("start", **labels)
        yield told(Run(REPLACED, number, at - died, procfs.cpu_seconds(stage.server.pid) - before))
    stage.ecs.delete_service(service="kept", force=True)
    stage.moments.until("destroy", **labels)


def report(runs: Sequence[Run], network: str, workdir: Path) -> str:
    """The figures as a table, each ratio formed within a round."""
    described = ", ".join(f"{name}: {value}" for name, value in machine.description(workdir).items())
    lines = [
        f"network mode {network}; {described}",
        "",
        f"| | rounds | median | p90 | of `docker run -d` (min{NONE}max) | CPU | goal | holds |",
        "|---|--:|--:|--:|--:|--:|---|---|",
    ]
    return "\n".join([*lines, *(_row(runs, what) for what in dict.fromkeys(run.what for run in runs))])


def _row(runs: Sequence[Run], what: str) -> str:
    own = {run.round: run.seconds for run in runs if run.what == what}
    base = {run.round: run.seconds for run in runs if run.what == DOCKER}
    ratio = goal = verdict = NONE
    if what not in (DOCKER, REPLACED):
        spread = Spread.of(ratios(own, base))
        ratio = f"{spread.median:.2f}{TIMES} ({spread.low:.2f}{NONE}{spread.high:.2f})"
        if what == OURS:
            goal, verdict = f"≤ {GOAL:g}{TIMES}", _holds(spread.median <= GOAL)
    if what == REPLACED:
        goal, verdict = f"≤ {REPLACED_WITHIN:g} s", _holds(max(own.values()) <= REPLACED_WITHIN)
    seconds = list(own.values())
    cpu = median(run.cpu for run in runs if run.what == what)
    times = f"{median(seconds) * 1000:.0f} ms | {percentile(seconds, 0.9) * 1000:.0f} ms"
    used = NONE if what == RAW else f"{cpu * 1000:.0f} ms"
    return f"| {what} | {len(seconds)} | {times} | {ratio} | {used} | {goal} | {verdict} |"


def _holds(does: bool) -> str:
    return "yes" if does else "**short**"


if __name__ == "__main__":
    # Ended from outside, it still ends the engine and the server, and removes their data.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
