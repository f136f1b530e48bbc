# SPDX-License-Identifier: Apache-2.0
"""The engines that `coffer` is measured beside: Docker and Podman as Debian has them, over Debian's runc.

All of them live on one machine at one time: coffer and Podman in one network namespace of ours (so that nothing of the
host's network is touched), dockerd in its own, where its bridge is. What is timed is the command that people type.
"""
import os
import shutil
import subprocess
import tempfile

import bundles
import filter
import libengine
from harness import cgroups


class World:
    """A network namespace with a bridge for the floor, kept by a sleeping process."""

    def __init__(self):
        self.keeper = subprocess.Popen(["unshare", "-n", "-m", "--propagation", "private", "sh", "-c",
                                        "ip link set lo up && echo && exec sleep infinity"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.keeper.stdout.readline()
        self.netns = "/proc/%d/ns/net" % self.keeper.pid
        self.enter = ["nsenter", "--net=" + self.netns, "--"]

    def close(self):
        self.keeper.kill()
        self.keeper.wait()
        self.keeper.stdout.close()


class Bench:
    """`with Bench(runs) as b`: the engines with the same image, and the floor."""

    def __init__(self, runs, quick):
        self.runs, self.quick = runs, quick
        self.world = World()
        self.top = tempfile.mkdtemp(prefix="coffer-bench-engine-")
        os.chmod(self.top, 0o755)
        bundles.build(self.top)
        self.timer = os.path.join(self.top, "timer")
        self.engines, self.remarks = [], []
        self._install()
        # Each has what others keep below /run on a tmpfs, which /run is everywhere but on some test machines.
        run = "/dev/shm" if os.path.ismount("/dev/shm") else None
        self._add(lambda: libengine.Coffer(netns=self.world.netns, volatile=run), libengine.env.COFFER)
        self._add(lambda: libengine.Docker(runtime="runc", volatile=run), "/usr/sbin/dockerd")
        self._add(lambda: libengine.Podman(runtime="runc", network="bridge", netns=self.world.netns, volatile=run),
                  "/usr/bin/podman")
        self._floor()

    def _install(self):
        """coffer's programs as an installation has them, which is what the peers are: copied in one go, the page
        cache keeps a file in large pieces; as the linker has written it, page by page, and each start maps those."""
        here = os.path.dirname(libengine.env.COFFER)
        bin_ = os.path.join(self.top, "bin")
        os.mkdir(bin_)
        for name in os.listdir(here):
            path = os.path.join(here, name)
            if name.startswith("coffer") and os.path.isfile(path):
                shutil.copy(path, bin_)
        libengine.env.COFFER = os.path.join(bin_, os.path.basename(libengine.env.COFFER))

    def _add(self, make, program):
        if not os.path.exists(program):
            self.remarks.append("no " + program)
            return
        engine = make()
        self.engines.append(engine)

    def _floor(self):
        made = bundles.Bundles(self.top)
        self.filter = os.path.join(self.top, "docker.bpf")
        with open(self.filter, "wb") as f:
            f.write(filter.compile_profile(made.config["linux"]["seccomp"]))
        self.image = os.path.join(self.top, "image.erofs")
        if not shutil.which("mkfs.erofs"):
            self.remarks.append("no floor: mkfs.erofs (erofs-utils) is missing")
            self.image = None
            return
        # The program that the engines run, whose own start and pages are no engine's doing.
        shutil.copy(libengine.env.BUSYBOX, os.path.join(made.rootfs, "true"))
        subprocess.run(["mkfs.erofs", self.image, made.rootfs], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(self.world.enter + [self.top + "/floor", "prepare", "floor0"], check=True)

    def floor(self, label, bridge):
        if not self.image:
            return []
        argv = [self.top + "/floor", self.top, self.filter, "floor-engine", self.image] + ["floor0"] * bridge
        return ["\t".join(["V", "floor"]), "\t".join(["T", label] + argv)]

    def plan(self, *steps, only=None):
        """Steps are (kind, label or None, arguments of the engine, or a function of the engine that gives them)."""
        lines = []
        for e in self.engines:
            if only and e.name not in only:
                continue
            view = "/proc/%d/ns/mnt" % e.keeper.pid if e.name != "docker" else None
            lines.append("\t".join(["V", e.name] + ([view] if view else [])))
            for kind, label, args in steps:
                args = args(e) if callable(args) else args
                lines.append("\t".join([kind] + ([label] if label else []) + e.bare() + list(args)))
        return lines

    def time(self, plan, runs=None, warmup=2):
        """{engine: {label: [(ns, rss kB)]}}"""
        environ = dict(os.environ)
        for e in self.engines:
            if e.name == "podman":
                environ.update(CONTAINERS_CONF=e.environ["CONTAINERS_CONF"])
        done = subprocess.run(self.world.enter + [self.timer, "alternate", str(runs or self.runs), str(warmup)],
                              input="\n".join(plan) + "\n", stdout=subprocess.PIPE, text=True, check=True, env=environ)
        out = {}
        for line in done.stdout.splitlines():
            name, label, run, ns, rss, status = line.split()
            if int(status):
                raise SystemExit("bench: %s %s failed with wait status %s in run %s" % (name, label, status, run))
            out.setdefault(name, {}).setdefault(label, []).append((int(ns), int(rss)))
        return out

    def engine(self, name):
        return next((e for e in self.engines if e.name == name), None)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for e in self.engines:
            try:
                e.clear()
            finally:
                e.close()
        cgroups.view("host").remove("floor-engine")
        self.world.close()
        shutil.rmtree(self.top, ignore_errors=True)
