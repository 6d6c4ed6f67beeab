"""Who may import whom, and what each distribution asks to be installed beside it."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.house.source import CLIENT, ROOT, SERVER, files, imported

# Not declared themselves: part of what a declared distribution offers.
BROUGHT_BY = {"typer": "estiva", "pydantic": "pydantic-settings", "urllib3": "botocore"}
OWN = {Path(folder).name for folder in CLIENT + SERVER}


def project(folder: str) -> dict[str, object]:
    document: dict[str, object] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())
    return document


def wheel_packages(folder: str) -> list[str]:
    tool = project(folder)["tool"]
    assert isinstance(tool, dict)
    packages: list[str] = tool["hatch"]["build"]["targets"]["wheel"]["packages"]
    return packages


def declared(folder: str) -> set[str]:
    """The distributions that a project depends on, by their normalised names."""
    table = project(folder)["project"]
    assert isinstance(table, dict)
    return {normal(re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0]) for requirement in table["dependencies"]}


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_the_import_contracts_hold() -> None:
    # A process of its own: in this one it would switch off every logger there is.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


def test_the_clients_wheel_has_the_clients_package_and_none_of_the_servers() -> None:
    assert wheel_packages("client") == ["estiva"]
    assert {path.name for path in (ROOT / "client").iterdir() if (path / "__init__.py").exists()} == {"estiva"}


def test_the_servers_wheel_has_the_servers_packages_and_not_the_clients() -> None:
    assert sorted(wheel_packages(".")) == sorted(SERVER)


def test_the_client_imports_nothing_of_the_server() -> None:
    assert {str(file): names for file in files(CLIENT) if (names := imported(file) & set(SERVER))} == {}


@pytest.mark.parametrize(("folder", "folders"), [("client", CLIENT), (".", SERVER)])
def test_what_is_imported_is_declared(folder: str, folders: tuple[str, ...]) -> None:
    foreign = set[str]().union(*map(imported, files(folders))) - set(sys.stdlib_module_names) - OWN
    provided_by = packages_distributions()
    undeclared = {name for name in foreign if not declared(folder) & {normal(one) for one in provided_by.get(name, [])}}
    assert {name for name in undeclared if BROUGHT_BY.get(name) not in declared(folder)} == set()


def test_http_is_spoken_at_the_edge_alone() -> None:
    web = {"starlette", "uvicorn", "httptools", "uvloop"}
    speaking = {file.relative_to(ROOT).parts[:2] for file in files() if imported(file) & web}
    assert {parts[0] for parts in speaking} <= {"registry", "aws", "estiva_server"}
    assert {parts[1] for parts in speaking if parts[0] == "registry"} == {"api"}


def test_sql_is_written_in_one_folder_alone() -> None:
    statement = re.compile(r"\b(SELECT|INSERT INTO|DELETE FROM|UPDATE) [a-z]")
    found = {file.relative_to(ROOT).parts[:2] for file in files() if statement.search(file.read_text())}
    assert found == {("storage", "metadata")}


def test_errors_become_responses_in_one_place_alone() -> None:
    found = {str(file.relative_to(ROOT)) for file in files() if '{"errors":' in file.read_text()}
    assert found == {"registry/api/faults.py"}
