"""Repositories of several accounts may have the same name: the database is asked for their keys."""

import re

from tests.house.source import ROOT


def test_no_statement_looks_a_repository_up_by_its_name_alone() -> None:
    by_text = re.compile(r'"name": \w+\.text')
    found = {
        (file.name, line.strip())
        for file in sorted((ROOT / "storage" / "metadata").rglob("*.py"))
        for line in file.read_text().splitlines()
        if by_text.search(line) and "detail" not in line
    }
    assert found == set()
