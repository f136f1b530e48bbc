# SPDX-License-Identifier: Apache-2.0
"""Containers of a layer share its mount, and with it the page cache, whoever of them lives longest."""
import os
import platform
import re
import shutil
import signal
import subprocess
import time

import pytest

from harness import bundle
from libengine import cgroup_value, wait_for

SIZE = 16 << 20


@pytest.fixture(scope="module")
def big(session, tmp_path_factory):
    """An image with a file that no other test reads."""
    if tuple(int(n) for n in re.findall(r"\d+", platform.release())[:2]) < (6, 15):
        pytest.skip("clones of detached mounts take Linux 6.15")
    top = str(tmp_path_factory.mktemp("big") / "root")
    bundle.store().rootfs(top)
    with open(top + "/big", "wb") as f:
        f.write(os.urandom(SIZE))
    tar = subprocess.run(["tar", "-C", top, "-c", "."], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(session.base + ["import", "-c", "ENV " + bundle.PATH, "-", "big"], input=tar, env=session.environ,
                   check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(top)
    erofs = [n for n in os.listdir(session.scratch + "/root/layers")
             if os.path.exists(session.scratch + "/root/layers/%s/layer.erofs" % n)]
    if not erofs:
        pytest.skip("layers are directories here")
    yield "big"
    session("rmi", "-f", "big", rc=None)


def cached(engine, cid):
    """Bytes of page cache that a container is charged for."""
    stat = dict(line.split() for line in cgroup_value(engine.pid(cid), "memory", "memory.stat").splitlines())
    return int(stat.get("cache") or stat["file"])


def reader(engine, *options):
    """A container that has read the file when it answers."""
    cid = engine.start("--network", "none", *options, "big", "sleep", "600")
    engine("exec", cid, "cat", "/big")
    return cid


def monitor_of(engine, cid):
    with open(engine.scratch + "/run/containers/%s/monitor" % cid) as f:
        return int(f.read().split()[0])


def offers(engine):
    """Processes that hold a lock on a layer."""
    layers = {os.stat(os.path.join(at, "layer.erofs")).st_ino for at, _, names in os.walk(engine.scratch + "/root/layers")
              if "layer.erofs" in names}
    with open("/proc/locks") as f:
        return {int(x.split()[4]) for x in f if " POSIX " in x and int(x.split()[5].split(":")[2]) in layers}


def test_page_cache_is_shared(coffer, big):
    first = reader(coffer)
    assert cached(coffer, first) > SIZE
    second = reader(coffer, "--userns", "host")
    assert cached(coffer, second) < SIZE / 4
    assert offers(coffer) == {monitor_of(coffer, first), monitor_of(coffer, second)}
    # the last one has it, however the others ended
    os.kill(monitor_of(coffer, first), signal.SIGKILL)
    coffer("rm", "-f", first)
    third = reader(coffer)
    assert cached(coffer, third) < SIZE / 4
    coffer("rm", "-f", second, third)
    wait_for("no lock to be left", lambda: not offers(coffer))
    assert cached(coffer, reader(coffer)) > SIZE


def test_a_restart_keeps_it(coffer, big):
    cid = coffer.start("--network", "none", "--restart", "always", "big", "sh", "-c", "cat /big >/dev/null; exec sleep 600")
    pid = coffer.pid(cid)
    wait_for("the file to be read", lambda: cached(coffer, cid) > SIZE)
    os.kill(pid, signal.SIGKILL)
    wait_for("a new process", lambda: coffer.pid(cid) not in (0, pid))
    other = reader(coffer)
    assert cached(coffer, other) < SIZE / 4
    assert offers(coffer) == {monitor_of(coffer, cid), monitor_of(coffer, other)}


def test_a_brim_filled_beside_another_ends(coffer, big):
    """Where the program's pages are another container's too, lack of memory ends it rather than slow it down."""
    reader(coffer)
    for _ in range(5):
        done = coffer("run", "--rm", *coffer.run_options(), "-m", "24m", "--memory-swap", "24m", "--network", "none", "big",
                      "tail", "/dev/zero", rc=None, limit=10)
        assert done.returncode == 137


def test_layer_in_use_stays(coffer, big):
    """Neither rmi nor prune takes what is held."""
    coffer("create", *coffer.run_options(), "box", "true")  # keeps the others' image
    cid = reader(coffer)
    assert coffer("rmi", "big", rc=None).returncode != 0
    coffer("image", "prune", "-af")
    assert coffer.out("exec", cid, "wc", "-c", "/big").split()[0] == str(SIZE)


def test_lack_of_memory_is_told_once(coffer, big):
    """Of one end, `events` has one oom and one die, in this order, whoever writes them."""
    begin = "%.6f" % time.time()
    cid = coffer.out("create", *coffer.run_options(), "-m", "24m", "--memory-swap", "24m", "--network", "none", "big", "sh", "-c",
                     "sleep 0.3; exec tail /dev/zero")
    assert coffer("start", "-a", cid, rc=None).returncode == 137
    told = coffer.out("events", "--since", begin, "--until", "%.6f" % time.time(), "--filter", "container=" + cid, "--format",
                      "{{.Action}}").split()
    assert told.count("oom") == 1 and told.count("die") == 1 and told.index("oom") < told.index("die"), told
    assert coffer.inspect(cid, "{{.State.OOMKilled}}") == "true"
