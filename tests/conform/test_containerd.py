# SPDX-License-Identifier: Apache-2.0
"""containerd and its command `ctr`, with the runtime given by --runc-binary."""
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time

import pytest

import libengine
from harness import bundle, env, host
from libengine import lacking_capabilities, need, run, wait_for

IMAGE = "docker.io/library/box:latest"
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "")
CONFIG = """version = 2
root = "{top}/root"
state = "{top}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{top}/s"
[ttrpc]
address = "{top}/t"
"""


class Containerd:
    def __init__(self):
        self.top = top = tempfile.mkdtemp(prefix=libengine.TOKEN + "-")
        os.chmod(top, 0o755)
        self.cgroup = libengine.TOKEN + "-ctr"
        with open(top + "/config.toml", "w") as f:
            f.write(CONFIG.format(top=top))
        self.log = open(top + "/log", "w")
        self.daemon = subprocess.Popen(["unshare", "-m", "--propagation", "private", "containerd", "--config",
                                        top + "/config.toml"], stdout=self.log, stderr=self.log)
        self.base = ["ctr", "--address", top + "/s"]
        self.names = 0
        self.binary = env.OCI
        wait_for("containerd to answer", lambda: self("version", rc=None).returncode == 0, 30)
        self("image", "import", self.archive())

    def archive(self):
        """A docker-archive of busybox, for `ctr image import`."""
        top = self.top + "/image"
        root = bundle.store().rootfs(top + "/rootfs")
        run(["tar", "-C", root, "-cf", top + "/layer.tar", "."])
        with open(top + "/layer.tar", "rb") as f:
            diff_id = "sha256:" + hashlib.sha256(f.read()).hexdigest()
        for name, value in (("config.json", {"architecture": ARCH, "os": "linux", "config": {"Env": [bundle.PATH]},
                                             "rootfs": {"type": "layers", "diff_ids": [diff_id]}}),
                            ("manifest.json", [{"Config": "config.json", "RepoTags": [IMAGE],
                                                "Layers": ["layer.tar"]}])):
            with open("%s/%s" % (top, name), "w") as f:
                json.dump(value, f)
        run(["tar", "-C", top, "-cf", self.top + "/image.tar", "config.json", "manifest.json", "layer.tar"])
        shutil.rmtree(top)
        return self.top + "/image.tar"

    def __call__(self, *args, **kw):
        return run(self.base + list(args), **kw)

    def ctr_run(self, *options_and_argv, options=(), **kw):
        """`ctr run` the container's name is returned with the result."""
        self.names += 1
        name = "c%d" % self.names
        done = self("run", "--runc-binary", self.binary, "--runc-root", self.top + "/runc",
                    "--cgroup", "/%s/%s" % (self.cgroup, name), *options, IMAGE, name,
                    *options_and_argv, **kw)
        return name, done

    def sh(self, script, *options, **kw):
        return self.ctr_run("sh", "-c", script, options=["--rm", *options], **kw)[1].stdout

    def start(self, *argv, options=()):
        return self.ctr_run(*argv, options=["-d", "--null-io", *options])[0]

    def status(self, name):
        rows = (line.split() for line in self("task", "ls").stdout.splitlines()[1:])
        return next((r[2] for r in rows if r[0] == name), "NONE")

    def pid(self, name):
        rows = (line.split() for line in self("task", "ls").stdout.splitlines()[1:])
        return next(int(r[1]) for r in rows if r[0] == name)

    def state(self, name):
        return run([env.OCI, "--root", self.top + "/runc/default", "state", name], rc=None)

    def clear(self):
        for name in self("container", "ls", "-q").stdout.split():
            self("task", "rm", "-f", name, rc=None)
            self("container", "rm", name, rc=None)

    def close(self):
        self.clear()
        libengine.end(self.daemon)
        self.log.close()
        libengine.remove_cgroups(self.cgroup)
        shutil.rmtree(self.top, ignore_errors=True)


@pytest.fixture(scope="module")
def daemon():
    need("containerd", "ctr")
    c = Containerd()
    yield c
    c.close()


@pytest.fixture
def ctr(daemon):
    yield daemon
    daemon.clear()
    left = [p for p in libengine.cgroup_dirs(daemon.cgroup) if os.path.basename(p) != daemon.cgroup
            and (env.IS_COFFER or "/unified/" not in p)]
    states = daemon.top + "/runc/default"
    left += [n for n in os.listdir(states) if n[0] not in ".@"] if os.path.isdir(states) else []
    assert not left


RUN = [
    ("plain", [], "echo hi; echo $$", "hi\n1\n"),
    ("env", ["--env", "A=b c"], "echo $A", "b c\n"),
    ("cwd", ["--cwd", "/tmp"], "pwd", "/tmp\n"),
    ("read-only", ["--read-only"], "touch /x 2>/dev/null || echo refused", "refused\n"),
    ("no-new-privs", [], "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n"),
    ("new-privs", ["--allow-new-privs"], "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0\n"),
    ("seccomp", ["--seccomp"], "grep ^Seccomp: /proc/self/status", "Seccomp:\t2\n"),
    ("no-seccomp", [], "grep ^Seccomp: /proc/self/status", "Seccomp:\t0\n"),
    ("net-host", ["--net-host"], "readlink /proc/self/ns/net", os.readlink("/proc/self/ns/net") + "\n"),
    ("uid-map", ["--uidmap", "0:400000:1000", "--gidmap", "0:400000:1000"], "cat /proc/self/uid_map",
     "         0     400000       1000\n"),
    ("mount", ["--mount", "type=bind,src=/etc,dst=/mnt,options=rbind:ro"],
     "test -e /mnt/hostname && ! touch /mnt/x 2>/dev/null && echo ok", "ok\n"),
    ("device", ["--device", "/dev/kmsg"], "test -c /dev/kmsg && echo ok", "ok\n"),
    ("no-pivot", ["--no-pivot"], "echo moved", "moved\n"),
    ("cap-drop", ["--cap-drop", "CAP_CHOWN"], "chown 5 /tmp 2>/dev/null || echo refused", "refused\n"),
]


@pytest.mark.parametrize("options,script,expected", [pytest.param(*c[1:], id=c[0]) for c in RUN])
def test_run(ctr, options, script, expected):
    assert ctr.sh(script, *options) == expected


@pytest.mark.parametrize("code", [0, 3, 255])
def test_exit_code(ctr, code):
    ctr.sh("exit %d" % code, rc=code)


def test_privileged(ctr):
    lacking_capabilities()
    out = ctr.sh("cat /proc/self/status", "--privileged")
    assert libengine.hex_caps(out) == host.capabilities() & host.capabilities(which="CapBnd")


def test_joined_namespace(ctr):
    a = ctr.start("sleep", "600")
    path = "/proc/%d/ns/net" % ctr.pid(a)
    assert ctr.sh("readlink /proc/self/ns/net", "--with-ns", "network:" + path).strip() == os.readlink(path)


def test_missing_command(ctr):
    name, done = ctr.ctr_run("nosuch", options=["--rm"], rc=None)
    assert done.returncode != 0 and 'exec: "nosuch": executable file not found in $PATH' in done.stderr
    assert "does not exist" in ctr.state(name).stderr


def test_exec(ctr):
    a = ctr.start("sleep", "600")
    done = ctr("task", "exec", "--exec-id", "e1", "--cwd", "/tmp", a, "sh", "-c", "pwd; ps | grep -c '[s]leep 600'")
    assert done.stdout == "/tmp\n1\n"
    ctr("task", "exec", "--exec-id", "e2", a, "sh", "-c", "exit 6", rc=6)
    ctr("task", "exec", "--exec-id", "e3", "--user", "1000:1000", a, "sh", "-c", "exit $(id -u | cut -c1-2)", rc=10)


def test_exec_tty(ctr):
    a = ctr.start("sleep", "600")
    t = libengine.Tty(ctr.base + ["task", "exec", "-t", "--exec-id", "t1", a, "sh"], os.environ, rows=27, cols=91)
    try:
        t.expect("/ # ")
        t.send("sleep 0.3; stty size; exit 5\r")
        t.expect("27 91")
        assert t.code() == 5
    finally:
        t.close()


def test_run_tty(ctr):
    t = libengine.Tty(ctr.base + ["run", "-t", "--rm", "--runc-binary", env.OCI, "--runc-root", ctr.top + "/runc",
                                  "--cgroup", "/%s/tt" % ctr.cgroup, IMAGE, "tt", "sh"], os.environ)
    try:
        t.expect("/ # ")
        t.send("tty; exit 9\r")
        t.expect("/dev/")
        assert t.code() == 9
    finally:
        t.close()


def test_pause_and_resume(ctr):
    a = ctr.start("sh", "-c", "while :; do sleep 0.05; done")
    ctr("task", "pause", a)
    assert ctr.status(a) == "PAUSED"
    assert '"status": "paused"' in ctr.state(a).stdout
    ctr("task", "resume", a)
    assert ctr.status(a) == "RUNNING"


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_kill_and_delete(ctr, signal):
    a = ctr.start("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
    pid = ctr.pid(a)
    time.sleep(0.2)
    ctr("task", "kill", "-s", signal, a)
    wait_for("it to stop", lambda: ctr.status(a) == "STOPPED")
    ctr("task", "delete", a, rc=None)
    assert ctr.status(a) == "NONE" and not os.path.exists("/proc/%d" % pid)
    assert "does not exist" in ctr.state(a).stderr


def test_kill_all(ctr):
    """--all signals every process of the container."""
    a = ctr.start("sh", "-c", "sleep 601 & sleep 602 & wait; wait; sleep 600")
    wait_for("three", lambda: len(ctr("task", "ps", a).stdout.splitlines()) == 4)
    ctr("task", "kill", "--all", "-s", "SIGKILL", a)
    wait_for("it to stop", lambda: ctr.status(a) == "STOPPED")


def test_ps_and_metrics(ctr):
    a = ctr.start("sleep", "600", options=["--memory-limit", "67108864"])
    assert str(ctr.pid(a)) in ctr("task", "ps", a).stdout
    metrics = ctr("task", "metrics", a).stdout
    fields = dict(line.split()[:2] for line in metrics.splitlines()[3:] if len(line.split()) == 2)
    assert int(fields.get("memory.usage_in_bytes", fields.get("memory.usage", 0))) > 0, metrics
    assert int(fields.get("pids.current", 0)) == 1, metrics


def test_many(ctr):
    names = [ctr.start("sleep", "600") for _ in range(15)]
    assert all(ctr.status(n) == "RUNNING" for n in names)
    for n in names:
        ctr("task", "rm", "-f", n, rc=None)
    assert all(ctr.status(n) == "NONE" for n in names)


def test_shim_killed(ctr):
    a = ctr.start("sleep", "600")
    pid = ctr.pid(a)
    with open("/proc/%d/stat" % pid) as f:
        shim = int(f.read().rpartition(")")[2].split()[1])
    os.kill(shim, 9)
    wait_for("its process to end", lambda: not os.path.exists("/proc/%d" % pid))
    wait_for("its state to go", lambda: "does not exist" in ctr.state(a).stderr)


def need_criu():
    need("criu")
    if subprocess.run(["criu", "check"], capture_output=True, check=False).returncode:
        pytest.skip("criu does not work on this kernel")


def test_checkpoint_and_restore(ctr):
    """A counter on a tmpfs of the container goes on from where it was stopped."""
    need_criu()
    script = "i=0; while :; do i=$((i+1)); echo $i > /dev/shm/n; usleep 20000; done"
    count = lambda name: int(ctr("task", "exec", "--exec-id", "n%d" % time.monotonic_ns(), name, "cat",
                                 "/dev/shm/n").stdout or 0)
    a = ctr.start("sh", "-c", script)
    wait_for("it to count", lambda: count(a) > 20)
    ctr("container", "checkpoint", "--task", "--image", "--rw", a, "local/point:1")
    before = count(a)
    ctr("task", "kill", "-s", "SIGKILL", a)
    wait_for("it to stop", lambda: ctr.status(a) == "STOPPED")
    ctr("task", "rm", a, rc=None)
    ctr("container", "rm", a)
    restored = subprocess.Popen(ctr.base + ["container", "restore", "--live", "--rw", a, "local/point:1"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for("it to run again", lambda: ctr.status(a) == "RUNNING" or restored.poll())
        assert count(a) >= before // 2
        first = count(a)
        wait_for("it to go on", lambda: count(a) > first)
    finally:
        ctr("task", "kill", "-s", "SIGKILL", a, rc=None)
        libengine.end(restored)


def test_checkpoint_without_end(ctr, tmp_path):
    need_criu()
    a = ctr.start("sleep", "600")
    ctr("task", "checkpoint", "--image-path", str(tmp_path / "img"), a)
    assert ctr.status(a) == "RUNNING"
