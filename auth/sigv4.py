"""AWS Signature Version 4: what a signed request says of itself, and whether the signature is that of a secret.

Header signatures only (AWS, "Signing AWS API requests"): a signature in the query string is refused by name.
Nothing here knows who a key belongs to: see `auth.signers`.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Sequence, Set
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW = 15 * 60
"""Seconds that a request's clock may be off."""
LONGEST_AUTHORIZATION = 4096

_MEMBER = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")
_CREDENTIAL = re.compile(
    r"(?P<key>[A-Za-z0-9_]{1,128})/(?P<date>[0-9]{8})/(?P<region>[a-z0-9-]{1,32})/(?P<service>[a-z0-9-]{1,32})/aws4_request"
)
_SIGNED = re.compile(r"[a-z0-9-]{1,64}(;[a-z0-9-]{1,64}){0,63}")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_TIME = "%Y%m%dT%H%M%SZ"

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


class SignatureError(Exception):
    """The request is not signed as it has to be: `code` is the AWS error code, the text says what is wrong."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def _incomplete(text: str) -> SignatureError:
    return SignatureError("IncompleteSignatureException", text)


def _invalid(text: str) -> SignatureError:
    return SignatureError("InvalidSignatureException", text)


class SignedRequest:
    """A request as it came over the wire: target still encoded, header names in lower case."""

    __slots__ = ("_fields", "headers", "method", "path", "query")

    def __init__(self, method: str, path: str, query: str, headers: Sequence[tuple[str, str]]) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self._fields: dict[str, list[str]] = {}
        for name, value in headers:
            self._fields.setdefault(name, []).append(value)

    @property
    def names(self) -> Set[str]:
        """The names of its headers, each once."""
        return self._fields.keys()

    def values(self, name: str) -> Sequence[str]:
        """Every value of that header, in order."""
        return self._fields.get(name, ())


class Signature(NamedTuple):
    """What the Authorization header says: which key signed what, for which service and day."""

    key_id: str
    date: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str
    timestamp: str
    """The value of `x-amz-date`."""

    @property
    def scope(self) -> str:
        """The credential scope."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def parse(request: SignedRequest, service: str) -> Signature:
    """The request's signature, complete and meant for `service`; whether it is right is not known yet.

    SignatureError.
    """
    if "x-amz-signature=" in request.query.lower():
        raise _incomplete("Signatures in the query string are not supported: sign the headers.")
    text = _only(request, "authorization")
    if not text:
        raise SignatureError("MissingAuthenticationTokenException", "Missing Authentication Token")
    if request.values("x-amz-security-token"):
        raise SignatureError(
            "UnrecognizedClientException",
            "The security token included in the request is invalid: session tokens are not supported.",
        )
    signature = _parse_authorization(text, _only(request, "x-amz-date"))
    if signature.service != service:
        raise _invalid(f"Credential should be scoped to correct service: '{service}'.")
    _require_signed(request, signature.signed)
    return signature


def _parse_authorization(text: str, timestamp: str) -> Signature:
    algorithm, _, rest = text.partition(" ")
    if algorithm != ALGORITHM or len(text) > LONGEST_AUTHORIZATION:
        raise _incomplete(f"Unsupported Authorization header: the algorithm has to be {ALGORITHM}.")
    members = dict(_MEMBER.findall(rest))
    for name in ("Credential", "SignedHeaders", "Signature"):
        if name not in members:
            raise _incomplete(f"Authorization header requires '{name}' parameter.")
    credential = _CREDENTIAL.fullmatch(members["Credential"])
    if credential is None:
        raise _incomplete("Credential must have the form key/yyyymmdd/region/service/aws4_request.")
    if not _SIGNED.fullmatch(members["SignedHeaders"]) or not _SIGNATURE.fullmatch(members["Signature"]):
        raise _incomplete("SignedHeaders or Signature is malformed.")
    if not _DATE.fullmatch(timestamp):
        raise _incomplete(
            "Authorization header requires existence of an 'X-Amz-Date' header of the form YYYYMMDDTHHMMSSZ."
        )
    if timestamp[:8] != credential["date"]:
        raise _invalid("Date in Credential scope does not match the day of X-Amz-Date.")
    signed = tuple(members["SignedHeaders"].split(";"))
    key, date, region, service = credential.group("key", "date", "region", "service")
    return Signature(key, date, region, service, signed, members["Signature"], timestamp)


def _only(request: SignedRequest, name: str) -> str:
    """The header's only value, empty where there is none."""
    values = request.values(name)
    if len(values) > 1:
        raise _incomplete(f"There is more than one {name} header.")
    return values[0].strip() if values else ""


def _require_signed(request: SignedRequest, signed: Sequence[str]) -> None:
    """What decides on the request has to be part of what was signed: else a signature would do for another request."""
    present, named = request.names, frozenset(signed)
    missing = [name for name in present if name.startswith("x-amz-") and name not in named]
    missing += [name for name in ("host", "x-amz-date") if name not in named]
    if missing:
        raise _invalid(f"'{min(missing)}' must be a signed header in the AWS Authorization.")
    if absent := sorted(named - present):
        raise _invalid(f"The signed header '{absent[0]}' is not in the request.")
    if len(named) != len(signed):
        raise _invalid("A header is signed twice.")


def check_clock(signature: Signature, now: float | None = None) -> None:
    """Return where the request was signed within the last SKEW seconds, or clocks differ by less. SignatureError."""
    now = time.time() if now is None else now
    signed_at = _seconds(signature.timestamp)
    if abs(now - signed_at) <= SKEW:
        return
    late = now > signed_at
    limit = _written(now - SKEW if late else now + SKEW)
    what, how, sign = ("expired", "earlier", "-") if late else ("not yet current", "later", "+")
    raise _invalid(
        f"Signature {what}: {signature.timestamp} is now {how} than {limit} ({_written(now)} {sign} 15 min.)"
    )


@lru_cache(maxsize=64)
def _seconds(timestamp: str) -> float:
    """The time of an `x-amz-date`; most requests of a second have the same. SignatureError."""
    try:
        return datetime.strptime(timestamp, _TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise _incomplete("X-Amz-Date is no date.") from None


def _written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(_TIME)


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key that signs a day's requests to one service in one region."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return key


def verify(request: SignedRequest, signature: Signature, key: bytes, payload_hash: str) -> None:
    """Return where `key` made the signature of this request, whose body has that SHA-256. SignatureError."""
    declared = _only(request, "x-amz-content-sha256")
    matches = not declared or hmac.compare_digest(declared.encode("latin-1", "replace"), payload_hash.encode())
    to_sign = string_to_sign(signature, canonical_request(request, signature.signed, payload_hash))
    expected = hmac.digest(key, to_sign.encode(), hashlib.sha256).hex()
    if not (hmac.compare_digest(expected, signature.signature) and matches):
        raise _invalid(MISMATCH)


def string_to_sign(signature: Signature, canonical: str) -> str:
    """What the signature is computed of."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{ALGORITHM}\n{signature.timestamp}\n{signature.scope}\n{digest}"


def canonical_request(request: SignedRequest, signed: Iterable[str], payload_hash: str) -> str:
    """The request in the one form in which it is signed; exactly the headers named, in that order."""
    lines = "".join(
        f"{name}:{','.join([' '.join(value.split()) for value in request.values(name)])}\n" for name in signed
    )
    return "\n".join(
        (
            request.method,
            _canonical_path(request.path),
            _canonical_query(request.query),
            lines,
            ";".join(signed),
            payload_hash,
        )
    )


def _canonical_path(path: str) -> str:
    """Encoded once more than it came, as every service but S3 wants it."""
    if path == "/":
        return path
    return _quoted(path.encode("latin-1"), keep="/~") or "/"


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        pairs.append((_quoted(unquote_to_bytes(name), keep="~"), _quoted(unquote_to_bytes(value), keep="~")))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _quoted(data: bytes, keep: str) -> str:
    return "".join(
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "-_." + keep) else f"%{byte:02X}"
        for byte in data
    )
