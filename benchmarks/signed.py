"""The AWS front: ``python -m benchmarks.signed [--rounds N] [--seconds N] [--images N] [--moto PROGRAM]``.

Signed DescribeRepositories by wrk, per second and per second of the server's processor time, for estiva and, where
its program is given, for the moto server (which checks no signature), one after the other in every round; and how long
pages of DescribeImages take. The middle of the rounds is told, and the range.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from estiva.digest import Digest
from estiva.manifest import parse_manifest
from estiva.mediatypes import OCI_MANIFEST
from estiva.reference import RepositoryName, Tag
from storage.metadata import blobs, manifests
from storage.metadata.database import Work
from storage.metadata.manifests import StoredManifest
from storage.metadata.migrations import migrate
from storage.metadata.sqlite import SQLiteDatabase

KEY = Credentials("AKIA" + "A" * 16, "the secret of this benchmark")
TARGET = "AmazonEC2ContainerRegistry_V20150921"
NAME = RepositoryName("bench/images")
ENVIRONMENT = {
    "ESTIVA_ADMIN_PASSWORD": "of no use here",
    "ESTIVA_ADMIN_ACCESS_KEY_ID": KEY.access_key,
    "ESTIVA_ADMIN_SECRET_ACCESS_KEY": KEY.secret_key,
    "ESTIVA_ACCESS_LOG": "false",
}
PAGES = 20


def main() -> int:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.signed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--moto", help="the program moto_server, to measure beside")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("benchmarks: wrk is not installed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        data = Path(folder, "data")
        data.mkdir()
        migrate(f"sqlite:///{data / 'estiva.db'}")
        asyncio.run(fill(data / "estiva.db", options.images))
        estiva = str(Path(sys.executable).with_name("estiva"))
        command = [estiva, "serve", "--data", str(data), "--listen", "127.0.0.1:{port}"]
        servers = {"estiva": opened.enter_context(serving(command))}
        if options.moto:
            servers["moto"] = opened.enter_context(serving([options.moto, "-p", "{port}"]))
            ask(servers["moto"][0], "CreateRepository", {"repositoryName": NAME.text})
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
        for _ in range(options.rounds):
            for name, (port, process) in servers.items():
                figures[name].append(repeated(port, process.pid, options.seconds, Path(folder)))
        for name, of_rounds in figures.items():
            told(name, of_rounds)
        pages(servers["estiva"][0], servers["estiva"][1].pid)
    print("load average", *(f"{load:.1f}" for load in os.getloadavg()))
    return 0


def told(name: str, rounds: list[tuple[float, float]]) -> None:
    """Print the figures of one server."""
    for what, figures in zip(("/s", "per second of processor time"), zip(*rounds, strict=True), strict=True):
        middle, least, most = statistics.median(figures), min(figures), max(figures)
        print(f"DescribeRepositories, signed, {name}: {middle:,.0f} ({least:,.0f} to {most:,.0f}) {what}")


async def fill(file: Path, images: int) -> None:
    """Enter so many tagged images of two layers, as pushes do."""
    database = SQLiteDatabase(file)
    layers = [f"layer {number}".encode() for number in range(2)]

    def enter(start: int) -> Work[None]:
        for layer in layers:
            yield from blobs.record(NAME, None, Digest.of(layer), len(layer), f"key of {layer.decode()}")
        for number in range(start, min(start + 500, images)):
            payload = document(layers, number)
            stored = StoredManifest(Digest.of(payload), OCI_MANIFEST, payload)
            yield from manifests.put(NAME, parse_manifest(payload, OCI_MANIFEST), stored, [Tag(f"build-{number}")])

    for start in range(0, max(images, 1), 500):
        await database.write(lambda start=start: enter(start))  # type: ignore[misc]
    await database.close()


def document(layers: list[bytes], number: int) -> bytes:
    """An image of these layers, like no other."""
    described = [
        {"mediaType": "application/x", "digest": str(Digest.of(layer)), "size": len(layer)} for layer in layers
    ]
    annotations = {"number": str(number)}
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described[0], "layers": described[1:]}
    return json.dumps({**body, "annotations": annotations}).encode()


@contextmanager
def serving(command: list[str]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The program on a free port of loopback, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [word.format(port=port) for word in command]
    process = subprocess.Popen(
        words, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        time.sleep(1)
        yield port, process
    finally:
        process.terminate()
        process.wait(30)


def signed(port: int, operation: str, body: bytes) -> dict[str, str]:
    """The headers of a signed request."""
    named = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{TARGET}.{operation}"}
    request = AWSRequest("POST", f"http://127.0.0.1:{port}/", data=body, headers=named)
    SigV4Auth(KEY, "ecr", "us-east-1").add_auth(request)
    return dict(request.headers.items())


def ask(port: int, operation: str, members: dict[str, object]) -> tuple[dict[str, object], float]:
    """The answer to one operation, and how many seconds it took."""
    body = json.dumps(members).encode()
    headers = signed(port, operation, body)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    begin = time.perf_counter()
    connection.request("POST", "/", body, headers)
    answer = connection.getresponse()
    content = answer.read()
    took = time.perf_counter() - begin
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"benchmarks: {operation} was answered {answer.status} {content[:300]!r}")
    return json.loads(content), took


def repeated(port: int, pid: int, seconds: int, folder: Path) -> tuple[float, float]:
    """How often one DescribeRepositories is answered each second, and each second of the server's processor time."""
    body = json.dumps({"repositoryNames": [NAME.text]}).encode()
    headers = signed(port, "DescribeRepositories", body)
    lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(body.decode())}"]
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    lines += [
        "done = function(summary)",
        "  local e = summary.errors",
        "  local wrong = e.connect + e.read + e.write + e.status + e.timeout",
        '  print(string.format("figures %d %d %d", summary.requests, summary.duration, wrong))',
        "end",
    ]
    script = folder / "signed.lua"
    script.write_text("\n".join(lines))
    before = processor(pid)
    command = ["wrk", "-t1", "-c8", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    used = processor(pid) - before
    figures = next(line for line in done.stdout.splitlines() if line.startswith("figures "))
    requests, microseconds, wrong = map(int, figures.split()[1:])
    if wrong or not requests:
        raise SystemExit(f"benchmarks: {wrong} of {requests} answers were wrong")
    return requests / (microseconds / 1e6), requests / used


def processor(pid: int) -> float:
    """Seconds of processor time that the process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pages(port: int, pid: int) -> None:
    """Print how long pages of DescribeImages take."""
    for size in (100, 1000):
        members: dict[str, object] = {"repositoryName": NAME.text, "maxResults": size}
        times: list[float] = []
        before = processor(pid)
        while len(times) < PAGES:
            answer, took = ask(port, "DescribeImages", members)
            times.append(took)
            token = answer.get("nextToken")
            members = {**members, "nextToken": token} if token else {"repositoryName": NAME.text, "maxResults": size}
        middle, worst = statistics.median(times) * 1000, max(times) * 1000
        each = (processor(pid) - before) / len(times) * 1000
        print(
            f"DescribeImages, pages of {size}: median {middle:.1f} ms, worst of {len(times)} {worst:.1f} ms, "
            f"{each:.1f} ms of processor time each"
        )


if __name__ == "__main__":
    raise SystemExit(main())
