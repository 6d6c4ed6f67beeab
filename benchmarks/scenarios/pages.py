"""Pages of 100 of a long tag list and of a long catalogue, at its beginning, middle and end."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import repeat

from benchmarks import load
from benchmarks.caller import Caller
from benchmarks.images import TAGS, repository_name, tag_name
from benchmarks.operations import get
from benchmarks.scenario import Goal, Sample, Scenario, ScenarioFailed, Target

_PAGE = 100
_CONNECTIONS = 4
_NO_TAG_PAGES = {"docker-registry": "2.8 knows no pages of tags: it always sends the whole list"}

_LISTS: dict[str, tuple[str, str, Callable[[int], str]]] = {
    "tags": (f"/v2/{TAGS}/tags/list", "tags", tag_name),
    "catalogue": ("/v2/_catalog", "repositories", repository_name),
}
_POSITIONS: dict[str, Callable[[int], int]] = {
    "first": lambda entries: 0,
    "middle": lambda entries: entries // 2,
    "last": lambda entries: entries - _PAGE,
}


def _page(kind: str, position: str) -> Callable[[Target], Callable[[], Sample]]:
    def prepare(target: Target) -> Callable[[], Sample]:
        path, key, name = _LISTS[kind]
        begin = _POSITIONS[position](target.entries)
        query = f"?n={_PAGE}" + (f"&last={name(begin - 1)}" if begin else "")
        headers, body = Caller(target).call(200, "GET", path + query)
        wanted = [name(begin + index) for index in range(_PAGE)]
        _check(json.loads(body)[key], wanted if begin else None, linked="Link" in headers, more=position != "last")
        operation = get(path + query)
        return lambda: load.run(target.door, _CONNECTIONS, target.seconds, repeat(operation))

    return prepare


def _check(came: list[str], wanted: list[str] | None, *, linked: bool, more: bool) -> None:
    """The first page may begin with other repositories of the benchmark: there only the length is known."""
    if len(came) != _PAGE or (wanted is not None and came != wanted):
        raise ScenarioFailed(f"a page of {len(came)} entries from {came[:1]} came instead of {wanted and wanted[0]}")
    if more and not linked:
        raise ScenarioFailed("a page before the last has no Link to the next")


SCENARIOS = [
    Scenario(
        name=f"{kind}-{position}",
        title=f"{position} page of 100 {_LISTS[kind][1]}, {_CONNECTIONS} connections",
        unit="ops/s",
        prepare=_page(kind, position),
        needs=("image", kind),
        quick=position == "middle",
        goal=Goal(p99_ms=25),
        unable=_NO_TAG_PAGES if kind == "tags" else {},
    )
    for kind in _LISTS
    for position in _POSITIONS
]
