"""The project's own source, as text and as syntax."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENT = ("client/estiva",)
SERVER = ("auth", "aws", "estiva_server", "orchestrator", "registry", "storage")


def files(folders: tuple[str, ...] = CLIENT + SERVER) -> list[Path]:
    """Every Python file of the product."""
    found = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    assert len(found) > len(folders)
    return found


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, those within others too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imported(file: Path) -> set[str]:
    """The top-level names of everything that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names
