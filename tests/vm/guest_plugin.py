# SPDX-License-Identifier: Apache-2.0
"""pytest -p guest_plugin: for a guest that is slow and has more than one CPU.

A failure is told when it happens, and each test's time is seen: pytest keeps both for the end, which a guest that
is stopped by its time limit never reaches. COFFER_SHARD=K/N: of N processes side by side this is number K (from 0) and
takes its share of the files.
"""
import os
import sys
import time

BEGIN = time.monotonic()
# How much dearer than usual a test of these files is, as measured.
WEIGHTS = {"test_robust.py": 10, "test_checkpoint.py": 8, "test_guest.py": 6, "test_engine_guest.py": 10, "test_init.py": 3, "test_hooks.py": 2,
           "test_stdio.py": 2}


def share(sizes, n):
    """[[name]] for n processes: the largest file goes to who has least so far."""
    loads, names = [0] * n, [[] for _ in range(n)]
    for name, size in sorted(sizes.items(), key=lambda x: (-x[1], x[0])):
        k = loads.index(min(loads))
        loads[k] += size
        names[k].append(name)
    return names


def pytest_collection_modifyitems(config, items):
    k, _, n = os.environ.get("COFFER_SHARD", "0/1").partition("/")
    sizes = {}
    for item in items:
        name = item.fspath.basename
        sizes[name] = sizes.get(name, 0) + WEIGHTS.get(name, 1)
    mine = share(sizes, int(n))[int(k)]
    out = [i for i in items if i.fspath.basename not in mine]
    items[:] = [i for i in items if i.fspath.basename in mine]
    if out:
        config.hook.pytest_deselected(items=out)


def pytest_runtest_logreport(report):
    if report.when != "call" and not report.failed:
        return
    print("\n[%4d s] %s %s (%.1f s)" % (time.monotonic() - BEGIN, report.outcome, report.nodeid, report.duration), end="")
    if report.failed:
        print("\n%s\n" % report.longreprtext[-6000:], end="")
    sys.stdout.flush()
