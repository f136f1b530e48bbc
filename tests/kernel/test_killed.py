# SPDX-License-Identifier: Apache-2.0
"""SIGKILL to any process of a sandbox that works hard, at any moment."""
import os
import random
import shutil
import subprocess
import time

import pytest

from harness import env, leaks
from harness.container import kill_pid, wait_for

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")
PROGRAMS = ("hot_sockets", "hot_sets", "births")
WORK = "".join("while :; do %s >/dev/null 2>&1; done & " % name for name in PROGRAMS) + "wait"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    top = tmp_path_factory.mktemp("killed")
    for name in PROGRAMS:
        subprocess.run(["cc", "-O1", "-w", "-static", "-I", HERE, "-o", str(top / name), os.path.join(HERE, name + ".c"), "-lpthread"],
                       check=True)
    return str(top)


def working(sandbox, built):
    c = sandbox.container(WORK)
    c.process["cwd"] = "/tmp"
    c.config["annotations"] = {"dev.coffer.kernel.handoff": random.choice(["on", "eager"])}
    for name in os.listdir(built):
        shutil.copy(os.path.join(built, name), c.rootfs_file("/bin/" + name))
    return c


def parent(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return int(f.read().rpartition(") ")[2].split()[1])
    except OSError:
        return 0


def of_sandbox(sandbox, c):
    """Its processes by what they are: the sentry, its children (the zygote, the guest's first process), theirs."""
    pids = [p for p in leaks.processes(sandbox.token) if parent(p)]
    children = [p for p in pids if parent(p) == c.pid]
    return {"sentry": [c.pid], "child": children,
            "guest": [p for p in pids if parent(p) in pids and p not in children and p != c.pid]}


@pytest.mark.parametrize("who", ["sentry", "child", "guest"])
def test_whoever_is_killed_nothing_is_left(sandbox, built, who):
    """A guest's process is the guest's affair; without one of the others the sandbox ends, and says so."""
    for _ in range(4 * env.STRESS):
        c = working(sandbox, built)
        c.up()
        time.sleep(random.uniform(0, 0.7))
        victims = of_sandbox(sandbox, c)[who]
        if victims:
            kill_pid(random.choice(victims))
        if who != "guest" and victims:
            wait_for(lambda: c.status == "stopped", "the end of the sandbox", 20)
        assert c.status in ("running", "stopped")
        c.delete("--force", timeout=60).ok()
        assert not leaks.settled(sandbox, 20)


def test_the_runtime_that_waits_is_killed(sandbox, built):
    """The container goes on, and can be ended and removed."""
    for _ in range(3 * env.STRESS):
        c = working(sandbox, built)
        run = c.spawn()
        wait_for(lambda: sandbox.call("state", c.id).rc == 0 and c.status == "running", "the container", 20)
        time.sleep(random.uniform(0, 0.5))
        run.kill()
        run.wait(env.seconds(20))
        c.delete("--force", timeout=60).ok()
        assert not leaks.settled(sandbox, 20)
