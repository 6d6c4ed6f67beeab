"""Small GET requests by wrk, the load generator that costs the least beside the server it measures."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from benchmarks.scenario import Sample, ScenarioFailed

_SCRIPT = Path(__file__).with_name("wrk.lua")


def run(url: str, connections: int, seconds: float, *headers: str) -> Sample:
    """Repeat one GET; any answer but a success, and any broken connection, fails the scenario."""
    program = shutil.which("wrk")
    if program is None:
        raise ScenarioFailed("this scenario needs wrk, which is not installed (Debian package: wrk)")
    whole = max(1, round(seconds))  # wrk takes no fractions
    command = [program, "-t1", f"-c{connections}", f"-d{whole}s", "-s", str(_SCRIPT)]
    for header in headers:
        command += ["-H", header]
    done = subprocess.run([*command, url], capture_output=True, text=True, timeout=seconds + 60, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or len(lines) != 1:
        raise ScenarioFailed(f"wrk ended with {done.returncode}: {(done.stderr or done.stdout).strip()[:300]}")
    return parse(lines[0])


def parse(line: str) -> Sample:
    """The sample in the line that ``wrk.lua`` prints."""
    told = json.loads(line)
    broken = {kind: count for kind, count in told["errors"].items() if count}
    if broken or not told["requests"]:
        raise ScenarioFailed(f"wrk counted {told['requests']} answers and these errors: {broken}")
    return Sample(
        operations=told["requests"],
        bytes=told["bytes"],
        seconds=told["us"] / 1e6,
        p50_ms=told["p50_us"] / 1000,
        p99_ms=told["p99_us"] / 1000,
    )
