import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiva import mediatypes
from estiva.digest import Digest
from estiva.errors import ManifestInvalid
from estiva.manifest import MAX_CONTAINERS, MAX_DEPTH, MAX_DESCRIPTORS, Manifest, parse_manifest
from tests.fixtures.documents import CONFIG, described, image, index, named, written

OCI = mediatypes.OCI_MANIFEST


def refusal(payload: bytes, content_type: str = OCI) -> str:
    """What a manifest that must be refused is refused with."""
    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest(payload, content_type)
    return refused.value.text


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("media_type", [mediatypes.OCI_MANIFEST, mediatypes.DOCKER_MANIFEST])
def test_an_image_needs_its_config_and_its_layers(media_type: str) -> None:
    manifest = parse_manifest(image(b"config", b"one", b"two", media_type=media_type), media_type)
    assert [str(blob.digest) for blob in manifest.blobs] == [named(b"config"), named(b"one"), named(b"two")]
    assert (manifest.media_type, manifest.children, manifest.subject) == (media_type, (), None)


@pytest.mark.parametrize("media_type", [mediatypes.OCI_INDEX, mediatypes.DOCKER_MANIFEST_LIST])
def test_an_index_needs_what_it_lists(media_type: str) -> None:
    manifest = parse_manifest(index(b"one", b"two", media_type=media_type), media_type)
    assert [str(child.digest) for child in manifest.children] == [named(b"one"), named(b"two")]
    assert (manifest.media_type, manifest.blobs, manifest.artifact_type) == (media_type, (), None)


def test_an_empty_index_is_an_index() -> None:
    assert parse_manifest(index(), mediatypes.OCI_INDEX) == Manifest(mediatypes.OCI_INDEX)


def test_an_oci_image_may_have_no_layers_at_all() -> None:
    payload = written({"schemaVersion": 2, "mediaType": OCI, "config": described(b"config")})
    assert [str(blob.digest) for blob in parse_manifest(payload, OCI).blobs] == [named(b"config")]


def test_a_docker_image_must_say_that_it_has_no_layers() -> None:
    media_type = mediatypes.DOCKER_MANIFEST
    payload = written({"schemaVersion": 2, "mediaType": media_type, "config": described(b"config")})
    assert refusal(payload, media_type) == "layers is not a list"


@pytest.mark.parametrize("content_type", [OCI, f"{OCI}; charset=utf-8", f" {OCI} ;a=b"])
def test_the_content_type_counts_where_the_manifest_has_no_media_type(content_type: str) -> None:
    document = json.loads(image())
    del document["mediaType"]
    assert parse_manifest(written(document), content_type).media_type == OCI


def test_an_artifacts_own_type_goes_before_that_of_its_config() -> None:
    assert parse_manifest(image(artifactType="application/x"), OCI).artifact_type == "application/x"
    assert parse_manifest(image(), OCI).artifact_type == CONFIG
    assert parse_manifest(image(artifactType=""), OCI).artifact_type == CONFIG
    assert parse_manifest(index(artifactType="application/x"), mediatypes.OCI_INDEX).artifact_type == "application/x"


def test_subject_and_annotations_are_read() -> None:
    manifest = parse_manifest(image(subject=described(b"subject"), annotations={"key": "ü"}), OCI)
    assert manifest.subject is not None
    assert manifest.subject.digest == Digest.of(b"subject")
    assert manifest.annotations == {"key": "ü"}


def test_unknown_members_are_passed_over() -> None:
    assert parse_manifest(image(unknown={"deep": [1, 2.5, None, True]}), OCI) == parse_manifest(image(), OCI)


@pytest.mark.parametrize("order", [{"layers": []}, {"config": described(b"c")}, {"config": None}])
def test_a_document_that_is_image_and_index_at_once_is_refused(order: dict[str, Any]) -> None:
    """CVE-2021-41190: two clients must never read two different things in the same bytes."""
    document = {"schemaVersion": 2, **order, "manifests": []}
    for media_type in (OCI, mediatypes.OCI_INDEX):
        assert "ambiguous manifest" in refusal(written(document), media_type)


def test_the_media_type_within_must_be_that_of_the_header() -> None:
    assert refusal(image(), mediatypes.OCI_INDEX) == "mediaType differs from the Content-Type"
    assert refusal(image(), mediatypes.DOCKER_MANIFEST) == "mediaType differs from the Content-Type"
    assert refusal(image(mediaType=1)) == "mediaType differs from the Content-Type"


@pytest.mark.parametrize(
    "media_type", ["", "application/json", "text/html", "application/vnd.oci.image.config.v1+json"]
)
def test_other_media_types_are_no_manifests(media_type: str) -> None:
    assert refusal(written({"schemaVersion": 2}), media_type) == "unsupported manifest media type"


@pytest.mark.parametrize("media_type", [mediatypes.DOCKER_SCHEMA1, mediatypes.DOCKER_SCHEMA1_SIGNED])
def test_docker_schema_1_is_refused_by_name(media_type: str) -> None:
    said = "docker schema 1 manifests are not supported"
    assert refusal(written({"schemaVersion": 1, "fsLayers": []}), media_type) == said
    assert refusal(written({"schemaVersion": 1, "fsLayers": []}), OCI) == said
    assert refusal(written({"schemaVersion": 2}), media_type) == said


@pytest.mark.parametrize("version", [None, 0, 3, "2", [2]])
def test_the_schema_version_is_2(version: Any) -> None:
    assert refusal(image(schemaVersion=version)) == "schemaVersion is not 2"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"config": None}, "config is not a descriptor"),
        ({"layers": {}}, "layers is not a list"),
        ({"layers": [None]}, "layers[0] is not a descriptor"),
        ({"layers": [described(b"a"), {**described(b"b"), "size": -1}]}, "layers[1] has no valid size"),
        ({"subject": {}}, "subject has no mediaType"),
        ({"subject": []}, "subject is not a descriptor"),
        ({"artifactType": 1}, "artifactType is not a string"),
        ({"annotations": {"key": 1}}, "annotations is not an object of strings"),
        ({"annotations": "text"}, "annotations is not an object of strings"),
    ],
)
def test_a_broken_part_is_refused_by_its_place(changed: dict[str, Any], said: str) -> None:
    assert refusal(image(**changed)) == said


def test_an_index_without_a_list_is_refused() -> None:
    assert refusal(index(manifests=None), mediatypes.OCI_INDEX) == "manifests is not a list"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"nothing",
        b"{}{}",
        b"{'a':1}",
        b'{"a":01}',
        b'{"a":"\n"}',
        b"\xef\xbb\xbf{}",
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_json_is_refused(payload: bytes) -> None:
    assert refusal(payload) == "the manifest is malformed JSON"


@pytest.mark.parametrize("payload", [b"[]", b"1", b'"text"', b"null", b"true"])
def test_json_that_is_no_object_is_refused(payload: bytes) -> None:
    assert refusal(payload) == "the manifest is not a JSON object"


def test_only_utf_8_is_json() -> None:
    assert refusal(b'{"a":"\xff"}') == "the manifest is not UTF-8"
    assert refusal(image().decode().encode("utf-16")) == "the manifest is not UTF-8"
    assert refusal(image().decode().encode("utf-16-le")) == "the manifest is malformed JSON"


@pytest.mark.parametrize(
    "changed", [{"artifactType": "\ud800"}, {"annotations": {"\udfff": ""}}, {"unknown": ["\udc80"]}]
)
def test_half_a_character_is_refused(changed: dict[str, Any]) -> None:
    """JSON can spell a lone surrogate, but no database and no header can hold it."""
    assert refusal(image(**changed)) == "the manifest has text that is no Unicode"


def test_a_whole_character_may_be_spelt_in_two_halves() -> None:
    payload = image(annotations={"ship": "🚢"})
    assert b"\\ud83d" in payload
    assert parse_manifest(payload, OCI).annotations == {"ship": "🚢"}


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(constant: str) -> None:
    assert refusal(b'{"a":' + constant.encode() + b"}") == f"{constant} is not JSON"


@pytest.mark.parametrize("payload", [b'{"a":1,"a":1}', b'{"b":[{"a":1,"c":2,"a":3}]}', b'{"a":1,"\\u0061":2}'])
def test_the_same_key_twice_is_refused(payload: bytes) -> None:
    assert refusal(payload) == "a JSON object has the same key twice"


def test_depth_is_bounded() -> None:
    assert parse_manifest(image(unknown=nested(MAX_DEPTH - 1)), OCI).media_type == OCI
    assert refusal(image(unknown=nested(MAX_DEPTH))) == f"the manifest is nested deeper than {MAX_DEPTH} levels"


def test_a_document_of_nothing_but_brackets_is_refused_before_it_is_parsed() -> None:
    begun = time.process_time()
    assert "nested deeper" in refusal(b"[" * 4_000_000)
    assert "nested deeper" in refusal(b'{"a":' * 800_000)
    assert time.process_time() - begun < 5


def test_brackets_within_strings_are_no_depth() -> None:
    manifest = parse_manifest(image(annotations={"text": '[{"\\"' * 100}), OCI)
    assert manifest.annotations == {"text": '[{"\\"' * 100}


def test_a_string_that_never_ends_takes_no_longer_than_others() -> None:
    begun = time.process_time()
    assert refusal(b'{"a":"' + b"\\" * 2_000_001) == "the manifest is malformed JSON"
    assert refusal(b'"' * 1_000_001) == "the manifest is malformed JSON"
    assert time.process_time() - begun < 5


def test_the_number_of_descriptors_is_bounded() -> None:
    layers = [described(b"layer")] * MAX_DESCRIPTORS
    assert len(parse_manifest(image(layers=layers), OCI).blobs) == MAX_DESCRIPTORS + 1
    assert refusal(image(layers=[*layers, layers[0]])) == f"layers has more than {MAX_DESCRIPTORS} entries"


def test_the_number_of_objects_and_arrays_is_bounded() -> None:
    said = f"the manifest has more than {MAX_CONTAINERS} objects and arrays"
    assert refusal(image(unknown=[[]] * MAX_CONTAINERS)) == said


def test_annotations_of_almost_four_megabytes_are_read() -> None:
    text = "x" * 3_900_000
    assert parse_manifest(image(annotations={"text": text}), OCI).annotations["text"] == text


@given(payload=st.binary(max_size=300))
def test_no_bytes_whatever_do_worse_than_be_refused(payload: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse_manifest(payload, OCI)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    member=st.sampled_from(
        ["config", "layers", "subject", "artifactType", "annotations", "mediaType", "schemaVersion"]
    ),
    value=JSON,
)
def test_a_member_of_any_shape_is_read_or_refused(member: str, value: Any) -> None:
    with contextlib.suppress(ManifestInvalid):
        assert parse_manifest(image(**{member: value}), OCI).media_type == OCI


def test_a_media_type_is_told_without_its_parameters() -> None:
    assert mediatypes.essence(" a/b ; charset=utf-8; x=y") == "a/b"
    assert mediatypes.essence("a/b") == "a/b"
    assert mediatypes.essence("") == ""
