"""`estiva repos`, on a real server."""

from pathlib import Path

import pytest

from estiva.cli import server
from tests.estiva.cli.command import Estiva
from tests.security.secured import for_everyone


def test_repositories_are_created_listed_described_and_deleted(estiva: Estiva) -> None:
    assert "name: made/plain\n" in estiva.done("repos", "create", "made/plain").out
    assert estiva.failed("repos", "create", "made/plain").startswith("the repository exists already")
    estiva.done("repos", "create", "made/fixed", "--immutable", "--except", "dev-*", "--scan-on-push")
    described = estiva.json("repos", "describe", "made/fixed")
    assert {**described, "created_at": 0} == {
        "name": "made/fixed",
        "created_at": 0,
        "tag_mutability": "IMMUTABLE_WITH_EXCLUSION",
        "mutability_exclusions": ["dev-*"],
        "scan_on_push": True,
        "tags": {},
    }
    listed = [row for row in estiva.done("repos", "ls").table() if row[0].startswith("made/")]
    assert [(row[0], row[2], row[3]) for row in listed] == [
        ("made/fixed", "IMMUTABLE_WITH_EXCLUSION", "yes"),
        ("made/plain", "MUTABLE", "no"),
    ]
    estiva.done("repos", "delete", "made/plain", "--yes")
    assert estiva("repos", "delete", "made/fixed", given=b"n\n").code != 0
    assert estiva.failed("repos", "delete", "made/fixed").startswith("there is no terminal")
    assert estiva("repos", "delete", "made/fixed", given=b"y\n").code == 0
    assert estiva.failed("repos", "describe", "made/fixed").startswith("repository name not known")


def test_pages_go_on_to_the_end(estiva: Estiva, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PAGE", 2)
    for number in range(3):
        estiva.done("repos", "create", f"paged/number{number}")
    names = [entry["name"] for entry in estiva.json("repos", "ls")]
    assert [name for name in names if name.startswith("paged/")] == [f"paged/number{number}" for number in range(3)]
    assert names == sorted(names)


def test_a_repositorys_policy(estiva: Estiva, tmp_path: Path) -> None:
    estiva.done("repos", "create", "with/policy")
    (tmp_path / "policy.json").write_text(for_everyone())
    assert estiva.failed("repos", "policy", "get", "with/policy")
    estiva.done("repos", "policy", "set", "with/policy", str(tmp_path / "policy.json"))
    assert "Statement" in estiva.done("repos", "policy", "get", "with/policy").document
    estiva.done("repos", "policy", "rm", "with/policy")
    assert estiva("repos", "policy", "get", "with/policy").code == 1


def test_names_and_modes_that_are_none(estiva: Estiva) -> None:
    assert estiva.failed("repos", "create", "Not/A/Name")
    assert "filters of tags" in estiva.failed("repos", "create", "much", *["--except", "a"] * 6)
