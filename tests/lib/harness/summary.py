#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""summary.py DIR: adds up what ./check left in DIR and prints `N passed, N failed, N skipped` last.

DIR holds JUnit files (*.xml, of pytest and of Meson) and lints.tsv (name, exit code). Ends with 1 on
a failure, on a skip that no list expects, and when nothing was run at all.
"""
import glob
import os
import sys
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
from harness import skips  # noqa: E402  (found through the path above)


class Count:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def lint(self, name, rc):
        if rc == "0":
            self.passed += 1
        else:
            self.failed.append(name)

    def case(self, suite, case, rules):
        """One <testcase>: a test may report a failure of its clean-up beside its own result."""
        name = "%s: %s %s" % (suite, case.get("classname", ""), case.get("name", ""))
        if case.find("failure") is not None or case.find("error") is not None:
            self.failed.append(name)
            return
        skip = case.find("skipped")
        if skip is None:
            self.passed += 1
            return
        reason = skip.get("message") or "no reason given"
        # pytest has already judged its own; Meson's are judged here
        if suite.startswith("meson") and not skips.expected("meson/" + case.get("name", ""), reason, rules):
            self.failed.append(name + " (unexpected skip: %s)" % reason)
        else:
            self.skipped.append((name, reason))


def main(directory):
    count, rules = Count(), skips.load()
    tsv = os.path.join(directory, "lints.tsv")
    if os.path.exists(tsv):
        with open(tsv) as f:
            for line in f:
                count.lint(*line.rstrip("\n").split("\t"))
    for path in sorted(glob.glob(os.path.join(directory, "*.xml"))):
        suite = os.path.basename(path)[:-4]
        try:
            cases = list(ET.parse(path).iter("testcase"))
        except ET.ParseError:
            count.failed.append("%s: the report cannot be read" % suite)
            continue
        for case in cases:
            count.case(suite, case, rules)
    if count.skipped:
        print("\nskipped:")
        for reason in sorted({r for _, r in count.skipped}):
            print("  %4d  %s" % (sum(r == reason for _, r in count.skipped), reason))
    if count.failed:
        print("\nfailed:")
        for name in count.failed:
            print("  " + name)
    total = count.passed + len(count.failed) + len(count.skipped)
    if not total:
        print("nothing was run: that is a failure")
    print("%d passed, %d failed, %d skipped" % (count.passed, len(count.failed), len(count.skipped)))
    return 0 if total and not count.failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
