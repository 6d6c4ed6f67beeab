"""Signatures of images, as cosign makes them with a key, in both its formats. Pure.

A layer of the signature's manifest is either a "simple signing" payload, whose signature is in an annotation (the tag
`sha256-….sig`, cosign up to 2), or a sigstore bundle with a signed in-toto statement (a referrer, cosign 3).
Certificates (keyless, notation) are not understood: they would want roots to trust, and logs to ask.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from estiva.descriptor import Descriptor
from estiva.digest import Digest

PublicKey = EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey
Keys = Mapping[str, PublicKey]
"""By the names that services call them."""

SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
ARTIFACT_TYPES = (BUNDLE, "application/vnd.dev.cosign.artifact.sig.v1+json")
"""Of manifests that refer to what they sign."""
TAG_END = ".sig"
IN_ANNOTATION = "dev.cosignproject.cosign/signature"
STATEMENT = "application/vnd.in-toto+json"
SIGNS = "https://sigstore.dev/cosign/sign/v1"
"""What a statement says that signs an image: others, by the same key, say what was found in it or how it was built."""


class KeyInvalid(ValueError):
    """A file is no public key that can be used; the text names it."""


def load_keys(folder: Path) -> Keys:
    """The public keys of a folder (PEM): `release.pub` or `release.pem` is the key `release`. KeyInvalid."""
    found: dict[str, PublicKey] = {}
    try:
        for file in sorted(folder.iterdir()):
            if file.suffix not in (".pub", ".pem"):
                continue
            if file.stem in found:
                raise KeyInvalid(f"{folder} has two keys of the name {file.stem}")
            found[file.stem] = _key(file)
    except OSError as error:
        raise KeyInvalid(f"cannot read the public keys in {folder}: {error.strerror}") from None
    return found


def _key(file: Path) -> PublicKey:
    try:
        key = load_pem_public_key(file.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise KeyInvalid(f"{file} is no public key in PEM") from None
    if not isinstance(key, EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey):
        raise KeyInvalid(f"{file} is none of the keys that cosign signs with: ECDSA, RSA, Ed25519")
    return key


def is_signed(subject: Digest, layer: Descriptor, content: bytes, key: PublicKey) -> bool:
    """Whether this layer of a signature's manifest, with that content, is the key's signature of the subject."""
    try:
        if layer.media_type == SIMPLE:
            return _simple(subject, layer, content, key)
        return layer.media_type == BUNDLE and _bundle(subject, content, key)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, binascii.Error):
        return False  # whatever it is, it is no signature


def _simple(subject: Digest, layer: Descriptor, content: bytes, key: PublicKey) -> bool:
    signature = base64.b64decode(layer.annotations[IN_ANNOTATION], validate=True)
    if not _verifies(key, signature, content):
        return False
    return bool(json.loads(content)["critical"]["image"]["docker-manifest-digest"] == str(subject))


def _bundle(subject: Digest, content: bytes, key: PublicKey) -> bool:
    envelope = json.loads(content)["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"], validate=True)
    kind = envelope["payloadType"]
    if kind != STATEMENT or not any(
        _verifies(key, base64.b64decode(one["sig"], validate=True), _encoded(kind, payload))
        for one in envelope["signatures"]
    ):
        return False
    statement = json.loads(payload)
    return statement["predicateType"] == SIGNS and any(_names(one, subject) for one in statement["subject"])


def _names(one: Any, subject: Digest) -> bool:
    return bool(one["digest"].get(subject.algorithm.value) == subject.hex)


def _encoded(kind: str, payload: bytes) -> bytes:
    """What an envelope's signature is made over (DSSE's pre-authentication encoding)."""
    name = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def _verifies(key: PublicKey, signature: bytes, content: bytes) -> bool:
    try:
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, content, ECDSA(SHA256()))
        elif isinstance(key, RSAPublicKey):
            key.verify(signature, content, PKCS1v15(), SHA256())
        else:
            key.verify(signature, content)
    except InvalidSignature:
        return False
    return True
