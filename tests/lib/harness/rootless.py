# SPDX-License-Identifier: Apache-2.0
"""The runtime as an ordinary user: import the fixture `rootless` where it is wanted."""
import os
import shutil

import pytest

from . import bundle, env, host

UID = 12345


@pytest.fixture
def rootless(runtime):
    """A factory of containers that belong to an ordinary user, and how to run them as that user."""
    os.chmod(runtime.scratch, 0o777)
    runtime.binary = env.copy_runtime(runtime.binary, runtime.scratch)  # the checkout may lie where users cannot go
    os.mkdir(runtime.root)
    os.chown(runtime.root, UID, UID)

    def drop():
        host.prctl(4, 1)  # PR_SET_DUMPABLE, as a login has it
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)

    runtime.as_user = {"preexec_fn": drop, "env": {"PATH": os.environ["PATH"], "HOME": "/nonexistent",
                                                   "XDG_RUNTIME_DIR": runtime.scratch,
                                                   **{k: v for k, v in os.environ.items() if k.startswith("COFFER_VM_")}}}
    spawn = runtime.spawn
    runtime.spawn = lambda *args, **kw: spawn(*args, **dict(runtime.as_user, **kw))

    def make(args=("true",)):
        c = runtime.container(args)
        # a rootless config: one id mapped, no groups, nothing that needs the host's root
        bundle.set_namespace(c.config, "user")
        if runtime.level != "vm":  # a machine has a network of its own
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
