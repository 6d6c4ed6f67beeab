"""A reverse proxy with TLS: Caddy, as deploy/Caddyfile sets it up."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tools import find_tool, run, running

ROOT = Path(__file__).parent.parent.parent
CADDYFILE = ROOT / "deploy" / "Caddyfile"


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs: what clients call it, and the certificate authority that they have to trust."""

    host: str
    authority: Path


@contextlib.contextmanager
def proxy_running(folder: Path, port: int, upstreams: Sequence[str]) -> Iterator[Proxy]:
    """Debian's Caddy with TLS before `upstreams`, until the block ends."""
    settings = {
        "ESTIVA_HOST": "127.0.0.1",
        "PROXY_PORT": str(port),
        "PROXY_UPSTREAMS": " ".join(upstreams),
        "XDG_DATA_HOME": str(folder / "proxy"),
        "XDG_CONFIG_HOME": str(folder / "proxy"),
    }
    log = folder / "proxy.log"
    command: list[str | Path] = [find_tool("caddy"), "run", "--config", CADDYFILE, "--adapter", "caddyfile"]
    authority = folder / "proxy" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    with running(command, log, environment=settings) as process:
        deadline = time.monotonic() + 30
        curl: list[str | Path] = [
            "curl",
            "--silent",
            "--fail",
            "--noproxy",
            "*",
            "--cacert",
            authority,
            f"https://127.0.0.1:{port}/readyz",
        ]
        while not (authority.exists() and _works(curl)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the proxy did not come up:\n{log.read_text()[-4000:]}")
            time.sleep(0.1)
        yield Proxy(f"127.0.0.1:{port}", authority)


def _works(command: Sequence[str | Path]) -> bool:
    try:
        run(command, timeout=10)
    except AssertionError:
        return False
    return True
