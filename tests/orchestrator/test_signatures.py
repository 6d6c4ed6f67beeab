"""Signatures: cosign's two formats are verified, and nothing else is taken for one."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from estiva.digest import Digest
from orchestrator.signatures import IN_ANNOTATION, KeyInvalid, is_signed, load_keys
from tests.fixtures.signing import Signer, bundle_layer, simple_layer

SUBJECT, OTHER = Digest.of(b"image"), Digest.of(b"other")
SIGNER = Signer()
PUBLIC, FOREIGN = SIGNER.key.public_key(), Signer().key.public_key()
PAYLOAD, ANNOTATIONS = SIGNER.simple(SUBJECT)
BUNDLED = SIGNER.bundle(SUBJECT)


def test_both_formats_of_cosign_are_signatures_of_their_subject_by_their_key_and_of_nothing_else() -> None:
    for layer, content in ((simple_layer(PAYLOAD, ANNOTATIONS), PAYLOAD), (bundle_layer(BUNDLED), BUNDLED)):
        assert is_signed(SUBJECT, layer, content, PUBLIC)
        assert not is_signed(OTHER, layer, content, PUBLIC)
        assert not is_signed(SUBJECT, layer, content, FOREIGN)


def test_a_statement_that_the_key_signed_about_an_image_is_not_its_signature() -> None:
    content = SIGNER.bundle(SUBJECT, "https://cyclonedx.org/bom")
    assert not is_signed(SUBJECT, bundle_layer(content), content, PUBLIC)


def test_a_signature_of_one_payload_does_not_pass_for_another() -> None:
    forged = SIGNER.simple(OTHER)[0]
    assert not is_signed(OTHER, simple_layer(forged, ANNOTATIONS), forged, PUBLIC)
    envelope = json.loads(BUNDLED)
    statement = json.loads(base64.b64decode(envelope["dsseEnvelope"]["payload"]))
    statement["subject"] = [{"digest": {"sha256": OTHER.hex}}]
    envelope["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    content = json.dumps(envelope).encode()
    assert not is_signed(OTHER, bundle_layer(content), content, PUBLIC)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=64) | json_values.map(lambda value: json.dumps(value).encode()), st.text(max_size=16))
def test_whatever_else_is_stored_is_no_signature(content: bytes, text: str) -> None:
    assert not is_signed(SUBJECT, simple_layer(content, {IN_ANNOTATION: text}), content, PUBLIC)
    assert not is_signed(SUBJECT, simple_layer(content, {}), content, PUBLIC)
    assert not is_signed(SUBJECT, bundle_layer(content), content, PUBLIC)
    wrapped = json.dumps({"dsseEnvelope": {"payload": text, "payloadType": text, "signatures": [text]}}).encode()
    assert not is_signed(SUBJECT, bundle_layer(wrapped), wrapped, PUBLIC)


def test_keys_of_the_kinds_that_cosign_has_are_known_by_the_names_of_their_files(tmp_path: Path) -> None:
    one, two = rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "notes.txt").write_text("not looked at")
    (tmp_path / "three.pub").write_bytes(SIGNER.public)
    for name, key in (("one", one.public_key()), ("two", two.public_key())):
        text = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / f"{name}.pem").write_bytes(text)
    keys = load_keys(tmp_path)
    assert sorted(keys) == ["one", "three", "two"]
    signatures = {
        "one": one.sign(PAYLOAD, padding.PKCS1v15(), SHA256()),
        "two": two.sign(PAYLOAD),
    }
    for name, signature in signatures.items():
        layer = simple_layer(PAYLOAD, {IN_ANNOTATION: base64.b64encode(signature).decode()})
        assert [each for each in sorted(keys) if is_signed(SUBJECT, layer, PAYLOAD, keys[each])] == [name]


def test_what_is_no_key_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(KeyInvalid, match=f"cannot read the public keys in {tmp_path}/none: No such file"):
        load_keys(tmp_path / "none")
    (tmp_path / "a.pub").write_text("no key")
    with pytest.raises(KeyInvalid, match=r"a\.pub is no public key in PEM"):
        load_keys(tmp_path)
    other = dsa.generate_private_key(2048).public_key()
    (tmp_path / "a.pub").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(KeyInvalid, match=r"a\.pub is none of the keys that cosign signs with"):
        load_keys(tmp_path)
    (tmp_path / "a.pub").write_bytes(SIGNER.public)
    (tmp_path / "a.pem").write_bytes(SIGNER.public)
    with pytest.raises(KeyInvalid, match="has two keys of the name a"):
        load_keys(tmp_path)
