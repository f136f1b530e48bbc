# SPDX-License-Identifier: Apache-2.0
"""Mounts: who enters a tree of them (setns) begins at its root; they are what the configuration says, nosuid or not."""
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
        assert r.lines == ["alone: 0", "at /", "by a process: 0", "at /", "with others: EINVAL",
                           "with users: EINVAL", "none was: 0", "at /tmp", "with others and more: 0", "at /"], r
    finally:
        sandbox.close()


@pytest.mark.parametrize("at", ["ns", "kernel"])
def test_mounts_have_the_options_that_were_asked_for(at):
    sandbox = Runtime(at)
    try:
        c = sandbox.container("program; cat /proc/mounts")
        subprocess.run(["cc", "-O1", "-w", "-static", "-o", c.rootfs_file("/bin/program"),
                        os.path.join(HERE, "boundary", "set_id.c")], check=True)
        for place, options in (("/plain", []), ("/nosuid", ["nosuid"]), ("/nodev", ["nodev"])):
            c.config["mounts"].append({"destination": place, "type": "tmpfs", "source": "x", "options": options + ["mode=755"]})
        r = c.run().ok()
        assert r.lines[:3] == ["/plain: user 7, group 8", "/nosuid: nosuid user 1000, group 1000", "/nodev: nodev user 7, group 8"], r
        assert r.lines[3].endswith("user 1000, group 1000"), r
        shown = {line.split()[1]: line.split()[3].split(",") for line in r.lines[4:]}
        assert {place: {"nosuid", "nodev"} & set(shown[place]) for place in ("/", "/plain", "/nosuid", "/nodev")} == {
            "/": set(), "/plain": set(), "/nosuid": {"nosuid"}, "/nodev": {"nodev"}}, r
    finally:
        sandbox.close()
