"""What can be set, asked for, measured or typed is in the documentation: by its exact name."""

import inspect
import re

import pytest
from starlette.routing import Route as PlainRoute
from typer.main import get_command
from typer.testing import CliRunner

from auth.access import OpenAccess
from estiva.cli.main import build
from estiva.errors import RegistryError
from estiva_server import app
from estiva_server.config import PREFIX, Settings
from estiva_server.metrics import Metrics, Tallies
from registry import Registry
from registry.api.repositories import RepositoriesAPI
from registry.api.routes import ROUTES
from tests.house.source import ROOT


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text()


def as_documented(pattern: str) -> str:
    """A route's pattern the way a person writes it: `/v2/<name>/tags/list`."""
    return re.sub(r"\(\?P<(\w+)>[^)]+\)", r"<\1>", pattern).removesuffix("?")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_variable(name: str) -> None:
    row = next((line for line in page("configuration").splitlines() if line.startswith(f"| `{name}` |")), "")
    assert f"`{PREFIX}{name.upper()}`" in row


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_default_is_documented(name: str) -> None:
    default = Settings.model_fields[name].default
    if default is None:
        return  # what takes its place is explained in words
    row = next(line for line in page("configuration").splitlines() if line.startswith(f"| `{name}` |"))
    written = str(default).lower() if isinstance(default, bool) else str(default)
    assert f"`{written}`" in row


def test_no_setting_is_documented_that_is_none() -> None:
    documented = set(re.findall(r"^\| `([a-z_]+)` \| `ESTIVA_", page("configuration"), re.MULTILINE))
    assert documented == set(Settings.model_fields)


def test_every_metric_is_documented_and_none_that_is_none() -> None:
    tallies = Tallies()
    tallies.request("GET", "base", 200, 0.1, 1)
    tallies.refuse(503)
    families = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in Metrics(tallies).collect()
    }
    assert set(re.findall(r"^\| `(estiva_\w+)` \|", page("metrics"), re.MULTILINE)) == families


def test_every_label_of_a_metric_is_documented() -> None:
    tallies = Tallies()
    tallies.request("GET", "base", 200, 0.1, 1)
    tallies.refuse(503)
    for family in Metrics(tallies).collect():
        row = next(line for line in page("metrics").splitlines() if line.startswith(f"| `{family.name}"))
        for label in {label for sample in family.samples for label in sample.labels} - {"le"}:
            assert f"`{label}`" in row


@pytest.mark.parametrize("label", [route.label for route in ROUTES] + ["other"])
def test_every_label_of_a_route_is_documented(label: str) -> None:
    assert f"`{label}`" in page("metrics")


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, as_documented(route.pattern.pattern)) for route in ROUTES for method in route.methods],
)
def test_every_method_of_every_path_of_the_registry_is_documented(method: str, path: str) -> None:
    row = next(line for line in page("api").splitlines() if f"`{method}`" in line and f"`{path}" in line)
    assert row.startswith("|")


def test_every_path_beside_the_registry_is_documented(registry: Registry) -> None:
    beside = re.findall(r'Route\("([^"]+)"', inspect.getsource(app))
    own = [route.path for route in RepositoriesAPI(registry, OpenAccess()).routes() if isinstance(route, PlainRoute)]
    assert len(beside) == 3
    assert len(own) == 1
    for path in (*beside, *(path.replace("{name:path}", "<name>") for path in own)):
        assert f"`{path}`" in page("api")


@pytest.mark.parametrize("code", RegistryError.by_code)
def test_every_error_code_is_documented(code: str) -> None:
    assert f"`{code}`" in page("api")


@pytest.mark.parametrize("verb", [command.name for command in build().registered_commands])
def test_every_verb_and_flag_of_the_command_line_is_documented(verb: str) -> None:
    text = page("cli")
    assert f"`estiva {verb}`" in text
    command = get_command(build()).commands[verb]  # type: ignore[attr-defined]
    flags = [option for parameter in command.params for option in parameter.opts]
    assert {"--data", "--listen"} <= set(flags)
    for flag in flags:
        assert f"`{flag}" in text


def test_what_the_command_says_of_itself_is_documented() -> None:
    outcome = CliRunner().invoke(build(), ["--version"])
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("estiva ")
    assert "`estiva --version`" in page("cli")


@pytest.mark.parametrize("document", sorted(path.relative_to(ROOT) for path in ROOT.glob("docs/**/*.md")))
def test_no_link_within_the_documentation_is_broken(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / document).parent / target).exists(), target
