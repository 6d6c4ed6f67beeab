"""The orchestrator's behaviours: the table of docs/orchestrator.md names, for each, a test that is there."""

import re

from tests.house.source import ROOT

ROW = re.compile(r"^\| (?P<number>[0-9]+) \| .* `(?P<file>tests/[a-z_/]+\.py)` `(?P<name>test_\w*)` \|$", re.MULTILINE)
LAST = 20


def test_every_behaviour_has_the_test_that_is_named() -> None:
    rows = list(ROW.finditer((ROOT / "docs" / "orchestrator.md").read_text()))

    assert [int(row["number"]) for row in rows] == list(range(1, LAST + 1))
    for row in rows:
        text = (ROOT / row["file"]).read_text()
        assert re.search(rf"^ *(async )?def {row['name']}", text, re.MULTILINE), row[0]


def test_every_numbered_test_is_in_the_table() -> None:
    named = {(row["file"], row["name"]) for row in ROW.finditer((ROOT / "docs" / "orchestrator.md").read_text())}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in re.findall(r"^ *(?:async )?def (test_behaviour_[0-9]+)_", file.read_text(), re.MULTILINE):
            assert (str(file.relative_to(ROOT)), name) in named
