"""Clients side by side (``python -m benchmarks.clients``): one image, pushed to and pulled from the same registry."""

from __future__ import annotations

import argparse
import base64
import compileall
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import monotonic, sleep

from benchmarks import machine, peers, procfs
from benchmarks.access import ADMIN_KEY
from benchmarks.figures import Spread, ratios
from benchmarks.scenario import MIB, NONE, TIMES, ScenarioFailed
from benchmarks.server import started

GOAL = 1.3
OURS = "estiva"
_TAG = "image"
_PATIENCE = 900
_LOOK = 0.005

Command = Callable[[str, Path], list[str]]


@dataclass(frozen=True)
class Tool:
    """A client: how it pushes a layout to a reference, and pulls a reference into one."""

    program: str
    push: Command
    pull: Command


_SKOPEO = ("skopeo", "--insecure-policy", "copy", "--quiet")
TOOLS = {
    OURS: Tool(
        OURS,
        lambda image, layout: ["estiva", "push", str(layout), image, "--quiet"],
        lambda image, layout: ["estiva", "pull", image, str(layout), "--quiet"],
    ),
    "skopeo": Tool(
        "skopeo",
        lambda image, layout: [*_SKOPEO, "--dest-tls-verify=false", f"oci:{layout}:{_TAG}", f"docker://{image}"],
        lambda image, layout: [*_SKOPEO, "--src-tls-verify=false", f"docker://{image}", f"oci:{layout}:{_TAG}"],
    ),
    "crane": Tool(
        "crane",
        lambda image, layout: ["crane", "push", str(layout), image],
        lambda image, layout: ["crane", "pull", "--format=oci", image, str(layout)],
    ),
}


@dataclass(frozen=True)
class Run:
    """What one push or pull took."""

    what: str
    tool: str
    round: int
    seconds: float
    cpu: float
    peak_rss_mib: float


def main(arguments: Sequence[str]) -> int:
    """0 when everything was measured, 1 when something failed, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients", description=__doc__)
    parser.add_argument("--clients", nargs="+", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--layers", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--size", type=int, default=1024, help="MiB of all layers together (default: %(default)s)")
    parser.add_argument(
        "--workdir", type=Path, default=peers.REPOSITORY / "build", help="where the data goes; no tmpfs"
    )
    parser.add_argument("--json", type=Path, help="write the results here too")
    options = parser.parse_args(arguments)
    options.workdir.mkdir(parents=True, exist_ok=True)
    try:
        runs = list(measured(options.workdir, options.clients, options.rounds, options.layers, options.size))
    except (peers.PeerMissing, ScenarioFailed) as refusal:
        print(f"benchmarks: {refusal}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    print(report(runs, options.layers, options.size, options.workdir))
    return 0


def measured(workdir: Path, clients: Sequence[str], rounds: int, layers: int, size: int) -> Iterator[Run]:
    """Every client in every round, each on a registry that was just started on an empty directory."""
    for client in clients:
        if peers.look_for(TOOLS[client].program) is None:
            raise peers.PeerMissing(f"{client} needs the program {TOOLS[client].program}, which was not found")
    compileall.compile_dir(peers.REPOSITORY / "client" / "estiva", quiet=1)  # as pip does where it installs a wheel
    with tempfile.TemporaryDirectory(prefix="estiva-clients-", dir=workdir) as name:
        layout = make_layout(Path(name) / "layout", layers, size * MIB // layers)
        for number in range(1, rounds + 1):
            for client in clients:
                for run in _round(Path(name), layout, client, number):
                    print(f"{run.round}  {run.what:5} {run.tool:8} {run.seconds:7.2f} s", file=sys.stderr)
                    yield run


def make_layout(folder: Path, layers: int, size: int) -> Path:
    """An OCI layout of so many incompressible layers of about that size.

    They are gzip indeed, or skopeo would compress them and be measured at that.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def add(media_type: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {
            "mediaType": f"application/vnd.oci.image.{media_type}",
            "digest": f"sha256:{digest}",
            "size": len(content),
        }

    described = [add("layer.v1.tar+gzip", gzip.compress(os.urandom(size), 0, mtime=0)) for _ in range(layers)]
    root = {"type": "layers", "diff_ids": [layer["digest"] for layer in described]}
    config = add("config.v1+json", json.dumps({"os": "linux", "architecture": "amd64", "rootfs": root}).encode())
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": described,
    }
    manifest = add("manifest.v1+json", json.dumps(document).encode())
    named = {**manifest, "annotations": {"org.opencontainers.image.ref.name": _TAG}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return folder


def _round(directory: Path, layout: Path, client: str, number: int) -> Iterator[Run]:
    peer = peers.find(OURS)
    assert isinstance(peer, peers.Estiva)
    tool, pulled = TOOLS[client], directory / "pulled"
    with (
        started(peer, directory / "registry") as server,
        _home(directory, server.port, peer.known.admin) as environment,
    ):
        image = f"127.0.0.1:{server.port}/bench/image:1"
        for what, command in (("push", tool.push(image, layout)), ("pull", tool.pull(image, pulled))):
            os.sync()
            yield Run(what, client, number, *_timed(command, environment))
    same = {path.name for path in (layout / "blobs" / "sha256").iterdir()}
    if not same <= {path.name for path in (pulled / "blobs" / "sha256").iterdir()}:
        raise ScenarioFailed(f"{client} pulled something else than was pushed")
    shutil.rmtree(pulled)


@contextmanager
def _home(directory: Path, port: int, secret: str) -> Iterator[dict[str, str]]:
    """The environment of somebody who has signed in, as every one of the clients looks for it."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        auth = base64.b64encode(f"{ADMIN_KEY}:{secret}".encode()).decode()
        config = Path(name) / "config.json"
        config.write_text(json.dumps({"auths": {f"127.0.0.1:{port}": {"auth": auth}}}))
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ESTIVA_")}
        yield {**kept, "DOCKER_CONFIG": name, "REGISTRY_AUTH_FILE": str(config), "XDG_STATE_HOME": name}


def _timed(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds, CPU seconds and the peak of resident memory in MiB of one command."""
    program = peers.look_for(command[0])
    assert program is not None
    begun, before, peak = monotonic(), os.times(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [program, *command[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, env=environment
        )
        while process.poll() is None:
            peak = max(peak, procfs.peak_bytes(process.pid))
            if monotonic() - begun > _PATIENCE:
                process.kill()
            sleep(_LOOK)
        seconds, after = monotonic() - begun, os.times()
        if process.returncode != 0:
            said.seek(0)
            raise ScenarioFailed(
                f"{command[0]} ended with {process.returncode}: {said.read()[-500:].decode(errors='replace')}"
            )
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, used, peak / MIB


def report(runs: Sequence[Run], layers: int, size: int, workdir: Path) -> str:
    """The figures as a table, each ratio formed within a round."""
    described = ", ".join(f"{name}: {value}" for name, value in machine.description(workdir).items())
    lines = [
        f"{layers} layers, {size} MiB in all, {max(run.round for run in runs)} rounds; {described}",
        "",
        f"| | client | median | estiva is faster (min{NONE}max) | CPU | peak memory | goal {GOAL:g}{TIMES} |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    return "\n".join([*lines, *(_row(runs, what, tool) for what in ("push", "pull") for tool in _tools(runs))])


def _tools(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(run.tool for run in runs))


def _row(runs: Sequence[Run], what: str, tool: str) -> str:
    own = [run for run in runs if (run.what, run.tool) == (what, tool)]
    ours = {run.round: run.seconds for run in runs if (run.what, run.tool) == (what, OURS)}
    ratio, verdict = NONE, NONE
    if tool != OURS and ours:
        spread = Spread.of(ratios({run.round: run.seconds for run in own}, ours))
        ratio = f"{spread.median:.2f}{TIMES} ({spread.low:.2f}{NONE}{spread.high:.2f})"
        verdict = "yes" if spread.median >= GOAL else "**short**"
    cpu, peak = median(run.cpu for run in own), median(run.peak_rss_mib for run in own)
    seconds = median(run.seconds for run in own)
    return f"| {what} | {tool} | {seconds:.2f} s | {ratio} | {cpu:.2f} s | {peak:.0f} MiB | {verdict} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
