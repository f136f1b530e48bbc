# SPDX-License-Identifier: Apache-2.0
"""coffer, and Docker and Podman started over the runtime under test, behind one small interface.

Everything an engine owns is below one scratch directory and one cgroup. Docker's daemon gets a
mount and a network namespace of its own, so that bridges, packet filters and mounts end with it.
"""
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from harness import bundle, env, host, leaks

CACHE = os.environ.get("COFFER_TEST_CACHE") or (
    os.path.join(os.environ["XDG_CACHE_HOME"], "coffer-tests") if os.environ.get("XDG_CACHE_HOME")
    else "/var/cache/coffer-tests")
IMAGE = "box"
UNIFIED = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
TOKEN = "coffer-conform-%d" % os.getpid()


def need(*programs):
    for p in programs:
        if not shutil.which(p, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            pytest.skip("no program " + p)


def lacking_capabilities():
    """Older runc refuses what the specification asks to log: a capability that cannot be granted."""
    if env.IS_RUNC and not host.has_cap("CAP_SYS_RESOURCE"):
        pytest.skip("this runtime refuses --privileged without CAP_SYS_RESOURCE")


def run(argv, rc=0, limit=60, **kw):
    """subprocess.run with text (line ends as they are), a time limit, and a check of the exit code (None: any)."""
    if "input" in kw:
        kw["input"] = kw["input"].encode()
    else:
        kw["stdin"] = subprocess.DEVNULL
    done = subprocess.run(argv, capture_output=True, timeout=env.seconds(limit), **kw)
    done.stdout, done.stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if rc is not None:
        assert done.returncode == rc, "%s\nexit code %d, expected %d\nstdout: %s\nstderr: %s" % (
            " ".join(argv), done.returncode, rc, done.stdout[-2000:], done.stderr[-2000:])
    return done


def wait_for(what, cond, limit=10.0, step=0.03):
    """Poll until cond() is true; its value is returned."""
    deadline = time.monotonic() + env.seconds(limit)
    while True:
        value = cond()
        if value:
            return value
        assert time.monotonic() < deadline, "waited %g s in vain: %s" % (limit, what)
        time.sleep(step)


def end(proc, limit=15):
    """TERM, then KILL, for a process of ours."""
    if proc.poll() is None:
        proc.terminate()
        try:
            proc.wait(env.seconds(limit))
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.wait()


def cgroup_dirs(name):
    """Directories called `name` at the top of every mounted cgroup hierarchy, and below."""
    found = []
    with open("/proc/mounts") as f:
        tops = {line.split()[1] for line in f if line.split()[2] in ("cgroup", "cgroup2")}
    for top in tops:
        for at, _, _ in os.walk(os.path.join(top, name), topdown=False):
            found.append(at)
    return found


def by_view(v1, v2):
    """The one of two values that fits this machine's cgroups."""
    return v2 if UNIFIED else v1


def cgroup_value(pid, controller, name):
    """A file of the cgroup of a process."""
    with open("/proc/%d/cgroup" % pid) as f:
        rows = [x.split(":", 2) for x in f.read().splitlines()]
    path = next(p for _, names, p in rows if UNIFIED or controller in names.split(","))
    with open("/sys/fs/cgroup/%s%s/%s" % ("" if UNIFIED else controller, path, name)) as f:
        return f.read().strip()


def remove_cgroups(name):
    for path in cgroup_dirs(name):
        try:
            os.rmdir(path)
        except OSError:
            pass


class Tty:
    """A client on a pseudo-terminal of ours."""

    def __init__(self, argv, environ, rows=24, cols=80):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, environ)
        self.seen = ""
        self.resize(rows, cols)

    def resize(self, rows, cols):
        import fcntl
        import struct
        import termios
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def send(self, text):
        os.write(self.fd, text.encode())

    def expect(self, text, limit=15):
        """Read until `text` has been seen; what came before it is returned and forgotten."""
        deadline = time.monotonic() + env.seconds(limit)
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, "no %r on the terminal, only %r" % (text, self.seen)
            if select.select([self.fd], [], [], left)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b""
                assert data, "terminal closed without %r, after %r" % (text, self.seen)
                self.seen += data.decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def code(self, limit=15):
        """The client's exit code (its terminal is drained meanwhile)."""
        deadline = time.monotonic() + env.seconds(limit)
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    time.sleep(0.02)
        raise AssertionError("client did not end; terminal: %r" % self.seen)

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


class Engine:
    """What the two engines share: the command line."""

    name = base = None
    environ = None
    like_docker = False  # the same words, columns and shapes of JSON
    level = "ns"  # of isolation

    def __init__(self, volatile=None):
        """volatile: a directory for what lives no longer than the machine, as /run is; else it is with the rest."""
        self.scratch = tempfile.mkdtemp(prefix=TOKEN + "-")
        os.chmod(self.scratch, 0o755)
        self.volatile = tempfile.mkdtemp(prefix=TOKEN + "-", dir=volatile) if volatile else self.scratch
        os.chmod(self.volatile, 0o755)
        self.cgroup = TOKEN + "-" + self.name
        self.terminals = []

    def __call__(self, *args, rc=0, **kw):
        return run(self.base + list(args), rc, env=self.environ, **kw)

    def out(self, *args, **kw):
        return self(*args, **kw).stdout.strip()

    def bare(self):
        """The command line without what enters its namespaces, for who is in them already."""
        return self.base[self.base.index("--") + 1:] if "--" in self.base else self.base

    def start(self, *args, **kw):
        """`run -d` with an image's shell line or argv; the container's id is returned."""
        return self.out("run", "-d", *self.run_options(), *args, **kw)

    def run(self, options, argv, **kw):
        return self("run", "--rm", *self.run_options(), *options, IMAGE, *argv, **kw)

    def sh(self, script, *options, **kw):
        """stdout of a shell line in a new container."""
        return self.run(options, ["sh", "-c", script], **kw).stdout

    def inspect(self, cid, fmt):
        return self.out("inspect", "--format", fmt, cid)

    def status(self, cid):
        return self.inspect(cid, "{{.State.Status}}")

    def pid(self, cid):
        return int(self.inspect(cid, "{{.State.Pid}}"))

    def wait_status(self, cid, *wanted, limit=15):
        return wait_for("%s: status %s" % (cid, wanted), lambda: self.status(cid) in wanted, limit)

    def tty(self, *args, **kw):
        t = Tty(self.base + list(args), self.environ, **kw)
        self.terminals.append(t)
        return t

    def run_options(self):
        return []

    def load_image(self):
        """An image of busybox and the guest helper, without any registry."""
        top = os.path.join(self.scratch, "image")
        bundle.store().rootfs(top)
        shutil.copy(env.BUSYBOX, os.path.join(top, "bin/busybox.copy"))
        with open(os.path.join(top, "noexec"), "w") as f:
            f.write("#!/bin/sh\n")
        tar = subprocess.run(["tar", "-C", top, "-c", "."], stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(self.base + ["import", "-c", 'CMD ["/bin/sh"]', "-c", "ENV FROM_IMAGE=yes",
                                    "-c", "ENV PATH=" + bundle.PATH[5:], "-", IMAGE],
                       input=tar, env=self.environ, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        shutil.rmtree(top)

    def clear(self):
        """Remove every container and terminal that a test left."""
        for t in self.terminals:
            t.close()
        self.terminals.clear()
        ids = self.out("ps", "-aq").split()
        if ids:
            self("rm", "-f", *self.rm_options(), *ids, rc=None)
            wait_for("all containers to go", lambda: not self.out("ps", "-aq"))

    def rm_options(self):
        return []

    def leftovers(self):
        """Cgroups and runtime states that outlived their containers."""
        left = ["cgroup " + p for p in cgroup_dirs(self.cgroup) if self.is_ours(os.path.basename(p))
                and (env.IS_COFFER or "/unified/" not in p)]
        for top in self.state_dirs():
            if os.path.isdir(top):
                left += ["state %s/%s" % (top, n) for n in os.listdir(top) if n[0] not in ".@"]
        return left

    def is_ours(self, name):
        """Whether a cgroup is one container's, so that the runtime must remove it."""
        return name != self.cgroup

    def state_dirs(self):
        return []

    def close(self):
        remove_cgroups(self.cgroup)
        remove_cgroups("libpod_parent")  # what `play kube` cannot be told to avoid
        for path in {self.scratch, self.volatile}:
            shutil.rmtree(path, ignore_errors=True)


class Docker(Engine):
    """dockerd with a containerd of its own."""

    name = "docker"
    like_docker = True

    def __init__(self, *daemon_options, v2=False, systemd=False, runtime="coffer", netns=None, volatile=None,
                 **files):
        """files: {path: file bound over it}, for the daemon alone; v2: cgroup2 is its only hierarchy;
        systemd: that cgroup driver (else cgroupfs); runtime: "runc" for Docker as it comes; netns: as for Coffer."""
        super().__init__(volatile)
        d = self.scratch
        self.socket = "unix://%s/s" % d
        self.base = ["/usr/bin/docker", "-H", self.socket]
        self.environ = dict(os.environ, DOCKER_CONFIG=d + "/cli", HOME=d)
        with open(d + "/daemon.json", "w") as f:
            f.write("{}")
        binds = "".join("mount --bind %s %s; " % (src, dst) for dst, src in files.items())
        # a containerd of the machine's own would be used otherwise, and does not see our mounts
        binds += "[ ! -d /run/containerd ] || mount -t tmpfs run /run/containerd; "
        if v2:
            binds += "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit; "
        self.log = open(d + "/log", "w")
        self.daemon = subprocess.Popen(
            (["nsenter", "--net=" + netns, "unshare", "-m"] if netns else ["unshare", "-m", "-n"]) +
            ["--propagation", "private", "sh", "-c",
             binds + 'ip link set lo up; exec "$@"', "sh",
             "/usr/sbin/dockerd", "--config-file", d + "/daemon.json", "-H", self.socket,
             "--data-root", d + "/data", "--exec-root", self.volatile + "/exec", "--pidfile", d + "/pid",
             "--exec-opt", "native.cgroupdriver=" + ("systemd" if systemd else "cgroupfs"),
             "--cgroup-parent", "coffertests.slice" if systemd else "/" + self.cgroup, "--add-runtime", "coffer=" + env.OCI,
             "--default-runtime", runtime, "--shutdown-timeout", "2", *daemon_options],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        try:
            wait_for("dockerd to answer", self._answers, 30)
            self.load_image()
        except BaseException:
            self.close()
            raise

    def _answers(self):
        assert self.daemon.poll() is None, "dockerd ended: " + self.log_tail()
        return os.path.exists(self.socket[7:]) and self("info", rc=None).returncode == 0

    def log_tail(self):
        with open(self.scratch + "/log", errors="replace") as f:
            return f.read()[-3000:]

    def in_network(self, *argv, **kw):
        """Run a program in the daemon's network namespace."""
        return run(["nsenter", "-t", str(self.daemon.pid), "-n", *argv], **kw)

    def state_dirs(self):
        return [self.volatile + "/exec/runtime-runc/moby"]

    def close(self):
        end(self.daemon, 20)
        self.log.close()
        super().close()


CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
log_driver = "k8s-file"
netns = "%s"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "%s"
[engine.runtimes]
coffer = ["%s"]
"""


# Podman 4.3 takes every controller of /proc/cgroups for a mounted v1 hierarchy and makes directories for it.
# Where one is not mounted (hybrid machines) they would land on the machine's tmpfs; here it gets one of its own.
PODMAN_VIEW = """
if ! [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir "$1/cg" && mount -t tmpfs cgroup "$1/cg" || exit
    awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts | while read -r d; do
        mkdir -p "$1/cg/${d##*/}" && mount --bind "$d" "$1/cg/${d##*/}"
    done
    mount --rbind "$1/cg" /sys/fs/cgroup
fi
%s
echo; exec sleep infinity
"""
# `pod rm` trips over those directories, so for pods they are hidden; user namespaces could then mount no /proc.
HIDE_CONTROLLERS = """
awk '/^#/ || system("grep -q /sys/fs/cgroup/" $1 " /proc/mounts") == 0' /proc/cgroups > "$1/cgroups"
[ -e /sys/fs/cgroup/cgroup.controllers ] || mount --bind "$1/cgroups" /proc/cgroups
"""


class Podman(Engine):
    """podman with storage, run directory, configuration and mount namespace of its own."""

    name = "podman"

    def __init__(self, pods=False, runtime="coffer", network="none", netns=None, volatile=None):
        """runtime "runc" and network "bridge": Podman as it comes; netns: a path of the network namespace to live in."""
        super().__init__(volatile)
        d = self.scratch
        visit = ["nsenter", "--net=" + netns] if netns else []
        self.keeper = subprocess.Popen(visit + ["unshare", "-m", "--propagation", "private", "sh", "-c",
                                        PODMAN_VIEW % (HIDE_CONTROLLERS if pods else ""), "sh", d],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.keeper.stdout.readline()
        conf = d + "/containers.conf"
        with open(conf, "w") as f:
            f.write(CONTAINERS_CONF % (network, runtime, env.OCI))
        self.environ = dict(os.environ, CONTAINERS_CONF=conf, HOME=d)
        self.base = ["nsenter", "-t", str(self.keeper.pid), "-m", *(["-n"] if netns else []), "--",
                     "/usr/bin/podman", "--root", d + "/root", "--runroot", self.volatile + "/run", "--tmpdir",
                     self.volatile + "/tmp"]
        try:
            self.load_image()
        except BaseException:
            self.close()
            raise

    def run_options(self):
        return ["--cgroup-parent", "/" + self.cgroup]

    def is_ours(self, name):
        return name.startswith("libpod-")

    def rm_options(self):
        return ["-t", "0"]

    def close(self):
        end(self.keeper)
        self.keeper.stdout.close()
        super().close()


class Coffer(Engine):
    """coffer with a store, a mount and a network namespace of its own: bridges and rules end with it."""

    name = "coffer"
    like_docker = True

    def __init__(self, *globals_, config="", netns=None, volatile=None, level="ns"):
        """netns: a path of the network namespace to live in; else a new one.  level: of isolation, where no flag says another."""
        super().__init__(volatile)
        d, self.level = self.scratch, level
        config += '[containers]\nisolation = "%s"\n' % level if level != "ns" else ""
        self.config = d + "/coffer.toml"
        with open(self.config, "w") as f:
            f.write(config)
        enter = ["nsenter", "--net=" + netns, "unshare", "-m"] if netns else ["unshare", "-m", "-n"]
        self.keeper = subprocess.Popen(
            enter + ["--propagation", "private", "sh", "-c",
             "ip link set lo up && echo && exec sleep infinity"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.keeper.stdout.readline()
        self.environ = dict(os.environ, HOME=d, DOCKER_CONFIG=d + "/cli", COFFER_TEST=TOKEN)
        self.inside = ["nsenter", "-t", str(self.keeper.pid), "-m", "-n", "--"]
        self.base = self.inside + [env.COFFER, "--root", d + "/root", "--state", self.volatile + "/run", "--config", self.config,
                                   *globals_]
        try:
            self.load_image()
        except BaseException:
            self.close()
            raise

    def run_options(self):
        return ["--cgroup-parent", "/" + self.cgroup]

    def state_dirs(self):
        return [self.volatile + "/run/oci", self.volatile + "/run/containers", self.scratch + "/root/containers"]

    def here(self, *argv, rc=0, **kw):
        """A program beside the engine: in its network and mount namespace."""
        return run(self.inside + list(argv), rc, env=self.environ, **kw)

    def monitors(self):
        """Pids of what coffer keeps running."""
        return [p for p, line in leaks.processes(TOKEN).items() if "coffer" in line.partition(" ")[0]]

    def close(self):
        self("rm", "-f", *self.out("ps", "-aq", rc=None).split(), rc=None)
        end(self.keeper)
        self.keeper.stdout.close()
        super().close()


def hex_caps(status):
    """CapEff of a /proc/PID/status text."""
    return int(next(x.split()[1] for x in status.splitlines() if x.startswith("CapEff")), 16)
