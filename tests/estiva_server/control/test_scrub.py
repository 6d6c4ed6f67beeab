"""Blobs are read by whoever asks for it at once, or only begun to be, for the server to read at its pace."""

import json
from pathlib import Path
from typing import Any

from tests.estiva.cli.command import Estiva
from tests.hostile.conversation import ask
from tests.security.secured import KEY_ID, KEY_SECRET, Content, Secured, basic, secured


def gone_on_with(served: Secured) -> dict[str, Any]:
    """What is read by a request that begins nothing."""
    answer = ask(served.port, "POST", "/api/v1/scrub", ("Authorization", basic(KEY_ID, KEY_SECRET)))
    assert answer.status == 200
    told: dict[str, Any] = json.loads(answer.body)
    return told


def test_what_is_only_begun_is_left_to_whoever_goes_on_with_it(tmp_path: Path) -> None:
    with secured(tmp_path, scrub_rate="0") as served:  # by itself this server reads nothing
        served.push(Content.of("scrubbed"))
        stored = len([path for path in (served.registry.data / "blobs").rglob("*") if path.is_file()])
        assert gone_on_with(served)["read"] == 0
        server = f"http://{served.registry.host}"
        estiva = Estiva({"ESTIVA_SERVER": server, "ESTIVA_USERNAME": KEY_ID, "ESTIVA_PASSWORD": KEY_SECRET})
        assert estiva.done("scrub", "--background").out == ""
        assert (gone_on_with(served)["read"], gone_on_with(served)["read"]) == (stored, 0)
