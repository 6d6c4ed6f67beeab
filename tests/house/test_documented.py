"""What can be set, asked for, measured or typed is in the documentation: by its exact name."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from estiva.cli.app import build
from estiva.errors import RegistryError
from estiva_server.app import build as build_parts
from estiva_server.app import routes_beside_registry
from estiva_server.config import PREFIX, Settings, load
from estiva_server.metrics import Metrics, Tallies
from estiva_server.serve import prepare
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
    if default is None or isinstance(default, list):
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


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """Every path beside the registry's, and its methods."""
    settings = load(data=tmp_path_factory.mktemp("house"), access_log=False)
    prepare(settings)
    parts = build_parts(settings)
    found: dict[str, set[str]] = {}
    for route in routes_beside_registry(parts):
        path = re.sub(r"\{(\w+)(?::path)?\}", r"<\1>", route.path)
        found.setdefault(path, set()).update(route.methods or ())
    yield found
    asyncio.run(parts.close())


def test_every_method_of_every_path_beside_the_registry_is_documented(paths: dict[str, set[str]]) -> None:
    text = page("api").splitlines()
    for path, methods in paths.items():
        for method in methods - {"HEAD"}:
            assert any(f"`{method}`" in line and f"`{path}`" in line for line in text), (method, path)


@pytest.mark.parametrize("code", RegistryError.by_code)
def test_every_error_code_is_documented(code: str) -> None:
    assert f"`{code}`" in page("api")


OF_EVERY_VERB = ("--json", "--wide")
COMMANDS: dict[str, Any] = get_command(build()).commands  # type: ignore[attr-defined]
VERBS = [f"{noun} {verb}" for noun, command in COMMANDS.items() for verb in getattr(command, "commands", ())]


@pytest.mark.parametrize("noun", COMMANDS)
def test_every_noun_of_the_command_line_is_documented_with_its_flags(noun: str) -> None:
    assert f"`estiva {noun}`" in page("cli")
    flags = [option for parameter in COMMANDS[noun].params for option in parameter.opts if option.startswith("-")]
    assert ("--data" in flags) == (noun in ("serve", "backup", "restore", "doctor"))
    for flag in flags:
        assert f"`{flag}" in page("cli")


@pytest.mark.parametrize("command", VERBS)
def test_every_verb_of_a_noun_is_documented_with_its_flags(command: str) -> None:
    noun, verb = command.split()
    section = re.search(rf"^## .*`estiva {noun}`.*?(?=^## )", page("cli"), re.MULTILINE | re.DOTALL)
    assert section is not None
    rows = [line for line in section[0].splitlines() if re.search(rf"`({noun} )?{verb}[ `]", line)]
    assert rows
    for parameter in COMMANDS[noun].commands[verb].params:
        for flag in (option for option in parameter.opts if option.startswith("--")):
            assert flag in section[0] or flag in OF_EVERY_VERB


def test_the_options_of_every_verb_are_documented_once() -> None:
    section = page("cli").partition("## Speaking to a server")[2].partition("## ")[0]
    assert all(f"`{flag}`" in section for flag in OF_EVERY_VERB)


@pytest.mark.parametrize("option", get_command(build()).params, ids=lambda option: option.name)
def test_every_option_before_the_verb_is_documented(option: Any) -> None:
    assert all(re.search(f"`(estiva )?{flag}", page("cli")) for flag in option.opts)


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
