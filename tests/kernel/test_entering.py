# SPDX-License-Identifier: Apache-2.0
"""setns: who enters a tree of mounts, be it its own, begins at the root of it."""
import os
import subprocess

import pytest

from harness.container import Runtime

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.mark.parametrize("at", ["ns", "kernel"])
def test_setns_of_mounts_goes_to_their_root(at):
    sandbox = Runtime(at)
    try:
        c = sandbox.container(["/bin/program"])
        subprocess.run(["cc", "-O1", "-w", "-static", "-pthread", "-o", c.rootfs_file("/bin/program"),
                        os.path.join(HERE, "boundary", "enter_mounts.c")], check=True)
        for kind in ("bounding", "effective", "permitted"):
            c.process["capabilities"][kind] = sorted(set(c.process["capabilities"][kind]) | {"CAP_SYS_ADMIN", "CAP_SYS_CHROOT"})
        r = c.run().ok()
        assert r.lines == ["alone: 0", "at /", "by a process: 0", "at /", "with others: EINVAL"], r
    finally:
        sandbox.close()
