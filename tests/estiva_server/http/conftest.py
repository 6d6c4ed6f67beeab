"""Serving an application for one test, under both event loops."""

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from estiva_server.http import AtOnce, ConnectionSettings

from .served import App, Certificate, Served

Serve = Callable[..., Served]


LOOPS = ["uvloop", "asyncio"]


@pytest.fixture(params=LOOPS)
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    """`serve(app, **settings)` serves an application until the test ends."""
    yield from _serving(request.param)


@pytest.fixture(scope="module", params=LOOPS)
def serve_for_module(request: pytest.FixtureRequest) -> Iterator[Serve]:
    """The same, until the module's tests have ended: for many cases that leave no trace."""
    yield from _serving(request.param)


def _serving(loop: str) -> Iterator[Serve]:
    with contextlib.ExitStack() as stack:

        def start(
            app: App, certificate: Certificate | None = None, at_once: AtOnce | None = None, **settings: Any
        ) -> Served:
            chosen = replace(ConnectionSettings(sweep_interval=0.05), **settings)
            return stack.enter_context(Served(app, chosen, loop, certificate, at_once))

        yield start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A self-signed certificate for `localhost`."""
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    made.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


@pytest.fixture
def file(tmp_path: Path) -> Callable[[int], Path]:
    """`file(size)` makes a file whose every part can be told from the others."""

    def make(size: int) -> Path:
        path = tmp_path / f"file-{size}"
        path.write_bytes(random.Random(size).randbytes(size))
        return path

    return make
