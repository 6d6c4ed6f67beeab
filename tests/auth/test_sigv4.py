"""Signature Version 4, against botocore's own signer."""

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from auth.sigv4 import SKEW, SignatureError, SignedRequest, check_clock, parse, signing_key, verify

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BODY = b'{"repositoryName":"app"}'
KEY_ID = "AKIA" + "A" * 16


def signed(body: bytes = BODY, url: str = "http://127.0.0.1:5000/", **headers: str) -> SignedRequest:
    """A request as botocore signs it."""
    named = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Prefix.Op"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = AWSRequest("POST", url, data=body, headers=named)
    SigV4Auth(Credentials(KEY_ID, SECRET), "ecr", "eu-west-1").add_auth(request)
    path, _, query = url.partition("://")[2].partition("/")[2].partition("?")
    fields = [(name.lower(), value) for name, value in request.headers.items()]
    return SignedRequest("POST", f"/{path}", query, [("host", "127.0.0.1:5000"), *fields])


def accept(request: SignedRequest, body: bytes = BODY, service: str = "ecr") -> None:
    """Return where the request is signed with SECRET."""
    signature = parse(request, service)
    check_clock(signature)
    key = signing_key(SECRET, signature.date, signature.region, signature.service)
    verify(request, signature, key, hashlib.sha256(body).hexdigest())


def refusal(request: SignedRequest, body: bytes = BODY, service: str = "ecr") -> tuple[str, str]:
    with pytest.raises(SignatureError) as caught:
        accept(request, body, service)
    return caught.value.code, str(caught.value)


def changed(request: SignedRequest, name: str, change: Callable[[str], str | None]) -> SignedRequest:
    """The request with another value of that header, or without it."""
    headers = []
    for field, value in request.headers:
        new = change(value) if field == name else value
        if new is not None:
            headers.append((field, new))
    return SignedRequest(request.method, request.path, request.query, headers)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:5000/", "http://127.0.0.1:5000/?b=2&a=1&a=%2B", "http://127.0.0.1:5000/a%20b/c"]
)
def test_what_botocore_signs_is_right(url: str) -> None:
    accept(signed(url=url))


def test_inner_spaces_of_a_signed_header_count_once() -> None:
    accept(signed(x_amz_note="  a    b  "))


@pytest.mark.parametrize(
    ("header", "value"),
    [("x-amz-target", "Prefix.Other"), ("host", "127.0.0.1:5001"), ("content-type", "text/plain")],
)
def test_another_value_of_a_signed_header_is_refused(header: str, value: str) -> None:
    assert refusal(changed(signed(), header, lambda _: value))[0] == "InvalidSignatureException"


def test_another_body_is_refused() -> None:
    assert refusal(signed(), b"{}")[0] == "InvalidSignatureException"


def test_a_declared_hash_that_is_not_the_bodys_is_refused() -> None:
    request = signed(X_Amz_Content_SHA256="UNSIGNED-PAYLOAD")
    assert refusal(request)[0] == "InvalidSignatureException"


def test_a_signature_for_another_service_is_refused() -> None:
    code, text = refusal(signed(), service="sts")
    assert code == "InvalidSignatureException"
    assert "'sts'" in text


def test_a_header_that_decides_and_is_not_signed_is_refused() -> None:
    request = signed()
    added = SignedRequest(request.method, request.path, request.query, [*request.headers, ("x-amz-more", "1")])
    assert "x-amz-more" in refusal(added)[1]


@pytest.mark.parametrize("name", ["host", "x-amz-date"])
def test_a_signature_without_host_or_date_is_refused(name: str) -> None:
    request = changed(signed(), "authorization", lambda text: text.replace(f"{name};", "", 1))
    assert refusal(request) == (
        "InvalidSignatureException",
        f"'{name}' must be a signed header in the AWS Authorization.",
    )


@pytest.mark.parametrize("offset", [-SKEW - 5, SKEW + 5])
def test_a_clock_that_is_off_is_told_both_times(offset: int) -> None:
    request = signed()
    signature = parse(request, "ecr")
    now = datetime.strptime(signature.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp() - offset
    with pytest.raises(SignatureError, match=signature.timestamp) as caught:
        check_clock(signature, now)
    assert caught.value.code == "InvalidSignatureException"
    assert datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ") in str(caught.value)


def test_a_clock_that_is_a_little_off_is_fine() -> None:
    check_clock(parse(signed(), "ecr"), time.time() + SKEW - 5)


def test_no_authorization_is_a_missing_token() -> None:
    assert refusal(changed(signed(), "authorization", lambda _: None))[0] == "MissingAuthenticationTokenException"


def test_a_session_token_is_refused_clearly() -> None:
    code, text = refusal(signed(X_Amz_Security_Token="token"))
    assert code == "UnrecognizedClientException"
    assert "session tokens are not supported" in text


def test_a_signature_in_the_query_is_refused_clearly() -> None:
    request = SignedRequest("POST", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00", [("host", "h")])
    assert "query string" in refusal(request)[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        lambda text: text.replace("Signature=", "Sig="),
        lambda text: text.replace("/aws4_request", ""),
        lambda text: text.replace("SignedHeaders=", "SignedHeaders=Ü;"),
        lambda text: text[:-1] + "Z",
        lambda text: "Basic YTpi",
        lambda text: "",
        lambda text: text + "0" * 5000,
    ],
    ids=["algorithm", "member", "scope", "headers", "hexadecimal", "scheme", "empty", "long"],
)
def test_a_malformed_authorization_is_refused(change: Callable[[str], str]) -> None:
    assert refusal(changed(signed(), "authorization", change))[0] in (
        "IncompleteSignatureException",
        "MissingAuthenticationTokenException",
    )


def test_two_authorizations_are_refused() -> None:
    request = signed()
    twice = [*request.headers, next(header for header in request.headers if header[0] == "authorization")]
    code, _ = refusal(SignedRequest(request.method, request.path, request.query, twice))
    assert code == "IncompleteSignatureException"
