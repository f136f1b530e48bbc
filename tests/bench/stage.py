# SPDX-License-Identifier: Apache-2.0
"""What a bench run stands on: programs, bundles, runtimes in their view of cgroups, and the C timer."""
import collections
import os
import shutil
import subprocess
import tempfile
import uuid

import bundles
import filter
import peers
from harness import cgroups

Sample = collections.namedtuple("Sample", "ns rss")


class Runtime:
    """One runtime in one view; `name` is what tables call it."""

    def __init__(self, name, binary, state, view):
        self.name, self.binary, self.view = name, binary, view
        self.root = os.path.join(state, name.replace("@", "-"))
        self.kind = name.partition("@")[0]

    def argv(self, *args):
        return [self.binary, "--root", self.root] + [str(a) for a in args]

    def call(self, *args):
        subprocess.run(self.argv(*args), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       preexec_fn=self.view.enter if self.view.fd >= 0 else None, timeout=120)


class Stage:
    """`with Stage(...) as st`: a scratch directory that is gone afterwards; state lives on a tmpfs, as /run does."""

    def __init__(self, binary, prefix, runs, quick):
        self.runs, self.quick, self.prefix = runs, quick, prefix
        self.token = "bench" + uuid.uuid4().hex[:6]
        self.top = tempfile.mkdtemp(prefix="coffer-%s-" % self.token)
        os.chmod(self.top, 0o755)
        shm = "/dev/shm" if os.path.ismount("/dev/shm") else None
        self.state = tempfile.mkdtemp(prefix="coffer-%s-" % self.token, dir=shm)
        bundles.build(self.top)
        self.bundles = bundles.Bundles(self.top)
        self.timer = os.path.join(self.top, "timer")
        self.host, self.v2 = cgroups.view("host"), cgroups.view("v2")
        for view in (self.host, self.v2):
            self._cgroup(view, os.mkdir)
        self.runtimes = []
        self.remarks = []
        if os.path.exists(binary):
            self._add("coffer", binary, self.host)
            self._add("coffer@v2", binary, self.v2)
        else:
            self.remarks.append("no coffer-oci at %s" % binary)
        if shutil.which("runc"):
            self._add("runc", shutil.which("runc"), self.host)
        path, remark = peers.crun(prefix)
        if remark:
            self.remarks.append(remark)
        if path:
            self._add("crun@v2", path, self.v2)
        self._filter()

    def _add(self, name, binary, view):
        if view is self.v2 and self.host.unified:
            name, view = name.partition("@")[0], self.host
        if not any(r.name == name for r in self.runtimes):
            self.runtimes.append(Runtime(name, binary, self.state, view))

    def _cgroup(self, view, act):
        """The parent of all our cgroups; only v2 needs it made beforehand (for the floor)."""
        if not view.has("unified"):
            return
        path = view.path("unified", self.token)
        if os.path.isdir(path) == (act is os.rmdir):
            act(path)

    def _filter(self):
        self.filter = os.path.join(self.top, "docker.bpf")
        with open(self.filter, "wb") as f:
            f.write(filter.compile_profile(self.bundles.config["linux"]["seccomp"]))

    def runtime(self, kind):
        return next((r for r in self.runtimes if r.kind == kind), None)

    def versions(self):
        out = {r.name: {"path": r.binary, "version": peers.version(r.binary), "bytes": os.path.getsize(r.binary)}
               for r in self.runtimes}
        return {"found": out, "remarks": self.remarks}

    def bundle(self, rt, name, **kw):
        name = "%s-%s" % (name, rt.name.replace("@", "-"))
        return self.bundles.make(name, "%s/%s" % (self.token, name), **kw)

    # ---- timing ----

    def variant(self, name, view, *steps):
        """Lines of a plan: steps are ("T", label, argv), ("U", argv) or ("S", ms)."""
        head = ["V", name] + (["/proc/%d/ns/mnt" % view.keeper.pid] if view.keeper else [])
        out = ["\t".join(head)]
        for kind, *rest in steps:
            words = rest[:-1] + rest[-1] if isinstance(rest[-1], list) else [str(x) for x in rest]
            out.append("\t".join([kind] + words))
        return "\n".join(out)

    def floors(self, label, use_filter):
        """The floor as further variants, in each view."""
        what = self.filter if use_filter else "-"
        out = []
        for name, view in (("floor", self.host), ("floor@v2", self.v2)):
            if name == "floor" or view is not self.host:
                argv = [os.path.join(self.top, "floor"), self.top, what, "floor-" + self.token]
                out.append(self.variant(name, view, ("T", label, argv)))
        return out

    def time(self, plan, runs=None, warmup=3):
        """{variant: {label: [Sample]}}; a command that fails ends the bench."""
        proc = subprocess.run([self.timer, "alternate", str(runs or self.runs), str(warmup)],
                              input="\n".join(plan) + "\n", stdout=subprocess.PIPE, text=True, check=True)
        out = {}
        for line in proc.stdout.splitlines():
            name, label, run, ns, rss, status = line.split()
            if int(status):
                raise SystemExit("bench: %s %s failed with wait status %s in run %s" % (name, label, status, run))
            out.setdefault(name, {}).setdefault(label, []).append(Sample(int(ns), int(rss)))
        return out

    def storm(self, plan, count, parallel):
        """(seconds, lost) of `count` chains."""
        proc = subprocess.run([self.timer, "storm", str(count), str(parallel)], input=plan + "\n",
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
        _, _, ns, lost = proc.stdout.splitlines()[-1].split()
        return int(ns) / 1e9, int(lost)

    def left_behind(self, rt):
        """Sentences about what a runtime left: states, cgroups, mounts, processes."""
        out = ["state %s" % n for n in (os.listdir(rt.root) if os.path.isdir(rt.root) else []) if "bench" in n]
        out += ["cgroup " + p for p in rt.view.children(self.token)]
        out += ["process %d" % p for p in rt.view.pids(self.token)]
        with open("/proc/self/mountinfo") as f:
            out += ["mount " + line.split()[4] for line in f if self.token in line]
        return out

    # ---- end ----

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for view in (self.host, self.v2):
            view.remove(self.token)
            view.remove("floor-" + self.token)
        cgroups.close_views()
        shutil.rmtree(self.top, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)
