from typing import Any

import pytest

from estiva.descriptor import Descriptor, string_map
from estiva.digest import Digest
from estiva.errors import ManifestInvalid

DIGEST = f"sha256:{'a' * 64}"
SMALLEST: dict[str, Any] = {"mediaType": "text/plain", "digest": DIGEST, "size": 5}
LARGEST: dict[str, Any] = {
    **SMALLEST,
    "artifactType": "application/vnd.example",
    "annotations": {"key": "value"},
    "urls": ["https://example.com/layer"],
}


@pytest.mark.parametrize("value", [SMALLEST, LARGEST])
def test_a_descriptor_reads_and_writes_as_the_same_object(value: dict[str, Any]) -> None:
    assert Descriptor.parse(value, "config").as_json() == value


def test_a_descriptor_says_what_it_points_at() -> None:
    descriptor = Descriptor.parse(LARGEST, "config")
    assert descriptor == Descriptor(
        "text/plain",
        Digest.parse(DIGEST),
        5,
        "application/vnd.example",
        {"key": "value"},
        ("https://example.com/layer",),
    )


def test_members_that_a_registry_has_no_use_for_are_passed_over() -> None:
    value = {**SMALLEST, "data": "aGVsbG8=", "platform": {"os": "linux"}, "unknown": [1]}
    assert Descriptor.parse(value, "config").as_json() == SMALLEST


@pytest.mark.parametrize("size", [0, 1, 2**63 - 1])
def test_a_size_may_be_anything_that_fits(size: int) -> None:
    assert Descriptor.parse({**SMALLEST, "size": size}, "config").size == size


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "config is not a descriptor"),
        ([], "config is not a descriptor"),
        ("text", "config is not a descriptor"),
        ({}, "config has no mediaType"),
        ({**SMALLEST, "mediaType": ""}, "config has no mediaType"),
        ({**SMALLEST, "mediaType": 1}, "config has no mediaType"),
        ({**SMALLEST, "size": None}, "config has no valid size"),
        ({**SMALLEST, "size": -1}, "config has no valid size"),
        ({**SMALLEST, "size": 5.0}, "config has no valid size"),
        ({**SMALLEST, "size": "5"}, "config has no valid size"),
        ({**SMALLEST, "size": True}, "config has no valid size"),
        ({**SMALLEST, "size": 2**63}, "config has no valid size"),
        ({**SMALLEST, "digest": None}, "config has no digest"),
        ({**SMALLEST, "digest": 1}, "config has no digest"),
        ({**SMALLEST, "digest": "sha256:short"}, "config has a malformed digest"),
        ({**SMALLEST, "artifactType": 1}, "config.artifactType is not a string"),
        ({**SMALLEST, "annotations": []}, "config.annotations is not an object of strings"),
        ({**SMALLEST, "annotations": {"key": 1}}, "config.annotations is not an object of strings"),
        ({**SMALLEST, "annotations": {"key": None}}, "config.annotations is not an object of strings"),
        ({**SMALLEST, "urls": "https://example.com"}, "config.urls is not a list of strings"),
        ({**SMALLEST, "urls": [1]}, "config.urls is not a list of strings"),
    ],
)
def test_what_is_no_descriptor_is_refused_by_its_place(value: Any, said: str) -> None:
    with pytest.raises(ManifestInvalid) as refused:
        Descriptor.parse(value, "config")
    assert refused.value.text == said


def test_absent_annotations_are_no_annotations() -> None:
    assert string_map(None, "annotations") == {}
