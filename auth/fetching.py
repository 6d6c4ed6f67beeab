"""Fetching small JSON documents from servers that an operator has named, and from nowhere else.

The name is resolved once and the connection goes to the address that was looked at, so no name can first look
harmless and then lead inside. Redirects are not followed.
"""

import http.client
import json
import socket
import ssl
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 5.0
LARGEST_DOCUMENT = 256 * 1024


class FetchError(Exception):
    """The document can't be had; the text says why."""


def fetch_json(url: str, *, private: bool) -> Any:
    """The JSON document at that URL. Blocking: call it in a thread. FetchError.

    Unless `private`, only HTTPS on public addresses is spoken: loopback, private and link-local ones are refused.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise FetchError("not an https URL")
    try:
        return json.loads(_get(parts.scheme, parts.hostname or "", parts.port, parts.path or "/", private))
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise FetchError(f"{type(error).__name__} while fetching") from None


def _get(scheme: str, host: str, port: int | None, path: str, private: bool) -> bytes:
    address = _resolve(host, port or (443 if scheme == "https" else 80), private)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    connected = socket.create_connection(address, TIMEOUT)
    if scheme == "https":
        connected = ssl.create_default_context().wrap_socket(connected, server_hostname=host)
    connection.sock = connected
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise FetchError(f"status {response.status}")
        body = response.read(LARGEST_DOCUMENT + 1)
    finally:
        connection.close()
    if len(body) > LARGEST_DOCUMENT:
        raise FetchError("the document is too large")
    return body


def _resolve(host: str, port: int, private: bool) -> tuple[str, int]:
    for *_, target in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = ip_address(target[0])
        if address.is_global or (private and not address.is_link_local):
            return str(address), port
    raise FetchError("no address that may be spoken to")
