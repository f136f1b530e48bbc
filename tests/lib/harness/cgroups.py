# SPDX-License-Identifier: Apache-2.0
"""The machine's cgroup hierarchies, as the host or the private cgroup2 view shows them."""
import os
import signal
import subprocess
import time

from . import env, host

ROOT = "/sys/fs/cgroup"


class View:
    """One way to look at cgroups: "host" is the machine as it is; "v2" is a private mount
    namespace in which /sys/fs/cgroup is a cgroup2 mount, kept open by a sleeping process.
    """

    def __init__(self, name):
        self.name = name
        self.keeper = None
        self.fd = -1
        if name == "v2":
            self._start_keeper()
        self.controllers = self._find()

    def _start_keeper(self):
        if self._is_v2_mount(ROOT):
            return  # the machine itself is unified: nothing to do
        script = "mount -t cgroup2 cgroup2 %s && echo ready && exec sleep 100000" % ROOT
        self.keeper = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script],
                                       stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        if self.keeper.stdout.readline() != b"ready\n":
            raise RuntimeError("cannot make a private cgroup2 view")
        self.fd = os.open("/proc/%d/ns/mnt" % self.keeper.pid, os.O_RDONLY | os.O_CLOEXEC)

    @staticmethod
    def _is_v2_mount(path):
        return os.path.exists(os.path.join(path, "cgroup.controllers"))

    def enter(self):
        """For a child between fork and exec. The working directory is lost, as setns does."""
        if self.fd >= 0:
            host.setns(self.fd, host.CLONE_NEWNS)

    def close(self):
        if self.keeper:
            self.keeper.kill()
            self.keeper.wait()
            os.close(self.fd)
            self.keeper = None
            self.fd = -1

    @property
    def unified(self):
        return self.name == "v2" or self._is_v2_mount(ROOT)

    def _find(self):
        """{controller: directory of its hierarchy's root, as the HOST's paths show it}."""
        found = {}
        with open("/proc/self/mountinfo") as f:
            for line in f:
                left, _, right = line.rstrip("\n").partition(" - ")
                fstype, _, options = right.split(" ", 2)
                path = left.split()[4]
                if not os.path.exists(os.path.join(path, "cgroup.procs")):
                    continue  # hidden below the private cgroup2 mount
                if fstype == "cgroup2":
                    names = read(os.path.join(path, "cgroup.controllers")).split()
                    found.update({n: path for n in names})
                    found["unified"] = path
                elif fstype == "cgroup" and self.name == "host":
                    for opt in options.split(","):
                        if opt not in ("rw", "ro") and "=" not in opt:
                            found[opt] = path
                        elif opt.startswith("name="):
                            found[opt] = path
        return found

    def has(self, controller):
        return controller in self.controllers

    def hierarchies(self):
        return sorted(set(self.controllers.values()))

    def is_v2(self, controller):
        return os.path.exists(os.path.join(self.controllers[controller], "cgroup.controllers"))

    def path(self, controller, cgroup):
        return os.path.join(self.controllers[controller], cgroup.lstrip("/"))

    def children(self, parent):
        """Every cgroup below `parent` (a cgroup path), in all hierarchies, deepest first."""
        out = []
        for root in self.hierarchies():
            top = os.path.join(root, parent.lstrip("/"))
            for base, dirs, _ in os.walk(top, topdown=False):
                if base != top:
                    out.append(base)
        return out

    def pids(self, parent):
        """Processes in or below a cgroup path, in any hierarchy."""
        found = set()
        for root in self.hierarchies():
            for base, _, _ in os.walk(os.path.join(root, parent.lstrip("/"))):
                found.update(int(p) for p in read(os.path.join(base, "cgroup.procs")).split())
        return found

    def remove(self, parent):
        """Thaw, kill and remove everything in and below a cgroup that the tests own."""
        for root in self.hierarchies():
            for base, _, _ in os.walk(os.path.join(root, parent.lstrip("/"))):
                write(os.path.join(base, "freezer.state"), "THAWED")
                write(os.path.join(base, "cgroup.freeze"), "0")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            pids = self.pids(parent)
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            if not pids:
                break
            time.sleep(0.02)
        for path in self.children(parent):
            _rmdir(path)
        for root in self.hierarchies():
            _rmdir(os.path.join(root, parent.lstrip("/")))


def _rmdir(path):
    for _ in range(50):
        try:
            os.rmdir(path)
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)


def read(path):
    """A small file's text; "" where it is not there."""
    try:
        with open(path) as f:
            return f.read().strip()
    except OSError:
        return ""


def write(path, text):
    """Write without creating (cgroup directories refuse unknown names); no error where absent."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, text.encode())
    except OSError:
        pass
    finally:
        os.close(fd)


_views = {}


def enter_private_view():
    """Give this whole process, and so every test, a /sys/fs/cgroup that is a private cgroup2 mount."""
    if not View._is_v2_mount(ROOT):
        host.unshare(host.CLONE_NEWNS)
        host.mount(None, "/", None, host.MS_REC | host.MS_PRIVATE)
        host.mount("cgroup2", ROOT, "cgroup2")


def view(name=None):
    name = "v2" if env.VIEW == "v2" else name or "host"
    if name not in _views:
        _views[name] = View(name)
    return _views[name]


def close_views():
    for v in _views.values():
        v.close()
    _views.clear()
