"""What docker-compose.yml describes, and the secrets that it needs."""

from pathlib import Path

from tests.tools import run

ROOT = Path(__file__).parent.parent.parent
SERVICES = {"estiva-1", "estiva-2", "postgresql", "s3", "proxy"}


def make_secrets() -> dict[str, str]:
    """What deploy/secrets writes."""
    return dict(line.split("=", 1) for line in run([ROOT / "deploy" / "secrets"]).splitlines())
