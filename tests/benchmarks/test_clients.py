import gzip
import json
from pathlib import Path

import pytest

from benchmarks import clients, peers
from benchmarks.clients import Run, make_layout, report
from estiva.layout import Folder, read_package
from estiva.protocol.steps import FileSlice


def test_the_layout_is_one_that_can_be_pushed(tmp_path: Path) -> None:
    package = read_package(Folder(make_layout(tmp_path / "layout", 3, 1000)))
    layers = [blob.source for blob in package.blobs[1:]]
    assert [len(gzip.decompress(layer.path.read_bytes())) for layer in layers if isinstance(layer, FileSlice)] == [
        1000
    ] * 3


def test_ratios_are_formed_within_rounds(tmp_path: Path) -> None:
    seconds = {"estiva": (1.0, 4.0), "crane": (1.5, 4.0), "skopeo": (1.2, 4.8)}
    runs = [
        Run(what, tool, number, each, 0.5, 30)
        for what in ("push", "pull")
        for tool, rounds in seconds.items()
        for number, each in enumerate(rounds, 1)
    ]
    told = report(runs, 8, 1024, tmp_path).splitlines()
    assert "| push | crane | 2.75 s | 1.25× (1.00\N{EN DASH}1.50) | 0.50 s | 30 MiB | **short** |" in told  # noqa: RUF001
    assert "| pull | estiva | 2.50 s | \N{EN DASH} | 0.50 s | 30 MiB | \N{EN DASH} |" in told


def test_a_client_that_is_not_there_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(peers, "look_for", lambda name: None)
    assert clients.main(["--workdir", str(tmp_path)]) == 1
    assert "estiva needs the program estiva" in capsys.readouterr().err


@pytest.mark.real
def test_every_client_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    arguments = ["--rounds", "1", "--size", "8", "--workdir", str(tmp_path), "--json", str(target)]
    assert clients.main(arguments) == 0
    runs = json.loads(target.read_text())
    assert {(run["what"], run["tool"]) for run in runs} == {(w, t) for w in ("push", "pull") for t in clients.TOOLS}
    assert all(run["seconds"] > 0 and run["peak_rss_mib"] > 1 for run in runs)
    assert "| pull | crane |" in capsys.readouterr().out
