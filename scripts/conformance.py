"""Run the official OCI conformance suite against a registry started for it; anything but a full pass is a failure.

The suite is a Go program: the one `$OCI_CONFORMANCE` names, else `oci-conformance` or `conformance` on PATH or in
.tools/bin, else what `go install` gets. Exit code: 0 nothing failed and nothing was skipped, 1 something did,
3 the program cannot be had here (the reason is printed). Results stay in build/conformance.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.serving import Registry, registry_running  # noqa: E402 - the checkout itself is not installed
from tests.tools import CommandFailed, run  # noqa: E402

MODULE = "github.com/opencontainers/distribution-spec/conformance@967efdc079b91785ad18c77cc4f8991a47feefbf"
TOOLS = ROOT / ".tools" / "bin"
RESULTS = ROOT / "build" / "conformance"

# The suite at that commit runs 986 tests or a few more with everything switched on (a failure brings tests of its own).
# Fewer means that something was switched off.
LEAST_TESTS = 986

FAILED, UNAVAILABLE = 1, 3


class Unavailable(Exception):
    """The suite's program cannot be had on this machine."""


def find_program() -> str:
    """The path of the suite's program, installed if need be."""
    if named := os.environ.get("OCI_CONFORMANCE"):
        if shutil.which(named) is None:
            sys.exit(f"OCI_CONFORMANCE names {named}, which is no program")
        return named
    for name in ("oci-conformance", "conformance"):
        if found := shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ['PATH']}"):
            return found
    return _install()


def _install() -> str:
    go = shutil.which("go")
    if go is None:
        raise Unavailable("there is no Go toolchain on PATH to install it with")
    try:
        run([go, "install", MODULE], timeout=300, environment={"GOBIN": str(TOOLS)})
    except CommandFailed as failure:
        raise Unavailable(str(failure)) from failure
    return str(TOOLS / "conformance")


def run_suite(program: str, registry: Registry) -> int:
    """Run the suite and return its exit code; its talk goes to a file, its results to build/conformance."""
    settings = {
        "OCI_VERSION": "dev",
        "OCI_REGISTRY": registry.host,
        "OCI_TLS": "disabled",
        "OCI_RESULTS_DIR": str(RESULTS),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OCI_")}
    with (RESULTS / "output.txt").open("wb") as output:
        done = subprocess.run(
            [program], env={**inherited, **settings}, stdout=output, stderr=output, timeout=600, check=False
        )
    return done.returncode


def read_counts() -> dict[str, int]:
    """How many tests ran, failed, and were skipped: the suite leaves out an attribute that is nought, never `tests`."""
    root = ElementTree.parse(RESULTS / "junit.xml").getroot()
    suites = list(root.iter("testsuite"))

    def total(attribute: str) -> int:
        return sum(int(suite.get(attribute, "0")) for suite in suites)

    return {
        "tests": sum(int(suite.attrib["tests"]) for suite in suites),
        "failed": total("failures") + total("errors"),
        "skipped": total("skipped"),
    }


def main() -> int:
    """Start, run, judge."""
    try:
        program = find_program()
    except Unavailable as reason:
        print(f"The official conformance suite cannot be had here:\n  {MODULE}\n{reason}", file=sys.stderr)
        return UNAVAILABLE
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="estiva-") as folder, registry_running(Path(folder)) as registry:
        code = run_suite(program, registry)
    counts = read_counts()
    print(", ".join(f"{number} {name}" for name, number in counts.items()), f"(exit code {code})")
    passed = code == 0 and not counts["failed"] and not counts["skipped"] and counts["tests"] >= LEAST_TESTS
    if not passed:
        print(f"not conformant: see {RESULTS.relative_to(ROOT)}/output.txt and report.html", file=sys.stderr)
    return 0 if passed else FAILED


if __name__ == "__main__":
    sys.exit(main())
