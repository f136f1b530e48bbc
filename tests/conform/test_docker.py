# SPDX-License-Identifier: Apache-2.0
"""What only Docker does: bridges by its prestart hook, user namespaces, a shim that dies."""
import json
import os
import signal
import subprocess

import pytest

import libengine
from harness import env, host
from libengine import lacking_capabilities, need, wait_for

HTTPD = ["sh", "-c", "echo served > /www; exec httpd -f -p 80 -h /"]


def fetch(docker, url):
    return docker.in_network(env.BUSYBOX, "wget", "-q", "-O", "-", url, rc=None).stdout


def address(docker, cid):
    return docker.inspect(cid, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")


def test_bridge_and_published_port(docker):
    """The engine moves a veth into the namespace from a hook; the container serves through it."""
    cid = docker.start("-p", "127.0.0.1:8088:80", "box", *HTTPD)
    wait_for("the published port", lambda: fetch(docker, "http://127.0.0.1:8088/www") == "served\n")
    url = "http://%s/www" % address(docker, cid)
    assert docker.sh("wget -q -O - " + url) == "served\n"


def test_network_connected_later(docker):
    docker("network", "create", "later")
    cid = docker.start("--name", "srv", "--network=none", "box", *HTTPD)
    assert docker("exec", cid, "ls", "/sys/class/net").stdout == "lo\n"
    docker("network", "disconnect", "none", cid)
    docker("network", "connect", "later", cid)
    assert docker.sh("wget -q -O - http://srv/www", "--network=later") == "served\n"
    docker("rm", "-f", cid)
    docker("network", "rm", "later")


def test_network_of_container_serves_localhost(docker):
    cid = docker.start("--name", "srv", "box", *HTTPD)
    wait_for("the server", lambda: docker("exec", cid, "wget", "-q", "-O", "-", "http://127.0.0.1/www",
                                          rc=None).stdout == "served\n")
    assert docker.sh("wget -q -O - http://127.0.0.1/www", "--network=container:srv") == "served\n"


def test_exec_privileged(docker):
    lacking_capabilities()
    cid = docker.start("--cap-drop", "ALL", "box", "sleep", "600")
    out = docker("exec", "--privileged", cid, "cat", "/proc/self/status").stdout
    known = (1 << 38) - 1  # to Docker 20.10
    assert libengine.hex_caps(out) & known == host.capabilities() & host.capabilities(which="CapBnd") & known


def test_events(docker):
    begin = docker.out("info", "--format", "{{.SystemTime}}")
    cid = docker.start("box", "sh", "-c", "exit 3")
    docker("wait", cid)
    docker("rm", cid)
    out = docker.out("events", "--since", begin, "--until", docker.out("info", "--format", "{{.SystemTime}}"),
                     "--filter", "container=" + cid, "--format", "{{json .}}")
    events = [json.loads(x) for x in out.splitlines()]
    assert [e["status"] for e in events] == ["create", "start", "die", "destroy"]
    assert events[2]["Actor"]["Attributes"]["exitCode"] == "3"


def test_runtime_is_ours(docker):
    assert docker.out("info", "--format", "{{.DefaultRuntime}}") == "coffer"
    cid = docker.start("box", "sleep", "600")
    states, = docker.state_dirs()
    assert [n for n in os.listdir(states) if n[0] not in ".@"] == [cid]
    listed = json.loads(libengine.run([env.OCI, "--root", states, "list", "--format", "json"]).stdout)
    assert [(c["id"], c["status"], c["pid"]) for c in listed] == [(cid, "running", docker.pid(cid))]
    state = json.loads(libengine.run([env.OCI, "--root", states, "state", cid]).stdout)
    assert state["status"] == "running" and state["bundle"].endswith("/moby/" + cid)


def shim_of(pid):
    with open("/proc/%d/stat" % pid) as f:
        return int(f.read().rpartition(")")[2].split()[1])


def test_shim_killed(docker):
    """With its shim gone the daemon removes the container by the runtime's `delete --force`."""
    cid = docker.start("box", "sh", "-c", "sleep 601 & sleep 602")
    pid = docker.pid(cid)
    os.kill(shim_of(pid), signal.SIGKILL)
    docker.wait_status(cid, "exited")
    wait_for("its processes to end", lambda: not os.path.exists("/proc/%d" % pid))
    assert docker("start", cid, rc=None).returncode == 0


def test_daemon_comes_back(tmp_path):
    """--live-restore: containers outlive the daemon, and the next one finds them."""
    need("dockerd", "docker")
    d = libengine.Docker("--live-restore", "--bridge=none", "--iptables=false")
    try:
        # the daemon's own containerd must outlive it as well, so only the state of the process is compared
        cid = d.start("box", "sleep", "600")
        pid = d.pid(cid)
        with open("/proc/%d/stat" % pid) as f:
            assert "(sleep)" in f.read()
        d("pause", cid)
        d("unpause", cid)
        d("rm", "-f", cid)
        wait_for("its process to end", lambda: not os.path.exists("/proc/%d" % pid))
    finally:
        d.close()


@pytest.fixture(scope="module")
def remapped(tmp_path_factory):
    """A daemon that puts every container into a user namespace (--userns-remap)."""
    need("dockerd", "docker")
    ids = tmp_path_factory.mktemp("subid") / "sub"
    ids.write_text("nobody:300000:65536\n")
    engine = libengine.Docker("--userns-remap=nobody:nogroup", "--bridge=none", "--iptables=false",
                              **{"/etc/subuid": str(ids), "/etc/subgid": str(ids)})
    yield engine
    engine.clear()
    engine.close()


REMAP = [
    ("map", [], "cat /proc/self/uid_map", "         0     300000      65536\n"),
    ("root-inside", [], "id -u; touch /x && stat -c %u /x", "0\n0\n"),
    ("user", ["--user", "1000"], "id -u", "1000\n"),
    ("volume-is-foreign", ["-v", "/etc:/v:ro"], "stat -c %u /v/passwd", "65534\n"),
    ("no-mount", [], "mount -t tmpfs t /mnt 2>/dev/null || echo refused", "refused\n"),
    ("memory", ["--memory", "32m"], "cat /sys/fs/cgroup/" +
     libengine.by_view("memory/memory.limit_in_bytes", "memory.max"), "33554432\n"),
    ("dev", [], "echo x > /dev/null && head -c1 /dev/zero | wc -c", "1\n"),
    ("host-users", ["--userns=host"], "cat /proc/self/uid_map", "         0          0 4294967295\n"),
]


@pytest.mark.parametrize("options,script,expected", [pytest.param(*c[1:], id=c[0]) for c in REMAP])
def test_userns_remap(remapped, options, script, expected):
    assert remapped.sh(script, *options) == expected


def test_userns_remap_exec(remapped):
    cid = remapped.start("box", "sleep", "600")
    assert remapped("exec", cid, "cat", "/proc/self/uid_map").stdout.split() == ["0", "300000", "65536"]
    assert os.stat("/proc/%d" % remapped.pid(cid)).st_uid == 300000
    t = remapped.tty("exec", "-it", cid, "sh", "-c", "stat -c owner=%u $(tty)")
    t.expect("owner=0")
    assert t.code() == 0
    remapped.clear()


def test_private_v2_view(tmp_path):
    """The same daemon where /sys/fs/cgroup is cgroup2 alone."""
    need("dockerd", "docker")
    script = ("umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec \"$@\"")
    if subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", "true"], check=False,
                      capture_output=True).returncode:
        pytest.skip("no cgroup2 mount in a private mount namespace")
    d = libengine.Docker("--bridge=none", "--iptables=false", v2=True)
    try:
        assert d.out("info", "--format", "{{.CgroupVersion}}") == "2"
        assert d.sh("cut -d: -f1,3 /proc/self/cgroup | grep '^0'; grep -c ' cgroup2 ' /proc/mounts") == "0:/\n1\n"
        cid = d.start("box", "sh", "-c", "while :; do sleep 0.05; done")
        d("pause", cid)
        d("unpause", cid)
        assert d("exec", cid, "echo", "x").stdout == "x\n"
        out = d.sh("mknod /tmp/k c 1 11 && (cat < /tmp/k) 2>&1 | grep -o 'not permitted'", "--cap-add", "MKNOD",
                   rc=None)
        assert out == "not permitted\n"
        d("rm", "-f", cid)
    finally:
        d.close()


def test_systemd_driver():
    """Each container in a scope that systemd keeps; limits, update, pause and removal through it."""
    need("dockerd", "docker")
    if not os.path.isdir("/run/systemd/system"):
        pytest.skip("systemd does not run here")
    d = libengine.Docker("--bridge=none", "--iptables=false", systemd=True)
    try:
        assert d.out("info", "--format", "{{.CgroupDriver}}") == "systemd"
        cid = d.start("--memory", "64m", "--pids-limit", "50", "box", "sleep", "600")
        scope = "docker-%s.scope" % cid
        show = lambda: libengine.run(["systemctl", "show", "-p", "Slice,MemoryMax,TasksMax", scope]).stdout.split()
        assert sorted(show()) == ["MemoryMax=67108864", "Slice=coffertests.slice", "TasksMax=50"]
        d("update", "--memory", "48m", "--memory-swap", "48m", cid)
        assert "MemoryMax=50331648" in show()
        assert d("exec", cid, "echo", "in").stdout == "in\n"
        d("pause", cid)
        d("unpause", cid)
        d("rm", "-f", cid)
        wait_for("the scope to end", lambda: libengine.run(["systemctl", "is-active", scope], rc=None).returncode)
    finally:
        d.close()
        libengine.run(["systemctl", "stop", "coffertests.slice"], rc=None)
