"""Fail where a report of pytest (`--junitxml`) holds a skipped test, or no test at all."""

import sys
from xml.etree import ElementTree


def main(report: str) -> int:
    """Print what was skipped and why; 0 where tests ran and none was skipped."""
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    skipped = [(case, reason) for case in cases if (reason := case.find("skipped")) is not None]
    for case, reason in skipped:
        print(f"skipped: {case.get('classname')}.{case.get('name')}: {reason.get('message')}", file=sys.stderr)
    print(f"{len(cases)} tests, {len(skipped)} skipped")
    return 1 if skipped or not cases else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
