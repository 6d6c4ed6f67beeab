"""The program that holds a network, and its image."""

import io
import json
import os
import platform
import signal
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from orchestrator.engines.pause import IMAGE, pause_archive, pause_program

_NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}


@pytest.mark.parametrize(("architecture", "machine"), [("amd64", 62), ("arm64", 183)])
def test_is_a_small_elf_program_whose_code_is_in_the_file(architecture: str, machine: int) -> None:
    program = pause_program(architecture)

    assert program[:7] == b"\x7fELF\x02\x01\x01"
    assert len(program) < 200
    kind, told_machine, _, entry, headers = struct.unpack_from("<HHIQQ", program, 16)
    assert (kind, told_machine, headers) == (2, machine, 64)
    _, _, offset, address, _, in_file, in_memory, _ = struct.unpack_from("<IIQQQQQQ", program, headers)
    assert (offset, in_file, in_memory) == (0, len(program), len(program))
    assert address < entry < address + len(program)


def test_runs_until_it_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "pause"
    file.write_bytes(pause_program(_NATIVE[platform.machine()]))
    file.chmod(0o755)

    process = subprocess.Popen([file])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        used = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        assert int(used[11]) / os.sysconf("SC_CLK_TCK") < 0.1  # it sleeps
    finally:
        process.terminate()
    assert process.wait(30) == -signal.SIGTERM


def test_its_archive_is_what_docker_loads() -> None:
    with tarfile.open(fileobj=io.BytesIO(pause_archive("amd64"))) as tar:
        files = {one.name: tar.extractfile(one) for one in tar.getmembers()}
        (manifest,) = json.load(files["manifest.json"])  # type: ignore[arg-type]
        assert manifest == {"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}
        config = json.load(files["config.json"])  # type: ignore[arg-type]
    assert config["config"]["Entrypoint"] == ["/pause"]
    assert pause_archive("amd64") == pause_archive("amd64")
