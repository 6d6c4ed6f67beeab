#!/usr/bin/env python3
"""Takes the pictures of docs/pictures: `estiva` in a real terminal of 80 columns (tmux), as SVGs of nothing but text.

    .venv/bin/python scripts/pictures.py            all of them (wants tmux)

    .venv/bin/python scripts/pictures.py tasks      only those of tasks: tasks, ps and logs

Those of tasks want a static busybox and a Docker engine, named by ESTIVA_PICTURES_ENGINE; without, they stay.

What is stored is the same each time (packed folders have fixed digests); how fast it went is what it was.
"""

import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI, TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "pictures"
HOST = "127.0.0.1:5080"
ENGINE = os.environ.get("ESTIVA_PICTURES_ENGINE", "")
KEY = {"ESTIVA_ADMIN_ACCESS_KEY_ID": "AKIA" + "A" * 16, "ESTIVA_ADMIN_SECRET_ACCESS_KEY": "a secret for pictures"}
COLUMNS, ROWS = 80, 24
WIDE = 120
PATIENCE = 120.0
LAYERS, LAYER = 5, 48 << 20
PROMPT = "$ "
WIDTH, HEIGHT, MARGIN = 8.4, 18, 12
"""Of a character, in pixels, and around all of them."""


class Terminal:
    """A shell in tmux, on a socket of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux")]
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        command = ["env", f"PS1={PROMPT}", "bash", "--norc", "--noprofile"]
        self._run("-f", "/dev/null", "new-session", "-d", *size, *command, environment=environment)

    def wait(self) -> str:
        """What the screen shows when a command has ended."""
        return self._await(lambda text: text.rstrip().endswith(f"\n{PROMPT.strip()}"))

    def type(self, command: str, *, shown: Callable[[str], bool] | None = None) -> str:
        """Type a command into an empty screen; what the screen shows when it has ended, or when `shown` holds."""
        self._run("send-keys", "clear", "Enter")
        self._await(lambda text: text.strip() == PROMPT.strip())
        self._run("send-keys", "-l", command)
        self._run("send-keys", "Enter")
        return self._await(shown) if shown else self.wait()

    def _await(self, shown: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if shown(self._run("capture-pane", "-p")):
                return self._run("capture-pane", "-p", "-e")
            time.sleep(0.02)
        raise SystemExit(f"pictures: it does not come to an end:\n{self._run('capture-pane', '-p')}")

    def widen(self, columns: int) -> None:
        """Give it so many columns."""
        self._run("resize-window", "-x", str(columns), "-y", str(ROWS))

    def close(self) -> None:
        """End the shell."""
        self._run("kill-server")

    def _run(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], check=True, capture_output=True, text=True, timeout=60, env=environment
        )
        return done.stdout


def main() -> int:
    """Take all of them."""
    for program in ("tmux", "bash"):
        if shutil.which(program) is None:
            print(f"pictures: there is no {program} here", file=sys.stderr)
            return 1
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="estiva-pictures-") as name, serving(Path(name)) as environment:
        folder = Path(name) / "work"
        folder.mkdir()
        make(folder)
        terminal = Terminal(Path(name), {**environment, "HOME": name})
        try:
            terminal.type(f"cd {shlex.quote(str(folder))}")
            for picture, text in taken(terminal, sys.argv[1:]):
                (TARGET / f"{picture}.svg").write_text(svg(text))
                print(f"pictures: {picture}")
        finally:
            terminal.close()
    return 0


def taken(terminal: Terminal, only: list[str]) -> Iterator[tuple[str, str]]:
    """The pictures, by name."""
    if ENGINE and only in ([], ["tasks"]):
        yield from of_tasks(terminal)
    if only != ["tasks"]:
        yield from of_images(terminal)


def of_images(terminal: Terminal) -> Iterator[tuple[str, str]]:
    """Those that need no engine."""
    image = f"{HOST}/team/site:1"
    command = """--cmd '/serve --port 80' --expose 80 --env MODE=live"""
    terminal.type(f"estiva pack site -t {image} {command} --platform linux/amd64 -q")
    terminal.type(f"estiva pull {image} small --platform linux/amd64 -q")
    yield "push", terminal.type(f"estiva push layout {HOST}/team/large:1", shown=is_halfway)
    terminal.wait()
    terminal.type(f"estiva tag {image} stable -q")
    yield (
        "inspect",
        terminal.type(f"estiva ls {HOST}; estiva tags {HOST}/team/site; estiva inspect {image} --platform linux/amd64"),
    )
    yield "doctor", terminal.type("estiva doctor")


def of_tasks(terminal: Terminal) -> Iterator[tuple[str, str]]:
    """A folder packed and run: what runs, on a wide terminal and on a narrow one, a command in it, and what it says."""
    terminal.widen(WIDE)
    terminal.type(f"estiva pack web -t {HOST}/web:1 --cmd '/bin/busybox httpd -f -v -p 80' --workdir /srv -q")
    terminal.type("estiva clusters create; estiva taskdefs register web.json")
    terminal.type("estiva services create web web --count 2 --wait 100")
    terminal.type("T=$(estiva --json ps | python3 -c 'import json, sys; print(json.load(sys.stdin)[0][\"task\"])')")
    yield "tasks", terminal.type("estiva ps; estiva exec $T -- /bin/busybox cat index.html; estiva services ls")
    terminal.widen(COLUMNS)
    yield "ps", terminal.type("estiva ps; estiva services ls; estiva ps -q")
    for page in ("", "index.html", "absent"):
        terminal.type(f"estiva exec $T -- /bin/busybox wget -qO- http://127.0.0.1/{page}")
    yield "logs", terminal.type('echo "$T"; estiva logs "$T"; estiva logs "$T" --tail 1 --json')
    terminal.type("estiva services delete web --force; while estiva ps -q | grep -q .; do sleep 0.2; done")


def is_halfway(text: str) -> bool:
    """Whether bars are shown of which some have ended."""
    lines = text.splitlines()
    return sum("iB/s" in line for line in lines) >= LAYERS - 1 and any("done" in line for line in lines)


def make(folder: Path) -> None:
    """What is pushed: a small folder, and a layout of incompressible layers that are always the same."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.clients import make_layout

    (folder / "site").mkdir()
    (folder / "site" / "index.html").write_text("<h1>estiva</h1>\n")
    (folder / "site" / "serve").write_text("#!/bin/sh\n")
    (folder / "web" / "bin").mkdir(parents=True)
    (folder / "web" / "srv").mkdir()
    shutil.copy(shutil.which("busybox") or "/bin/sh", folder / "web" / "bin" / "busybox")
    (folder / "web" / "srv" / "index.html").write_text("<h1>estiva</h1>\n")
    container = {"name": "web", "image": f"{HOST}/web:1", "memory": 32, "portMappings": [{"containerPort": 80}]}
    (folder / "web.json").write_text(json.dumps({"family": "web", "containerDefinitions": [container]}))
    source, urandom = random.Random(1), os.urandom
    os.urandom = source.randbytes  # type: ignore[assignment]
    try:
        make_layout(folder / "layout", LAYERS, LAYER)
    finally:
        os.urandom = urandom


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """A server, until the block ends; the environment of its administrator."""
    estiva = ROOT / ".venv" / "bin" / "estiva"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ESTIVA_", "TMUX"))}
    settings = {**KEY, "ESTIVA_ENGINE": ENGINE or "unix:///nowhere", "ESTIVA_ACCESS_LOG": "false"}
    with (folder / "log").open("w") as log:
        command = [estiva, "serve", "--data", folder / "data", "--listen", HOST]
        server = subprocess.Popen(command, env=kept | settings, stdout=log, stderr=log)
        try:
            await_answer(server)
            own = {"ESTIVA_SERVER": f"http://{HOST}", "DOCKER_CONFIG": str(folder), "XDG_STATE_HOME": str(folder)}
            own |= {"ESTIVA_USERNAME": KEY["ESTIVA_ADMIN_ACCESS_KEY_ID"]}
            own |= {"ESTIVA_PASSWORD": KEY["ESTIVA_ADMIN_SECRET_ACCESS_KEY"]}
            yield {**kept, **own, "PATH": f"{estiva.parent}:{os.environ['PATH']}", "TERM": "xterm-256color"}
        finally:
            server.terminate()
            server.wait()


def await_answer(server: subprocess.Popen[bytes]) -> None:
    """Return when it is ready."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise SystemExit("pictures: the server did not start")


def svg(captured: str, theme: TerminalTheme = MONOKAI) -> str:
    """What a screen shows as SVG: text with colours, nothing fetched from anywhere."""
    columns = max(COLUMNS, *(len(Text.from_ansi(line)) for line in captured.splitlines()))
    console = Console(width=columns, file=StringIO(), color_system="truecolor", force_terminal=True)
    text = captured.rstrip().removesuffix(PROMPT.strip()).rstrip()
    lines = [Text.from_ansi(line) for line in text.splitlines()]
    height = HEIGHT * len(lines) + 2 * MARGIN
    width = WIDTH * columns + 2 * MARGIN
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" width="{width:g}">',
        f'<rect width="100%" height="100%" rx="8" fill="{theme.background_color.hex}"/>',
        f'<g font-family="Menlo,Consolas,monospace" font-size="14" fill="{theme.foreground_color.hex}">',
    ]
    for number, line in enumerate(lines):
        drawn += runs(line, MARGIN + HEIGHT * (number + 1) - 5, console, theme)
    return "\n".join([*drawn, "</g>", "</svg>", ""])


def runs(line: Text, y: int, console: Console, theme: TerminalTheme) -> Iterator[str]:
    """Each stretch of one style where it stands: its length is given, whatever font there is."""
    column = 0
    for segment in line.render(console, end=""):
        text, style = segment.text, segment.style or Style.null()
        if text.strip():
            colour = f' fill="{style.color.get_truecolor(theme).hex}"' if style.color else ""
            weight = ' font-weight="bold"' if style.bold else ""
            place = f'x="{MARGIN + column * WIDTH:g}" y="{y}" textLength="{len(text) * WIDTH:g}"'
            yield f'<text {place}{colour}{weight} xml:space="preserve">{escape(text)}</text>'
        column += len(text)


if __name__ == "__main__":
    sys.exit(main())
