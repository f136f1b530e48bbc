# SPDX-License-Identifier: Apache-2.0
"""The runtime as an ordinary user: a user namespace, no cgroups that are not delegated, no host root."""
import os
import shutil

import pytest

from harness import bundle, host, leaks, peer
from harness.host import SLOW_CLONE
from harness.rootless import UID, rootless  # noqa: F401 (a fixture)


def test_run(rootless, runtime):
    c = rootless("id -u; cat /proc/self/uid_map; echo x >/made")
    r = c.run().ok()
    # The map is outside of a machine: its own user namespace has all ids.
    assert r.out.split() == (["0", "0", "0", str(2**32 - 1)] if runtime.level == "vm" else ["0", "0", str(UID), "1"])
    assert os.stat(c.rootfs_file("made")).st_uid == UID


def test_exit_code(rootless):
    assert rootless("exit 23").run().rc == 23


def test_life(rootless):
    c = rootless(["sleep", "1000"])
    c.create().ok()
    assert c.status == "created"
    c.start().ok()
    assert c.status == "running"
    assert c.exec("echo", "inside").ok().out == "inside\n"
    assert host.status(c.pid)["Uid"].split()[0] == str(UID)
    c.kill("KILL").ok()
    c.wait_stopped()
    c.delete().ok()


@pytest.mark.levels("ns")
def test_exec_where_clone_returns_late(rootless):
    """The new process is far ahead before its maker is told its pid: on a loaded machine that happens by itself."""
    c = rootless(["sleep", "1000"]).up()
    assert c.exec("echo", "inside", wrap=SLOW_CLONE).ok().out == "inside\n"
    c.delete("--force").ok()


def test_delete_force_leaves_nothing(rootless, runtime):
    c = rootless(["sleep", "1000"]).up()
    c.delete("--force").ok()
    leaks.assert_none(runtime)


def test_without_a_user_namespace_it_says_so(rootless):
    peer.lacks("crun", "tries all the same")
    c = rootless()
    bundle.without_namespace(c.config, "user")
    del c.linux["uidMappings"], c.linux["gidMappings"]
    c.run().failed("rootless container requires user namespaces")


def test_limits_that_cannot_be_set_are_refused(rootless, runtime):
    """A limit asked for is a limit given: without a delegated cgroup it is an error, not a silence."""
    c = rootless()
    c.linux["resources"] = {"pids": {"limit": 10}}
    c.linux["cgroupsPath"] = runtime.cgroup + "/x"
    c.run().failed()
    leaks.assert_none(runtime)


@pytest.mark.skipif(not shutil.which("newuidmap"), reason="no newuidmap")
def test_more_ids_without_a_right_to_them_are_refused(rootless):
    """newuidmap refuses what /etc/subuid does not grant; the message comes through."""
    c = rootless()
    c.linux["uidMappings"] = [{"containerID": 0, "hostID": UID, "size": 1}, {"containerID": 1, "hostID": 500, "size": 10}]
    c.run().failed()
