# SPDX-License-Identifier: Apache-2.0
"""What lies in the state directory after a crash, a full disk or a reused pid: every verb copes, nobody else dies."""
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from conftest import crashed
from harness import leaks
from harness.container import kill_pid


def state_files(c):
    """Regular files of a container's state directory."""
    top = os.path.join(c.rt.root, c.id)
    return sorted(os.path.join(base, n) for base, _, names in os.walk(top) for n in names
                  if os.path.isfile(os.path.join(base, n)) and not os.path.islink(os.path.join(base, n)))


def copes(rt, *ids):
    """Every reading verb ends without a crash, whatever it says."""
    for verb in (["list"], ["list", "-q"], ["list", "--format", "json"]):
        assert not crashed(rt.call(*verb, timeout=15))
    for name in ids:
        for argv in (["state", name], ["kill", name, "0"], ["ps", name], ["pause", name], ["events", "--stats", name]):
            assert not crashed(rt.call(*argv, timeout=15))


GARBAGE = {"empty": b"", "text": b"not json", "zeroes": b"\0" * 4096, "brackets": b"[" * 200000, "object": b"{}",
           "array": b"[]", "null": b"null", "huge": b'{"id":"' + b"x" * 10000000 + b'"}', "negative": b'{"init_process_pid":-1}'}


@pytest.mark.parametrize("kind", list(GARBAGE) + ["half", "flipped", "directory", "symlink", "fifo", "missing"])
def test_state_is_damaged(ct, runtime, kind):
    """The damaged container is reported; the healthy one is still listed; delete --force removes what is left."""
    healthy, c = ct(["sleep", "100"]).up(), ct(["sleep", "100"]).up()
    pid = c.pid
    for path in state_files(c):
        with open(path, "rb") as f:
            data = f.read()
        os.unlink(path)
        if kind == "directory":
            os.mkdir(path)
        elif kind == "symlink":
            os.symlink("/etc/passwd", path)
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "half":
            data = data[:len(data) // 2]
        elif kind == "flipped":
            rng = random.Random(1)
            data = bytes(b ^ 1 << rng.randrange(8) if rng.random() < 0.02 else b for b in data)
        if kind in GARBAGE or kind in ("half", "flipped"):
            with open(path, "wb") as f:
                f.write(GARBAGE.get(kind, data))
    copes(runtime, c.id, healthy.id)
    assert healthy.id in runtime.call("list", "-q").out, "a neighbour's damage hides a container"
    result = runtime.call("delete", "--force", c.id, timeout=20)
    assert not crashed(result)
    healthy.delete("--force").ok()
    assert open("/etc/passwd").read(4) == "root"
    kill_pid(pid)  # a runtime that no longer knows its pid cannot end it
    shutil.rmtree(os.path.join(runtime.root, c.id), ignore_errors=True)
    runtime.view.remove(c.cgroup)


def test_strangers_in_the_state_directory(ct, runtime):
    """Files, empty directories and loops beside the containers disturb nobody."""
    c = ct(["sleep", "100"]).up()
    os.makedirs(os.path.join(runtime.root, "empty"))
    os.symlink("/", os.path.join(runtime.root, "slash"))
    os.symlink("loop", os.path.join(runtime.root, "loop"))
    os.mkfifo(os.path.join(runtime.root, "fifo"))
    with open(os.path.join(runtime.root, "file"), "w") as f:
        f.write("x")
    copes(runtime, "empty", "slash", "loop", "fifo", "file", c.id)
    assert c.id in runtime.call("list", "-q").ok().out
    for name in ("slash", "loop", "fifo"):
        runtime.call("delete", "--force", name, timeout=15)
    assert os.path.isdir("/usr/bin")
    c.delete("--force").ok()


@pytest.fixture
def bystander():
    """A process of the host that must survive."""
    p = subprocess.Popen(["sleep", "1000"])
    # A start time in ticks tells a pid's owners apart. No pid is reused within a tick, but a container that starts at
    # once could share the bystander's.
    time.sleep(2 / os.sysconf("SC_CLK_TCK"))
    yield p
    alive = p.poll() is None
    p.kill()
    p.wait()
    assert alive, "a process that is none of the container's was killed"


def replace_pid(c, old, new):
    for path in state_files(c):
        with open(path, "rb") as f:
            data = f.read()
        if str(old).encode() in data:
            with open(path, "wb") as f:
                f.write(data.replace(str(old).encode(), str(new).encode()))


@pytest.mark.parametrize("verbs", [["kill", "KILL"], ["delete", "--force"], ["kill", "--all", "KILL"]],
                         ids=lambda v: " ".join(v))
def test_reused_pid(ct, runtime, bystander, verbs):
    """init died and its pid belongs to somebody else now: the start time in the state tells them apart."""
    c = ct(["sleep", "100"]).up()
    pid = c.pid
    c.kill("KILL").ok()
    c.wait_stopped()
    replace_pid(c, pid, bystander.pid)
    if verbs[0] == "kill":
        runtime.call("kill", *verbs[1:-1], c.id, verbs[-1])
    else:
        runtime.call("delete", "--force", c.id)
    assert bystander.poll() is None
    assert runtime.call("state", c.id).out.count('"running"') == 0
    runtime.call("delete", "--force", c.id)


def test_pid_of_a_stranger_is_not_entered(ct, runtime, bystander):
    """exec after such a reuse must not run in the stranger's namespaces (the host's)."""
    c = ct(["sleep", "100"]).up()
    pid = c.pid
    c.kill("KILL").ok()
    c.wait_stopped()
    replace_pid(c, pid, bystander.pid)
    mark = os.path.join(runtime.scratch, "mark")
    runtime.call("exec", c.id, "/bin/sh", "-c", "echo host > " + mark)
    assert not os.path.exists(mark)


def test_state_is_not_readable_by_others(ct, runtime):
    c = ct(["sleep", "100"]).up()
    top = os.path.join(runtime.root, c.id)
    mode = os.stat(runtime.root).st_mode & 0o777 & os.stat(top).st_mode
    assert mode & 0o022 == 0, "others may write: %o" % mode
    for base, dirs, names in os.walk(top):
        for n in dirs + names:
            assert os.lstat(os.path.join(base, n)).st_mode & 0o022 == 0 or os.path.islink(os.path.join(base, n))


def test_abstract_sockets(ct, runtime):
    """CVE-2020-15257: nothing of ours listens on an abstract socket, which the host's network namespace shares."""
    c = ct(["sleep", "100"])
    c.linux["namespaces"] = [n for n in c.linux["namespaces"] if n["type"] != "network"]
    c.up()
    with open("/proc/net/unix") as f:
        ours = [line for line in f if "@" in line and (runtime.token in line or "coffer" in line)]
    assert not ours, ours


@pytest.mark.parametrize("how", ["TERM", "INT", "HUP", "PIPE"])
def test_runtime_killed_by_a_signal_in_create(ct, runtime, how):
    """A signal to the runtime at a random moment of create: delete --force leaves nothing."""
    number = getattr(signal, "SIG" + how)
    for i in range(8):
        c = ct(["sleep", "100"])
        c.write_config()
        p = runtime.spawn("create", "--bundle", c.bundle, c.id, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
        time.sleep(0.0008 * i)
        p.send_signal(number)
        p.wait(20)
        runtime.call("delete", "--force", c.id)
        leaks.assert_none(runtime)
