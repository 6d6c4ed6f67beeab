"""What goes out: an operation's result, held to the shape that the service's model gives for it."""

import base64
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

Dump = Callable[[Any, str], Any]
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
    return _dumper(shape)(value, path)


@cache
def _dumper(shape: Shape) -> Dump:
    """What dumps values of that shape, made once: a model has one object for each."""
    return _MAKERS[shape.type_name](shape)


def _structure(shape: StructureShape) -> Dump:
    members: dict[str, Shape] = shape.members
    name_of_shape = shape.name
    dumpers: dict[str, tuple[type | None, Dump]] = {}

    def structure(value: Any, path: str) -> dict[str, Any]:
        dumped = {}
        for name, member in value.items():
            known = dumpers.get(name)
            if known is None:
                known = dumpers[name] = _member(name_of_shape, members, name, path)
            plain, dumper = known
            if member.__class__ is plain:
                dumped[name] = member
            elif member is not None:
                dumped[name] = dumper(member, name)
        return dumped

    return structure


def _member(shape: str, members: Mapping[str, Shape], name: str, path: str) -> tuple[type | None, Dump]:
    """The type whose values go out as they are, and what dumps the others. NotInModelError."""
    known = members.get(name)
    if known is None:
        raise NotInModelError(f"{shape} has no member {name} (at {path or 'the top'})")
    return _PLAIN.get(known.type_name), _dumper(known)


def _list(shape: ListShape) -> Dump:
    plain, dumper = _PLAIN.get(shape.member.type_name), _dumper(shape.member)

    def entries(value: Any, path: str) -> list[Any]:
        return [entry if entry.__class__ is plain else dumper(entry, path) for entry in value]

    return entries


def _map(shape: MapShape) -> Dump:
    keys, values = _dumper(shape.key), _dumper(shape.value)
    return lambda value, path: {keys(key, path): values(entry, path) for key, entry in value.items()}


def _of(*kinds: type) -> Callable[[Shape], Dump]:
    def make(shape: Shape) -> Dump:
        def checked(value: Any, path: str) -> Any:
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise NotInModelError(f"{path} is {type(value).__name__}, not a {shape.type_name}")
            return value

        return checked

    return make


def _timestamp(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotInModelError(f"{path} is {type(value).__name__}, not a time in seconds")
    return round(float(value), 3)


def _blob(value: bytes, path: str) -> str:
    return base64.b64encode(value).decode()


_PLAIN: Mapping[str, type] = {"string": str, "integer": int, "long": int, "boolean": bool}
_MAKERS: Mapping[str, Callable[[Any], Dump]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _of(str),
    "integer": _of(int),
    "long": _of(int),
    "float": _of(int, float),
    "double": _of(int, float),
    "boolean": _of(bool),
    "timestamp": lambda shape: _timestamp,
    "blob": lambda shape: _blob,
}
