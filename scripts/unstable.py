"""Run again, three times each, what failed in the last run of pytest: does it fail, or only now and then?

    unstable.py REPORT       REPORT gets the names, a line each

0 where every test passes three times in a row: it is unstable, which is a defect of its own, to be told and mended.
1 where one fails again, or where so many failed that chance is no explanation.
"""

import json
import subprocess
import sys
from pathlib import Path

TIMES, MOST = 3, 3
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main(report: str) -> int:
    """See above."""
    failed = sorted(json.loads(LAST_FAILED.read_text())) if LAST_FAILED.exists() else []
    if not 0 < len(failed) <= MOST:
        return 1
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *failed]
    if any(subprocess.run(command, check=False).returncode for _ in range(TIMES)):
        return 1
    Path(report).write_text("".join(f"{name}\n" for name in failed))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
