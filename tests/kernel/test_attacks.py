# SPDX-License-Identifier: Apache-2.0
"""Guests that attack the sentry: other ways into the kernel, and storms of random calls."""
import os
import shutil
import signal
import subprocess

import pytest

from harness import env
from harness.container import wait_for

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "attack")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    top = tmp_path_factory.mktemp("attacks")
    for name in ("storm", "ways_in", "shadows", "generation", "limited"):
        subprocess.run(["cc", "-O1", "-static", "-w", "-I", os.path.join(HERE, "..", "guest"), "-o", str(top / name), os.path.join(HERE, name + ".c")], check=True)
    return str(top)


def container(sandbox, built, args):
    c = sandbox.container(args)
    c.linux["resources"]["memory"] = {"limit": 256 << 20}
    for name in os.listdir(built):
        with open(os.path.join(built, name), "rb") as source, open(c.rootfs_file("/bin/" + name), "wb") as target:
            target.write(source.read())
        os.chmod(c.rootfs_file("/bin/" + name), 0o755)
    return c


def resident(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


@pytest.mark.parametrize("way,rc,says", [("jit", 0, "uid 1234"), ("int80", 128 + signal.SIGSYS, ""),
                                         ("x32", 128 + signal.SIGSYS, ""), ("vsyscall", 0, "came through: 1")])
def test_every_way_in_is_watched(sandbox, built, way, rc, says):
    """The guest's uid is known to the sentry alone: its stub has another."""
    c = container(sandbox, built, ["ways_in", way])
    c.process["user"] = {"uid": 1234, "gid": 1234}
    r = c.run()
    assert r.rc == rc and r.out.strip() == says


@pytest.mark.parametrize("args,user", [([], 1234), (["free"], 0)])
def test_who_limits_itself_is_granted_nothing_by_set_id_bits(sandbox, built, args, user):
    c = container(sandbox, built, ["/bin/limited"] + args)
    c.process["user"] = {"uid": 1234, "gid": 1234}
    shutil.copy(os.path.join(built, "limited"), c.rootfs_file("/bin/rights"))
    os.chmod(c.rootfs_file("/bin/rights"), 0o4755)
    assert c.run().ok().out.strip() == "user %d" % user


def test_nothing_is_at_the_stubs_numbers_but_what_is_open(sandbox, built):
    c = container(sandbox, built, ["shadows"])
    c.process["cwd"] = "/tmp"
    r = c.run(timeout=env.seconds(60)).ok()
    assert "not ok" not in r.out and r.out.count("ok ") == 27


def test_nobody_but_the_sentry_changes_the_trees_generation(sandbox, built):
    c = container(sandbox, built, ["generation"])
    os.makedirs(c.rootfs_file("/tmp"), exist_ok=True)
    assert c.run(timeout=60).ok().out.splitlines() == [
        "found: 1", "made writable: 0", "taken out: 0", "written: 0", "others are well: 1", "without a table: 0"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_storm_of_random_calls(sandbox, built, seed):
    """It answers all the while, and has not grown at the end."""
    c = container(sandbox, built, ["sleep", "1000"])
    c.up()
    sentry = c.pid
    seconds = int(os.environ.get("COFFER_SOAK", "5"))
    assert "survived" in c.exec("storm", str(max(1, seconds // 5)), str(seed + 100), timeout=seconds + 60).ok().out
    before = resident(sentry)
    r = c.exec("storm", str(seconds), str(seed), timeout=seconds + 60).ok()
    assert int(r.out.split()[1]) > 100
    assert c.exec("echo", "alive").ok().out == "alive\n"
    assert resident(sentry) < before + 4096, "the sentry grew"
    assert c.status == "running"


def test_a_killed_sentry_takes_its_guest_along(sandbox, built):
    c = container(sandbox, built, ["sh", "-c", "sleep 1000 & sleep 1000; true"])
    c.up()
    wait_for(lambda: len(sandbox.json("ps", "--format", "json", c.id)) == 3, "three processes")
    pids = sandbox.json("ps", "--format", "json", c.id)
    os.kill(c.pid, signal.SIGKILL)
    wait_for(lambda: not any(os.path.exists("/proc/%d" % p) for p in pids), "the guest's end", env.seconds(5))
    assert c.status == "stopped"
    c.delete().ok()
