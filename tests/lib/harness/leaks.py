# SPDX-License-Identifier: Apache-2.0
"""What a container left behind, found by the runtime's token.

Other work may run on the machine, so nothing is counted globally: a process is ours when its
environment, arguments or cgroup hold the token; a mount, a cgroup or a state directory when its
path does.
"""
import os
import time

from . import env


def _read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def processes(token, ignore=()):
    """{pid: command line} of the live processes that carry the token."""
    mark = token.encode()
    found = {}
    me = os.getpid()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in ignore or int(name) == me:
            continue
        base = "/proc/" + name
        cmdline = _read(base + "/cmdline")
        if mark in cmdline or mark in _read(base + "/environ") or mark in _read(base + "/cgroup"):
            stat = _read(base + "/stat").rpartition(b") ")[2]
            if stat and stat[:1] not in (b"Z", b"X"):
                found[int(name)] = cmdline.replace(b"\0", b" ").decode(errors="replace")
    return found


def mounts(token, pid="self"):
    return [line for line in _read("/proc/%s/mountinfo" % pid).decode(errors="replace").splitlines()
            if token in line]


def find(rt, states=True):
    """A list of sentences, one per thing left; empty when all is gone."""
    out = ["process %d: %s" % p for p in processes(rt.token).items()]
    out += ["mount: " + m for m in mounts(rt.token)]
    if rt.view.keeper:
        out += ["mount in the private view: " + m for m in mounts(rt.token, rt.view.keeper.pid)]
    out += ["cgroup: " + path for path in rt.view.children(rt.cgroup)]
    if states and os.path.isdir(rt.root):
        ids = {c.id for c in rt.containers}
        out += ["state: %s/%s" % (rt.root, name) for name in os.listdir(rt.root) if name in ids]
    return out


def settled(rt, limit=5.0, **kw):
    """What is left once the dust has settled: ends take a moment to be reaped."""
    deadline = time.monotonic() + env.seconds(limit)
    while True:
        left = find(rt, **kw)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def assert_none(rt, limit=5.0, **kw):
    left = settled(rt, limit, **kw)
    assert not left, "left behind:\n  " + "\n  ".join(left)


def open_fds(pid="self"):
    """{fd: target} of a process."""
    out = {}
    for fd in os.listdir("/proc/%s/fd" % pid):
        try:
            out[int(fd)] = os.readlink("/proc/%s/fd/%s" % (pid, fd))
        except OSError:
            pass
    return out


def namespace_ids(pid="self"):
    return {n: os.readlink("/proc/%s/ns/%s" % (pid, n)) for n in os.listdir("/proc/%s/ns" % pid)
            if not n.endswith("_for_children")}


