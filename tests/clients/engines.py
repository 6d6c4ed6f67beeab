"""Engines of the tests' own: started from nothing in a folder, with nothing shared with the machine's, and ended."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.tools import CommandFailed, absent, find_tool, run, running

# The machine's network stays as it is: no bridge, no rules.
LEAVE_NETWORK = ("--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")
# Docker trusts what is on 127.0.0.0/8 without looking at its certificate, so there is one address more.
OWN_ADDRESS = "192.0.2.1"
OWN_NETWORK = (
    *("unshare", "--net", "--", "sh", "-c"),
    f'ip link set lo up && ip address add {OWN_ADDRESS}/32 dev lo && exec "$@"',
    "sh",
)

# Engines talk to the registry from their own process; nothing here may go through a proxy of the machine's.
NO_PROXY = {name: f"127.0.0.1,{OWN_ADDRESS}" for name in ("NO_PROXY", "no_proxy")}

CONTAINERD_CONFIG = """version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{folder}/socket"
"""


def needs_root() -> None:
    """An engine makes mounts and namespaces."""
    if os.geteuid() != 0:
        absent("engines are started here by root only")


@contextlib.contextmanager
def docker_engine(folder: Path, *, own_network: bool = False) -> Iterator[dict[str, str]]:
    """A dockerd with its containerd; what is given is the environment in which `docker` speaks to it.

    With `own_network` it lives in a network of its own, where it may make bridges and publish ports: nobody outside can
    reach those, and it reaches nobody outside. Otherwise it shares the machine's network and changes nothing there.
    """
    needs_root()
    folder.mkdir()
    (folder / "daemon.json").write_text("{}")
    environment = {
        "DOCKER_HOST": f"unix://{folder}/socket",
        "DOCKER_CONFIG": str(folder / "client"),
        "DOCKER_BUILDKIT": "0",
        **NO_PROXY,
    }
    with unmounted(folder), _dockerd(folder, environment, OWN_NETWORK if own_network else ()):
        yield environment


@contextlib.contextmanager
def _dockerd(folder: Path, environment: Mapping[str, str], network: Sequence[str]) -> Iterator[None]:
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid", "config-file": "daemon.json"}
    command = [
        *network,
        find_tool("dockerd"),
        *(f"--{option}={folder}/{name}" for option, name in places.items()),
        f"--host=unix://{folder}/socket",
        *(() if network else LEAVE_NETWORK),
    ]
    ping = [find_tool("docker"), "version"]
    for driver in ("overlay2", "vfs"):
        log = folder / f"{driver}.log"
        with running([*command, f"--storage-driver={driver}"], log, environment=environment) as process:
            if _came_up(process, ping, environment):
                yield
                return
    raise AssertionError(f"dockerd did not come up:\n{log.read_text()[-4000:]}")


@contextlib.contextmanager
def containerd(folder: Path) -> Iterator[list[str]]:
    """A containerd; what is given is the command with which `ctr` speaks to it."""
    needs_root()
    folder.mkdir()
    (folder / "config.toml").write_text(CONTAINERD_CONFIG.format(folder=folder))
    ctr = [find_tool("ctr"), "--address", f"{folder}/socket", "--namespace", "estiva"]
    command: list[str | Path] = [find_tool("containerd"), "--config", folder / "config.toml"]
    log = folder / "log"
    with unmounted(folder), running(command, log, environment=NO_PROXY) as process:
        if not _came_up(process, [*ctr, "version"], {}):
            raise AssertionError(f"containerd did not come up:\n{log.read_text()[-4000:]}")
        yield ctr


@contextlib.contextmanager
def container_storage(folder: Path) -> Iterator[list[str]]:
    """A store for podman and buildah; what is given are the options that name it, for either."""
    needs_root()
    folder.mkdir()
    with unmounted(folder):
        yield ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]


def _came_up(process: subprocess.Popen[bytes], ping: list[str], environment: Mapping[str, str]) -> bool:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            run(ping, timeout=5, environment=environment)
        except CommandFailed:
            time.sleep(0.1)
        else:
            return True
    return False


@contextlib.contextmanager
def unmounted(folder: Path) -> Iterator[None]:
    """Afterwards nothing is mounted under the folder, so that it can be removed."""
    try:
        yield
    finally:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        points = [point for point in (line.split()[1] for line in lines) if point.startswith(f"{folder}/")]
        for point in sorted(points, key=len, reverse=True):
            run(["umount", point])
