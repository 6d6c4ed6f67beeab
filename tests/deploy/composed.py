"""What docker-compose.yml describes, running."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

from tests.clients.engines import OWN_ADDRESS
from tests.tools import CommandFailed, run

ROOT = Path(__file__).parent.parent.parent
# Images that are built by the tests, and what is otherwise not as at home.
SETTINGS = {
    "POSTGRES_IMAGE": "estiva-test-postgresql",
    "S3_IMAGE": "estiva-test-services",
    "PROXY_IMAGE": "estiva-test-services",
    "ESTIVA_HOST": OWN_ADDRESS,
    # Whoever starts containers may not raise the limit of open files everywhere.
    "ESTIVA_OPEN_FILES": "4096",
}
SERVICES = {"estiva-1", "estiva-2", "postgresql", "s3", "proxy"}
HOST = f"{OWN_ADDRESS}:8443"


def make_secrets() -> dict[str, str]:
    """What deploy/secrets writes."""
    return dict(line.split("=", 1) for line in run([ROOT / "deploy" / "secrets"]).splitlines())


class Composed:
    """An engine, and the project of docker-compose.yml in it with secrets of its own."""

    def __init__(self, docker: str, compose: str, environment: Mapping[str, str]) -> None:
        self.secrets = make_secrets()
        self._docker = docker
        self._environment = {**environment, **SETTINGS, **self.secrets}
        self._compose = [compose, "--project-name=site", f"--file={ROOT / 'docker-compose.yml'}"]
        self._containers: dict[str, str] = {}

    def docker(self, *words: str, given: bytes = b"", timeout: float = 240) -> str:
        """The docker command."""
        return run([self._docker, *words], environment=self._environment, given=given, timeout=timeout).strip()

    def compose(self, *words: str, timeout: float = 300) -> str:
        """The docker-compose command."""
        return run([*self._compose, *words], environment=self._environment, timeout=timeout).strip()

    def up(self) -> None:
        """Start everything, and wait until it is healthy."""
        try:
            self.compose("up", "--detach", "--no-build")
            self.await_health(SERVICES)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.compose('logs', '--no-color')[-12000:]}") from error

    def down(self) -> None:
        """Remove everything, volumes included."""
        self.compose("down", "--volumes", "--timeout=5")

    def left(self) -> list[str]:
        """Containers and volumes of the engine, and the networks that it does not have of itself."""
        networks = set(self.docker("network", "ls", "--format={{.Name}}").split()) - {"bridge", "host", "none"}
        return [*self.docker("ps", "--all", "--quiet").split(), *self.docker("volume", "ls", "-q").split(), *networks]

    def await_health(self, services: set[str], patience: float = 240) -> None:
        """Wait until these are healthy."""
        deadline = time.monotonic() + patience
        while not services <= self.healthy():
            if time.monotonic() > deadline:
                raise CommandFailed(f"not healthy: {services - self.healthy()}")
            time.sleep(0.5)

    def healthy(self) -> set[str]:
        """The services that run and are healthy by their own checks."""
        names = {self.container(service): service for service in SERVICES}
        found = json.loads(self.docker("inspect", *names))
        states = {names[container["Id"]]: container["State"] for container in found}
        return {name for name, state in states.items() if state["Running"] and state["Health"]["Status"] == "healthy"}

    def container(self, service: str) -> str:
        """The id of the container of that service."""
        if service not in self._containers:
            self._containers[service] = self.compose("ps", "--quiet", service)
        return self._containers[service]
