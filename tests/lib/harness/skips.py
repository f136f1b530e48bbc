# SPDX-License-Identifier: Apache-2.0
"""Expected skips: `tests/skips.txt`, and `skips.txt` in a suite's own directory.

One line per rule, `GLOB | REASON`: GLOB matches the test's id from tests/ on, REASON the text that
the test gives to skip(); both are shell patterns. A skip that no rule expects is a failure.
"""
import fnmatch
import glob
import os

from . import env


def load():
    rules = []
    files = [os.path.join(env.TESTS, "skips.txt")] + sorted(glob.glob(os.path.join(env.TESTS, "*", "skips.txt")))
    for name in files:
        if not os.path.exists(name):
            continue
        with open(name) as f:
            for line in f:
                line = line.split("#", 1)[0].strip()
                if line:
                    pattern, _, reason = (x.strip() for x in line.partition("|"))
                    rules.append((pattern, reason or "*"))
    return rules


def expected(nodeid, reason, rules):
    # brackets of a parametrised id are literal, not a character class
    plain = nodeid.replace("[", "(").replace("]", ")")
    return any(fnmatch.fnmatchcase(plain, p.replace("[", "(").replace("]", ")")) and
               fnmatch.fnmatchcase(reason, r) for p, r in rules)
