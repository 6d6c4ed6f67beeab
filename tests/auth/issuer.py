"""An issuer of OpenID Connect tokens on loopback, which does as a test bids it."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "https://registry.example"
DISCOVERY, JWKS = "/.well-known/openid-configuration", "/keys"
NOTHING = object()

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Answer = tuple[int, Mapping[str, str], bytes]


@cache
def private_key(algorithm: str, name: str = "") -> PrivateKey:
    """A key of that kind; another for another name, made once."""
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()


def jwk(key_id: str, key: PrivateKey) -> dict[str, Any]:
    """The public half, as issuers publish it."""
    if isinstance(key, rsa.RSAPrivateKey):
        text = RSAAlgorithm.to_jwk(key.public_key())
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        text = ECAlgorithm.to_jwk(key.public_key())
    else:
        text = OKPAlgorithm.to_jwk(key.public_key())
    return {**json.loads(text), "kid": key_id, "use": "sig"}


@dataclass
class Issuer:
    """What it says where, and where it was asked."""

    port: int
    answers: dict[str, Callable[[], Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.say(DISCOVERY, {"issuer": self.url, "jwks_uri": self.url + JWKS})
        self.publish(rsa=private_key("RS256"), ec=private_key("ES256"), ed=private_key("EdDSA"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def say(self, path: str, document: object, status: int = 200, **fields: str) -> None:
        """Answer this there from now on."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.answers[path] = lambda: (status, {name.replace("_", "-"): text for name, text in fields.items()}, body)

    def publish(self, **keys: PrivateKey) -> None:
        """Have these keys from now on, by id."""
        self.say(JWKS, {"keys": [jwk(key_id, key) for key_id, key in keys.items()]})

    def claims(self, **claims: Any) -> dict[str, Any]:
        """What a good token says, changed by these; NOTHING leaves one out."""
        now = int(time.time())
        good = {"iss": self.url, "aud": AUDIENCE, "sub": "repo:team/app:ref:refs/heads/main", "repository": "team/app"}
        said = {**good, "iat": now, "exp": now + 300, **claims}
        return {name: value for name, value in said.items() if value is not NOTHING}

    def token(self, algorithm: str = "RS256", key_id: str = "", key: Any = None, **claims: Any) -> str:
        """A signed token."""
        named = key_id or {"RS256": "rsa", "ES256": "ec", "EdDSA": "ed"}[algorithm]
        payload = json.dumps(self.claims(**claims)).encode()  # whatever it says: jwt.encode would look at it
        return jwt.PyJWS().encode(payload, key or private_key(algorithm), algorithm, headers={"kid": named})

    def trust(self, *rules: Mapping[str, Any], **members: Any) -> str:
        """A document that trusts this issuer."""
        said = {"issuer": self.url, "audience": AUDIENCE, "rules": rules, **members}
        return json.dumps(said)


@contextlib.contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer on a port of its own, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            status, fields, body = issuer.answers.get(self.path, lambda: (404, {}, b""))()
            with contextlib.suppress(OSError):  # whoever asked may have left
                self.send_response(status)
                for name, text in {"Content-Length": str(len(body)), "Connection": "close", **fields}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = Issuer(server.server_address[1])
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            serving.join()
