"""What goes out: an operation's result, held to the shape that the service's model gives for it."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

_ENCODER = json.JSONEncoder(separators=(",", ":"))


class NotInModelError(TypeError):
    """An answer has a member, or a type, that the service's model does not know: clients would never see it."""


def body_of(shape: Shape | None, value: Mapping[str, Any]) -> bytes:
    """The answer as JSON. NotInModelError."""
    if shape is None:
        if value:
            raise NotInModelError("an answer where the model has none")
        return b"{}"
    return _ENCODER.encode(dump(shape, value)).encode()


def dump(shape: Shape, value: Any, path: str = "") -> Any:
    """The value as it goes into JSON: times in seconds, blobs in base64; members that are None are left out."""
    return _DUMPS[shape.type_name](shape, value, path)


def _structure(shape: StructureShape, value: Any, path: str) -> dict[str, Any]:
    members = shape.members
    dumped = {}
    for name, member in value.items():
        known = members.get(name)
        if known is None:
            raise NotInModelError(f"{shape.name} has no member {name} (at {path or 'the top'})")
        if member is not None:
            dumped[name] = _DUMPS[known.type_name](known, member, name)
    return dumped


def _list(shape: ListShape, value: Any, path: str) -> list[Any]:
    member = shape.member
    convert = _DUMPS[member.type_name]
    return [convert(member, entry, path) for entry in value]


def _map(shape: MapShape, value: Any, path: str) -> dict[str, Any]:
    return {dump(shape.key, key, path): dump(shape.value, entry, path) for key, entry in value.items()}


def _of(*kinds: type) -> Callable[[Shape, Any, str], Any]:
    def convert(shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise NotInModelError(f"{path} is {type(value).__name__}, not a {shape.type_name}")
        return value

    return convert


def _timestamp(shape: Shape, value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotInModelError(f"{path} is {type(value).__name__}, not a time in seconds")
    return round(float(value), 3)


def _blob(shape: Shape, value: bytes, path: str) -> str:
    return base64.b64encode(value).decode()


_DUMPS: Mapping[str, Callable[[Any, Any, str], Any]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _of(str),
    "integer": _of(int),
    "long": _of(int),
    "float": _of(int, float),
    "double": _of(int, float),
    "boolean": _of(bool),
    "timestamp": _timestamp,
    "blob": _blob,
}
