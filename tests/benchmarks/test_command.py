from pathlib import Path

import pytest

from benchmarks import machine, peers
from benchmarks.__main__ import main, repeatable
from benchmarks.profiling import summary
from benchmarks.scenarios import ALL


def test_the_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == list(ALL)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--scenario", "nonsense"], "no scenario is called 'nonsense'"),
        (["--peers", "nonsense"], "'nonsense' is none of the known peers"),
        (["--peers", "distribution=/nowhere/registry"], "needs the program /nowhere/registry"),
        (["report"], "report needs --json FILE"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert reason in capsys.readouterr().err


def test_a_directory_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "file_system", lambda directory: "tmpfs")
    monkeypatch.setattr(peers, "found", list)
    assert main(["--workdir", str(tmp_path)]) == 2


def test_the_command_that_is_recorded_leaves_out_where_things_go() -> None:
    told = repeatable(["--rounds", "9", "--json", "a/b", "--markdown=c", "--scenario", "tags", "--workdir", "/d"])
    assert told == "python -m benchmarks --rounds 9 --scenario tags"


def test_each_peer_is_told_its_directory_and_port(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.touch(mode=0o755)
    estiva = peers.find(f"estiva:2={program}")
    told = estiva.command(tmp_path, 5001)
    assert told[1:] == ["serve", "--data", f"{tmp_path}/data", "--listen", "127.0.0.1:5001", "--workers", "2"]
    other = peers.find(f"distribution={program}")
    configuration = Path(other.command(tmp_path, 5002)[-1]).read_text()
    assert f"rootdirectory: {tmp_path}/data" in configuration
    assert "127.0.0.1:5002" in configuration


def test_settings_of_the_caller_do_not_reach_a_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTIVA_DATA", "/elsewhere")
    assert "ESTIVA_DATA" not in peers.Estiva("estiva", "estiva").environment()


def test_a_profile_shows_the_functions_on_top_first() -> None:
    lines = summary(["main;read;hash 3", "main;write 6", "main;read 1"])
    assert [line.split() for line in lines] == [
        ["60.0%", "60.0%", "write"],
        ["30.0%", "30.0%", "hash"],
        ["10.0%", "40.0%", "read"],
    ]
