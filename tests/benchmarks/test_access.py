from pathlib import Path

import pytest

from benchmarks import load, peers
from benchmarks.access import Open
from benchmarks.caller import Caller
from benchmarks.contents import Contents
from benchmarks.images import REPOSITORY, TAG, manifest
from benchmarks.operations import get
from benchmarks.scenario import Door, ScenarioFailed, Target
from benchmarks.server import Server, started
from tests.serving import ESTIVA


def target(server: Server, contents: Contents, authorization: str) -> Target:
    return Target(Door("127.0.0.1", server.port, authorization), 1, 10, contents)


def test_estiva_is_measured_closed_and_with_a_token_of_its_own(tmp_path: Path) -> None:
    path = f"/v2/{REPOSITORY}/manifests/{TAG}"
    with Contents(tmp_path, largest=1 << 20) as contents, started(peers.Estiva("e", str(ESTIVA)), tmp_path / "e") as it:
        Caller(target(it, contents, it.access.filling())).push_image(REPOSITORY, TAG)
        signed_in, stranger = (target(it, contents, said) for said in (it.access.measuring(), ""))
        assert signed_in.door.authorization.startswith("Bearer ")
        assert load.run(signed_in.door, 1, 10, [get(path, len(manifest()))]).operations == 1
        with pytest.raises(ScenarioFailed, match="answered 401"):
            Caller(stranger).call(200, "GET", path)
        with pytest.raises(ScenarioFailed, match="answered 403"):
            Caller(signed_in).call(202, "POST", "/v2/somebody/elses/blobs/uploads/")


def test_the_other_peers_let_everybody_in(tmp_path: Path) -> None:
    program = tmp_path / "registry"
    program.touch(mode=0o755)
    way_in = peers.find(f"distribution={program}").access(1)
    assert isinstance(way_in, Open)
    assert Door("h", 1, way_in.measuring()).fields == ["Host: h:1"]
