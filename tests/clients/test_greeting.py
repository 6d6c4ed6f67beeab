"""docker, podman and skopeo greet every registry in TLS first and use HTTP when that is refused: so refuse at once."""

import socket
import ssl
import time

import pytest

from tests.serving import Registry


def test_a_tls_greeting_is_refused_at_once(registry: Registry) -> None:
    with socket.create_connection(("127.0.0.1", registry.port), timeout=30) as connection:
        begin = time.monotonic()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ssl.create_default_context().wrap_socket(connection, server_hostname="127.0.0.1")
        assert time.monotonic() - begin < 2
