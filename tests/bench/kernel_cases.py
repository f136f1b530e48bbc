# SPDX-License-Identifier: Apache-2.0
"""Level `kernel` beside gVisor's runsc and the bare kernel, in interleaved rounds of one run."""
import os
import shutil
import subprocess

import peers

HERE = os.path.dirname(os.path.abspath(__file__))
ALL = {}
RUNSC = ["--platform=systrap", "--network=none", "--ignore-cgroups"]

# (what, case, row, ours, peer, at most): the table, as ratios of times.
PROMISES = [
    ("kernel: start / runsc", "kernel-start", "run", "kernel", "runsc", 1 / 15),
    ("kernel: start - ns, ms", "kernel-start", "run: kernel - ns", "kernel", None, 12),
    ("kernel: memory / runsc", "kernel-memory", "PSS at rest", "kernel", "runsc", 1 / 8),
    ("kernel: memory, kB", "kernel-memory", "PSS at rest", "kernel", None, 5120),
] + [("kernel: %s / runsc" % row, "kernel-calls", row, "kernel", "runsc", 1 / faster) for row, faster in (
    ("getpid", 3), ("getpid at a hot site", 50), ("getuid", 3), ("read 1", 3), ("pread 4096", 3), ("stat", 3),
    ("open+close", 3), ("mmap+touch+munmap", 10),
    ("fork+wait", 15), ("fork+exec+wait", 5), ("futex ping-pong", 10), ("pipe ping-pong", 5))]


def case(function):
    ALL[function.__name__.replace("_", "-")] = function
    return function


class Levels:
    """The same bundle by coffer-oci at two levels and by runsc."""

    def __init__(self, st):
        self.st = st
        self.runsc = peers.runsc(st.prefix)
        self.binary = st.runtime("coffer").binary
        self.calls = os.path.join(st.top, "calls")
        subprocess.run(["cc", "-O2", "-static", "-o", self.calls, os.path.join(HERE, "calls.c"), "-lpthread"],
                       check=True)
        rootfs = st.bundles.rootfs
        os.makedirs(os.path.join(rootfs, "tmp"), exist_ok=True)
        shutil.copy(self.calls, os.path.join(rootfs, "calls"))

    def argv(self, name, *args):
        root = ["--root", os.path.join(self.st.state, "level-" + name)]
        if name == "runsc":
            return [self.runsc] + RUNSC + root + list(args)
        return [self.binary] + root + ["--isolation", name] + list(args)

    def names(self):
        return ["ns", "kernel"] + (["runsc"] if self.runsc else [])

    def bundle(self, name, what, args):
        return self.st.bundles.make("%s-%s" % (what, name), "%s/%s-%s" % (self.st.token, what, name), args=args,
                                    seccomp=name != "runsc")


@case
def kernel_start(st):
    """run of a static true at levels ns and kernel, and by runsc"""
    levels = Levels(st)
    plan = [st.variant(n, st.host, ("T", "run", levels.argv(n, "run", "--bundle",
                                                            levels.bundle(n, "start", ("/true",)), "bench%n")))
            for n in levels.names()]
    timed = st.time(plan, runs=min(st.runs, 30))
    row = {n: sorted(s.ns for s in t["run"])[len(t["run"]) // 2] / 1e3 for n, t in timed.items()}
    return {"run": {"unit": "us", "values": row},
            "run: kernel - ns": {"unit": "ms", "values": {"kernel": (row["kernel"] - row["ns"]) / 1e3}}}


@case
def kernel_calls(st):
    """what system calls cost a program: natively, at level kernel, by runsc; best of interleaved rounds"""
    levels, best = Levels(st), {}
    os.makedirs("/tmp", exist_ok=True)
    for turn in range(2 if st.quick else 4):
        for name in ["native"] + levels.names()[1:]:
            argv = [levels.calls, "2"]
            if name != "native":
                b = levels.bundle(name, "calls%d" % turn, ("/calls", "2"))
                argv = levels.argv(name, "run", "--bundle", b, "bench-calls%d" % turn)
            out = subprocess.run(argv, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
            if out.returncode:
                raise SystemExit("bench: calls by %s: %s" % (name, out.stderr))
            for line in out.stdout.splitlines():
                label, _, ns = line.partition("\t")
                values = best.setdefault(label, {})
                values[name] = min(values.get(name, 1 << 60), int(ns))
    return {label: {"unit": "ns", "values": values} for label, values in best.items()}


def _pss(pids):
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except OSError:
            pass
    return total


def _descendants(pid):
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        try:
            for task in os.listdir("/proc/%d/task" % p):
                with open("/proc/%d/task/%s/children" % (p, task)) as f:
                    todo += [int(x) for x in f.read().split()]
        except OSError:
            pass
    return found


@case
def kernel_memory(st):
    """memory (PSS) of all processes of a sandbox whose program sleeps"""
    levels, values = Levels(st), {}
    for name in levels.names():
        b = levels.bundle(name, "memory", ("/true", "stay"))
        proc = subprocess.Popen(levels.argv(name, "run", "--bundle", b, "bench-memory"), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            subprocess.run(["sleep", "2"], check=True)
            # The client is the runtime's `run` itself, which would be gone in a detached container.
            values[name] = _pss([p for p in _descendants(proc.pid) if p != proc.pid])
        finally:
            subprocess.run(levels.argv(name, "delete", "--force", "bench-memory"), capture_output=True, check=False)
            proc.wait(30)
    return {"PSS at rest": {"unit": "kB", "values": values}}
