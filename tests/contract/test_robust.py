# SPDX-License-Identifier: Apache-2.0
"""Killed at any moment, many at once: nothing is lost and nothing stays."""
import os
import random
import subprocess
import time

import pytest

from harness import env, leaks, peer
from harness.container import Container


def killed_after(c, verb, delay):
    """Start `verb`, kill the runtime that long after; then force-delete."""
    c.write_config()
    argv = {"run": ["run", "--bundle", c.bundle, c.id], "create": ["create", "--bundle", c.bundle, c.id],
            "start": ["start", c.id], "delete": ["delete", "--force", c.id],
            "exec": ["exec", c.id, "sleep", "1000"]}[verb]
    proc = c.rt.spawn(*argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay)
    proc.kill()
    proc.wait()


@pytest.mark.limit(180 * env.STRESS)
@pytest.mark.parametrize("verb", ["create", "run", "start", "delete", "exec"])
def test_kill_nine_of_the_runtime_then_delete_leaves_nothing(runtime, verb):
    """At random moments of each verb; the next command understands and repairs what is there."""
    peer.lacks("*", "leaves things behind")
    rng = random.Random(4711)
    for i in range(12 * env.STRESS):
        c = Container(runtime, ["sleep", "1000"], id="%s-%s%d" % (runtime.token, verb, i))
        if verb == "start":
            c.create().ok()
        elif verb in ("delete", "exec"):
            c.up()
        killed_after(c, verb, rng.uniform(0, 0.012))
        c.delete("--force").ok()
        left = leaks.settled(runtime)
        assert not left, "round %d: %s" % (i, left)


def test_kill_nine_then_state_and_list_still_work(runtime):
    peer.lacks("*", "leaves things behind")
    rng = random.Random(99)
    os.makedirs(runtime.root)  # `list` of a root that nobody has made yet is an error
    for i in range(8):
        c = Container(runtime, ["sleep", "1000"], id="%s-s%d" % (runtime.token, i))
        killed_after(c, "create", env.seconds(rng.uniform(0, 0.01)))
        runtime.call("list").ok()
        r = runtime.call("state", c.id)
        assert r.rc == 0 or "container does not exist" in r.message, r


def test_an_id_can_be_used_again_after_a_killed_create(runtime):
    peer.lacks("*", "leaves things behind")
    for delay in (0.001, 0.003, 0.006):
        c = Container(runtime, ["true"], id=runtime.token + "-reuse")
        killed_after(c, "create", delay)
        c.delete("--force").ok()
        c.run().ok()


@pytest.mark.limit(300)
def test_a_hundred_containers_side_by_side(runtime):
    """Started in batches, all running at once, each with its own answer; then all deleted."""
    count = 100
    made = [Container(runtime, "echo $HOSTNAME-%d; exec sleep 1000" % i) for i in range(count)]
    for c in made:
        c.write_config()

    def batch(argv_of, size=10):
        for k in range(0, count, size):
            procs = []
            for c in made[k:k + size]:
                out = open(c.outfile, "ab")
                procs.append((c, runtime.spawn(*argv_of(c), stdin=subprocess.DEVNULL, stdout=out, stderr=out)))
                out.close()
            for c, proc in procs:
                assert proc.wait(env.seconds(60)) == 0, c.output()

    batch(lambda c: ["run", "--detach", "--bundle", c.bundle, c.id])
    rows = {r["id"]: r for r in runtime.json("list", "--format", "json")}
    assert set(rows) == {c.id for c in made}
    assert all(r["status"] == "running" for r in rows.values())
    assert len({r["pid"] for r in rows.values()}) == count
    batch(lambda c: ["delete", "--force", c.id])
    assert runtime.call("list", "-q").ok().out == ""
    leaks.assert_none(runtime)


def test_the_same_id_from_many_at_once(runtime):
    """Exactly one creates it."""
    peer.lacks("runc", "1.1 lets two win")
    c = Container(runtime, ["sleep", "1000"])
    c.write_config()
    procs = [runtime.spawn("create", "--bundle", c.bundle, c.id, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL) for _ in range(8)]
    codes = [p.wait(env.seconds(60)) for p in procs]
    assert codes.count(0) == 1, codes
    assert c.status == "created"
    c.start().ok()
    assert c.status == "running"


def test_delete_force_from_many_at_once(runtime):
    c = Container(runtime, ["sleep", "1000"]).up()
    procs = [runtime.spawn("delete", "--force", c.id, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL) for _ in range(6)]
    codes = [p.wait(env.seconds(60)) for p in procs]
    assert 0 in codes
    if peer.NAME == "coffer-oci":
        assert set(codes) == {0}
    leaks.assert_none(runtime)


def test_fast_create_and_delete(runtime):
    for i in range(20):
        c = Container(runtime, ["true"], id="%s-f%d" % (runtime.token, i))
        c.create().ok()
        c.delete("--force").ok()
    leaks.assert_none(runtime)


@pytest.mark.untidy  # the cgroup's name was in the broken file
def test_state_files_that_are_broken(ct, runtime):
    """Garbage in the state directory: an error that names it, and delete --force gets rid of it."""
    peer.lacks("*", "other files")
    c = ct(["sleep", "1000"]).up()
    directory = os.path.join(runtime.root, c.id)
    pid = c.pid
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            with open(path, "w") as f:
                f.write("{garbage")
    runtime.call("state", c.id).failed()
    runtime.call("list").ok()
    c.delete("--force")
    assert not os.path.exists(directory)
    if os.path.exists("/proc/%d" % pid):
        os.kill(pid, 9)


def test_full_state_directory(ct, runtime, host_mount):
    """No space for the state: create fails and leaves nothing."""
    peer.lacks("*", "not tried")
    from harness import host
    os.makedirs(runtime.root, exist_ok=True)
    host_mount("tmpfs", runtime.root, "tmpfs")
    host.mount("tmpfs", runtime.root, "tmpfs", 32, "size=4k,nr_inodes=1")  # MS_REMOUNT
    c = ct(["sleep", "1000"])
    c.create().failed()
    host.umount(runtime.root)
    assert [x for x in leaks.settled(runtime) if not x.startswith("mount")] == []


def test_config_that_changes_while_it_runs(ct):
    c = ct(["sleep", "1000"]).up()
    with open(os.path.join(c.bundle, "config.json"), "w") as f:
        f.write("{")
    assert c.status == "running"
    c.kill("KILL").ok()
    c.wait_stopped()
    c.delete().ok()


def test_bundle_that_is_removed_while_it_runs(ct):
    """State, kill and delete need no bundle."""
    import shutil
    c = ct(["sleep", "1000"]).up()
    shutil.rmtree(c.bundle)
    assert c.status == "running"
    c.kill("KILL").ok()
    c.wait_stopped()
    c.delete().ok()
