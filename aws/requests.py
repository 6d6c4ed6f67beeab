"""What came in: JSON, held to the shape that the service's model gives for it.

Every constraint of the model counts (types, required members, lengths, ranges, values, patterns), also those that
clients do not check. Members that the model does not know are left out, as AWS does.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from aws.errors import AwsError, invalid_parameter
from estiva.errors import NameInvalid
from estiva.reference import RepositoryName

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_INTEGERS = {"integer": 2**31, "long": 2**63}
LATEST = 253_402_300_799
"""The last second that has a date."""

# The same language as the model's pattern, in a form whose matching takes linear time.
SAFE_PATTERNS = {
    r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$": r"[a-z0-9*]+(?:[._\-/][a-z0-9*]+)*",
    r"^(?:[a-z0-9]+(?:[._-][a-z0-9]*)*/)*[a-z0-9]*(?:[._-][a-z0-9]*)*$": (
        r"(?:[a-z0-9][a-z0-9._-]*+/)*+(?:[a-z0-9._-]*+)"
    ),
}


def parse_body(body: bytes) -> Mapping[str, Any]:
    """The JSON object in a request's body; an empty body is an empty object. AwsError."""
    try:
        value = _DECODER.decode(body.decode() or "{}")
        if _SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode()  # half of a character is no text
    except (ValueError, RecursionError):
        raise _unreadable("the body is not JSON") from None
    if not isinstance(value, dict):
        raise _unreadable("the body is not a JSON object")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def check(shape: Shape, value: Any, path: str = "") -> Any:
    """The value as the model describes it: timestamps as seconds, blobs as bytes. AwsError names the member."""
    return _CHECKS[shape.type_name](shape, value, path)


def _unreadable(text: str) -> AwsError:
    return AwsError("SerializationException", text)


def _wrong_type(path: str, wanted: str) -> AwsError:
    return _unreadable(f"{path or 'the body'} is not a {wanted}")


def _structure(shape: StructureShape, value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong_type(path, "structure")
    members = shape.members
    checked = {}
    for name, member in members.items():
        given = value.get(name)
        if given is not None:
            checked[name] = _CHECKS[member.type_name](member, given, f"{path}.{name}" if path else name)
    for name in shape.required_members:
        if name not in checked:
            raise invalid_parameter(f"{path}.{name}" if path else name, "Member must not be null")
    return checked


def _list(shape: ListShape, value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong_type(path, "list")
    _require_size(shape, len(value), path)
    return [check(shape.member, entry, f"{path}.{index}.member") for index, entry in enumerate(value, 1)]


def _map(shape: MapShape, value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong_type(path, "map")
    _require_size(shape, len(value), path)
    return {
        check(shape.key, key, f"{path}.key"): check(shape.value, entry, f"{path}.{key[:64]}.value")
        for key, entry in value.items()
    }


def _string(shape: StringShape, value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong_type(path, "string")
    if "\0" in value:
        raise invalid_parameter(path, "must not contain the character U+0000")
    if shape.name == "RepositoryName":
        return _repository_name(value, path)
    _require_size(shape, len(value), path)
    if shape.enum and value not in shape.enum:
        raise invalid_parameter(path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    pattern = shape.metadata.get("pattern")
    if pattern is not None and not _matcher(pattern)(value):
        raise invalid_parameter(path, f"must satisfy regular expression '{pattern}'")
    return value


def _repository_name(value: str, path: str) -> str:
    """Whatever can be pushed can be named: the grammar is that of the OCI API, not ECR's narrower lengths."""
    try:
        return RepositoryName.parse(value).text
    except NameInvalid:
        raise invalid_parameter(path, "must be a repository name of at most 255 characters") from None


@cache
def _matcher(pattern: str) -> Callable[[str], object]:
    if "\\p{" in pattern:
        return lambda text: True  # a Java class that Python's expressions do not have
    return re.compile(SAFE_PATTERNS.get(pattern, pattern)).fullmatch


def _require_size(shape: Shape, size: int, path: str) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        raise invalid_parameter(path, f"Member must have length greater than or equal to {least}")
    if most is not None and size > most:
        raise invalid_parameter(path, f"Member must have length less than or equal to {most}")


def _integer(shape: Shape, value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(path, shape.type_name)
    bound = _INTEGERS[shape.type_name]
    if not -bound <= value < bound:
        raise _unreadable(f"{path} does not fit a {shape.type_name}")
    return int(_in_range(shape, value, path))


def _float(shape: Shape, value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e308:
        raise _wrong_type(path, "number")
    return _in_range(shape, float(value), path)


def _in_range(shape: Shape, value: float, path: str) -> float:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and value < least:
        raise invalid_parameter(path, f"Member must have value greater than or equal to {least}")
    if most is not None and value > most:
        raise invalid_parameter(path, f"Member must have value less than or equal to {most}")
    return value


def _boolean(shape: Shape, value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong_type(path, "boolean")
    return value


def _timestamp(shape: Shape, value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST:
        raise _unreadable(f"{path} is not a time in seconds since 1970")
    return float(value)


def _blob(shape: Shape, value: Any, path: str) -> bytes:
    if not isinstance(value, str):
        raise _wrong_type(path, "blob")
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable(f"{path} is not base64") from None
    _require_size(shape, len(data), path)
    return data


_CHECKS: Mapping[str, Callable[[Any, Any, str], Any]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "integer": _integer,
    "long": _integer,
    "float": _float,
    "double": _float,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "blob": _blob,
}
