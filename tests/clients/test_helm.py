"""helm: charts as OCI artifacts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.api import Api
from tests.clients.clock import Clock
from tests.clients.contract import REFUSED, TOKENS_OVER
from tests.clients.people import ADMIN, Account, People
from tests.clients.wire import Wire
from tests.tools import CommandFailed, run

CHART = """apiVersion: v2
name: cargo
description: a chart made for this test
version: 1.2.3+build.4
"""
CONFIG_MAP = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
"""

Helm = Callable[..., str]


def _login(helm: Helm, host: str, account: Account) -> None:
    helm("registry", "login", host, "--username", account.name, "--password", account.password, "--plain-http")


@pytest.fixture
def helm(require_tool: Callable[[str], str], wire: Wire, tmp_path: Path) -> Helm:
    """helm with a home of its own, signed in."""
    program = require_tool("helm")
    homes = {f"HELM_{name}_HOME": str(tmp_path / name) for name in ("CONFIG", "CACHE", "DATA")}

    def helm(*words: str | Path) -> str:
        return run([program, *words], environment=homes, folder=tmp_path)

    _login(helm, wire.host, ADMIN)
    return helm


@pytest.fixture
def chart(helm: Helm, tmp_path: Path) -> Path:
    """A packaged chart."""
    (tmp_path / "cargo" / "templates").mkdir(parents=True)
    (tmp_path / "cargo" / "Chart.yaml").write_text(CHART)
    (tmp_path / "cargo" / "templates" / "config.yaml").write_text(CONFIG_MAP)
    helm("package", "cargo")
    return tmp_path / "cargo-1.2.3+build.4.tgz"


def test_pulls_the_chart_it_pushed(helm: Helm, chart: Path, wire: Wire, api: Api, tmp_path: Path) -> None:
    helm("push", chart, f"oci://{wire.host}/charts", "--plain-http")
    packed = chart.read_bytes()
    chart.unlink()

    helm("pull", f"oci://{wire.host}/charts/cargo", "--version", "1.2.3+build.4", "--plain-http")

    assert chart.read_bytes() == packed
    # A tag cannot hold a plus sign; helm writes an underscore.
    stored = api.manifest("charts/cargo", "1.2.3_build.4").document
    assert stored["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json"
    assert stored["layers"][0]["mediaType"] == "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


def test_shows_and_renders_a_chart_from_the_registry(helm: Helm, chart: Path, wire: Wire) -> None:
    helm("push", chart, f"oci://{wire.host}/charts", "--plain-http")

    assert "a chart made for this test" in helm("show", "chart", f"oci://{wire.host}/charts/cargo", "--plain-http")
    assert "name: voyage" in helm("template", "voyage", f"oci://{wire.host}/charts/cargo", "--plain-http")


def test_uploads_nothing_when_it_pushes_again(helm: Helm, chart: Path, wire: Wire) -> None:
    helm("push", chart, f"oci://{wire.host}/charts", "--plain-http")
    wire.clear()

    helm("push", chart, f"oci://{wire.host}/charts", "--plain-http")

    assert wire.exchanges
    assert wire.uploaded() == 0


def test_says_that_a_chart_is_not_there(helm: Helm, wire: Wire) -> None:
    with pytest.raises(CommandFailed, match="not found"):
        helm("pull", f"oci://{wire.host}/charts/absent", "--version", "1.0.0", "--plain-http")


def _push(helm: Helm, chart: Path, wire: Wire, place: str) -> None:
    helm("push", chart, f"oci://{wire.host}/{place}", "--plain-http")


def _pull(helm: Helm, wire: Wire, place: str) -> None:
    helm("pull", f"oci://{wire.host}/{place}/cargo", "--version", "1.2.3+build.4", "--plain-http")


def test_says_that_a_password_is_wrong(helm: Helm, wire: Wire, people: People) -> None:
    with pytest.raises(CommandFailed, match=REFUSED):
        _login(helm, wire.host, people.join("AdministratorAccess").mistyped())


def test_pulls_but_cannot_push_for_who_may_only_pull(
    helm: Helm, chart: Path, wire: Wire, api: Api, puller: Account
) -> None:
    _push(helm, chart, wire, "charts")
    _login(helm, wire.host, puller)
    wire.clear()

    with pytest.raises(CommandFailed, match=REFUSED):
        _push(helm, chart, wire, "closed")

    assert wire.exchanges
    assert not wire.accepted()
    assert not api.has_manifest("closed/cargo", "1.2.3_build.4")
    chart.unlink()
    _pull(helm, wire, "charts")
    assert chart.exists()


def test_pushes_on_and_pulls_on_when_its_token_expires(helm: Helm, chart: Path, aging_wire: Wire, clock: Clock) -> None:
    _login(helm, aging_wire.host, ADMIN)
    aging_wire.before_the_next("POST", "/blobs/uploads/", lambda: clock.set(TOKENS_OVER))

    _push(helm, chart, aging_wire, "aging")

    assert aging_wire.select("POST", "/blobs/uploads/", 401)
    chart.unlink()
    aging_wire.before_the_next("GET", "/blobs/sha256:", lambda: clock.set(2 * TOKENS_OVER))
    _pull(helm, aging_wire, "aging")
    assert aging_wire.select("GET", "/blobs/sha256:", 401)
    assert chart.exists()


def test_pulls_without_login_what_is_public_and_nothing_else(
    helm: Helm, chart: Path, wire: Wire, people: People
) -> None:
    for place in ("charts", "public"):
        _push(helm, chart, wire, place)
    people.publish("public/cargo")
    helm("registry", "logout", wire.host)
    chart.unlink()

    _pull(helm, wire, "public")

    assert chart.exists()
    with pytest.raises(CommandFailed, match=REFUSED):
        _pull(helm, wire, "charts")
