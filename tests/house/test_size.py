"""Nothing is so large that it has to be read in two sittings. There are no exceptions."""

import re

import pytest

from tests.house.source import ROOT, files, functions

LONGEST_FILE = 400
LONGEST_FUNCTION = 40


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_longer_than_40_lines() -> None:
    lengths = {
        f"{file.relative_to(ROOT)}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for file in files()
        for function in functions(file)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}
    assert sorted(lengths.values())[len(lengths) // 2] <= 10


@pytest.mark.parametrize("word", ["Manager", "Helper", "Util", "Utils", "Impl", "Misc", "Common"])
def test_nothing_has_a_name_that_says_nothing(word: str) -> None:
    classes = re.compile(rf"^\s*class \w*{word}\b", re.MULTILINE)
    found = [
        file for file in files() if word.lower() in file.stem.lower().split("_") or classes.search(file.read_text())
    ]
    assert found == []
