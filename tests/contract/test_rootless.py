# SPDX-License-Identifier: Apache-2.0
"""The runtime as an ordinary user: a user namespace, no cgroups that are not delegated, no host root."""
import os
import shutil

import pytest

from harness import bundle, host, leaks, peer

UID = 12345


@pytest.fixture
def rootless(runtime):
    """A factory of containers that belong to an ordinary user, and how to run them as that user."""
    os.chmod(runtime.scratch, 0o777)
    # The checkout may lie where ordinary users cannot go (/root).
    runtime.binary = shutil.copy(runtime.binary, runtime.scratch)
    os.mkdir(runtime.root)
    os.chown(runtime.root, UID, UID)

    def drop():
        host.prctl(4, 1)  # PR_SET_DUMPABLE, as a login has it
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)

    runtime.as_user = {"preexec_fn": drop, "env": {"PATH": os.environ["PATH"], "HOME": "/nonexistent",
                                                   "XDG_RUNTIME_DIR": runtime.scratch}}
    spawn = runtime.spawn
    runtime.spawn = lambda *args, **kw: spawn(*args, **dict(runtime.as_user, **kw))

    def make(args=("true",)):
        c = runtime.container(args)
        # a rootless config: one id mapped, no groups, nothing that needs the host's root
        bundle.set_namespace(c.config, "user")
        bundle.without_namespace(c.config, "network")
        c.linux["uidMappings"] = [{"containerID": 0, "hostID": UID, "size": 1}]
        c.linux["gidMappings"] = [{"containerID": 0, "hostID": UID, "size": 1}]
        del c.linux["resources"], c.linux["cgroupsPath"], c.process["oomScoreAdj"]
        mounts = [m for m in c.config["mounts"] if m["destination"] not in ("/sys", "/sys/fs/cgroup")]
        for m in mounts:
            m["options"] = [o for o in m["options"] if not o.startswith("gid=")]
        c.config["mounts"] = mounts
        for base, dirs, files in os.walk(c.dir):
            for name in dirs + files:
                os.lchown(os.path.join(base, name), UID, UID)
        os.chown(c.dir, UID, UID)
        return c

    yield make
    runtime.spawn = spawn
    shutil.rmtree(runtime.root, ignore_errors=True)


def test_run(rootless):
    c = rootless("id -u; cat /proc/self/uid_map; echo x >/made")
    r = c.run().ok()
    assert r.out.split() == ["0", "0", str(UID), "1"]
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
