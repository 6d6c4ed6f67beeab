"""Whether docker on this machine can speak to a registry: in plain HTTP, or with an authority of one's own."""

import ipaddress
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from estiva.cli.findings import Finding, ok, skipped, warning

PATIENCE = 20
CERTIFICATES = Path("/etc/docker/certs.d")


def docker(scheme: str, host: str, *, own_authority: bool) -> Finding:
    """What has to be entered for docker, if anything; `own_authority`: the certificate is none that machines trust."""
    program = shutil.which("docker")
    if program is None:
        return skipped("docker", "it is not installed here")
    if scheme == "https":
        return _authority(host) if own_authority else ok("docker", f"trusts {host} as this machine does")
    if _is_loopback(host):
        return ok("docker", f"speaks plain HTTP to {host}, as it is this machine")
    known = _registries(program)
    if known is None:
        return warning("docker", f"its daemon does not answer; it speaks plain HTTP to {host} only {_entered(host)}")
    if _is_insecure(known, host):
        return ok("docker", f"speaks plain HTTP to {host}: it is among its insecure registries")
    return warning("docker", f"speaks plain HTTP to {host} only {_entered(host)}")


def _entered(host: str) -> str:
    return f'with "insecure-registries": ["{host}"] in /etc/docker/daemon.json, and restarted'


def _authority(host: str) -> Finding:
    folder = CERTIFICATES / host
    if any(folder.glob("*.crt")):
        return ok("docker", f"trusts what is in {folder}")
    return warning("docker", f"trusts the certificate only with its authority in {folder}/ca.crt")


def _registries(program: str) -> dict[str, Any] | None:
    """What the daemon says of registries; None where it does not answer."""
    command = [program, "info", "--format", "{{json .RegistryConfig}}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)  # noqa: S603 - docker itself
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _is_insecure(known: dict[str, Any], host: str) -> bool:
    entry = (known.get("IndexConfigs") or {}).get(host)
    if entry is not None and not entry.get("Secure", True):
        return True
    address = _address(host)
    networks = [ipaddress.ip_network(text, strict=False) for text in known.get("InsecureRegistryCIDRs") or ()]
    return address is not None and any(address in network for network in networks)


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return _name(host) == "localhost" or (address is not None and address.is_loopback)


def _name(host: str) -> str:
    return host[1 : host.index("]")] if host.startswith("[") and "]" in host else host.partition(":")[0]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(_name(host))
    except ValueError:
        return None
