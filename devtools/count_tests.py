# SPDX-License-Identifier: BSD-3-Clause
"""Add up JUnit files; close with 'N passed, N failed, N skipped'. No result at all is a failure."""

import sys
import xml.etree.ElementTree as ET


def count(path: str) -> tuple[int, int, int]:
    """Return (passed, failed, skipped) of one file."""
    passed = failed = skipped = 0
    for case in ET.parse(path).iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed += 1
        elif "skipped" in kinds:
            skipped += 1
            reason = case.find("skipped")
            text = reason.get("message", "no reason given") if reason is not None else ""
            print(f"skipped: {case.get('classname')} {case.get('name')}: {text}")
        else:
            passed += 1
    return passed, failed, skipped


def main() -> int:
    """Print the total of all files given."""
    results = [count(path) for path in sys.argv[1:]]
    passed, failed, skipped = (sum(r[i] for r in results) for i in range(3))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
