# SPDX-License-Identifier: Apache-2.0
"""What only a full machine shows: systemd's cgroup driver, AppArmor, every controller, every capability.

Runs in the guest of tests/vm/run; elsewhere nothing is collected.
"""
import json
import os
import subprocess

import pytest

from harness import container, env, host
from harness.container import wait_for
from harness.rootless import UID, rootless  # noqa: F401 (a fixture)

if os.environ.get("COFFER_VM") != "1":
    pytest.skip("runs in the guest of tests/vm/run", allow_module_level=True)

MB = 1 << 20


def sh(*argv, rc=0):
    done = subprocess.run(argv, text=True, capture_output=True, check=False, timeout=env.seconds(30))
    assert rc is None or done.returncode == rc, done
    return done.stdout.strip()


@pytest.fixture
def scoped():
    """A runtime with --systemd-cgroup, and a function that makes containers with a scope each."""
    rt = container.Runtime(flags=["--systemd-cgroup"])

    def make(args=("sleep", "600"), parent="system.slice"):
        c = container.Container(rt, args)
        c.linux["cgroupsPath"] = "%s:coffer:%s" % (parent, c.id)
        c.scope = "coffer-%s.scope" % c.id
        return c

    yield make
    rt.close()


def show(unit, *names):
    lines = sh("systemctl", "show", unit, *["--property=" + n for n in names]).splitlines()
    return dict(x.split("=", 1) for x in lines)


def scope_file(c, name):
    path = show(c.scope, "ControlGroup")["ControlGroup"]
    with open("/sys/fs/cgroup%s/%s" % (path, name)) as f:
        return f.read().strip()


def gone(c):
    return show(c.scope, "LoadState", "ActiveState").get("ActiveState") == "inactive"


def test_scope_life(scoped):
    c = scoped().up()
    unit = show(c.scope, "ActiveState", "Slice", "ControlGroup", "Delegate")
    assert unit["ActiveState"] == "active" and unit["Slice"] == "system.slice"
    assert unit["Delegate"] == "yes"
    assert str(c.pid) in scope_file(c, "cgroup.procs").split()
    assert c.exec("true").rc == 0
    c.kill().ok()
    c.wait_stopped()
    c.delete().ok()
    wait_for(lambda: gone(c), "the scope to end")
    assert not os.path.exists("/sys/fs/cgroup/system.slice/" + c.scope)


def test_scope_limits(scoped):
    c = scoped()
    c.resources.update({"memory": {"limit": 64 * MB, "swap": 96 * MB, "reservation": 32 * MB},
                        "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
                        "pids": {"limit": 33}})
    c.up()
    assert [scope_file(c, n) for n in ("memory.max", "memory.swap.max", "memory.low", "cpu.max", "pids.max",
                                       "cpuset.cpus")] == \
        [str(64 * MB), str(32 * MB), str(32 * MB), "50000 100000", "33", "0"]
    unit = show(c.scope, "MemoryMax", "TasksMax", "CPUQuotaPerSecUSec")
    assert unit == {"MemoryMax": str(64 * MB), "TasksMax": "33", "CPUQuotaPerSecUSec": "500ms"}


def test_scope_limits_survive_reload(scoped):
    """systemd writes its own idea of a unit again when it reloads."""
    c = scoped()
    c.resources.update({"memory": {"limit": 64 * MB}, "pids": {"limit": 33}})
    c.up()
    sh("systemctl", "daemon-reload")
    assert scope_file(c, "memory.max") == str(64 * MB) and scope_file(c, "pids.max") == "33"
    c.rt.call("update", "--memory", str(80 * MB), "--pids-limit", "44", c.id).ok()
    sh("systemctl", "daemon-reload")
    assert scope_file(c, "memory.max") == str(80 * MB) and scope_file(c, "pids.max") == "44"


def test_scope_devices(scoped):
    c = scoped(["sh", "-c", "mknod /tmp/k c 1 11 && cat < /tmp/k; echo x > /dev/null && echo ok; sleep 600"])
    c.up()
    sh("systemctl", "daemon-reload")
    out = c.exec("sh", "-c", "head -c1 /dev/zero | wc -c; (: < /tmp/k) 2>&1 | grep -o 'not permitted'").out
    assert out == "1\nnot permitted\n"


def test_scope_pause(scoped):
    c = scoped(["sh", "-c", "while :; do sleep 0.05; done"]).up()
    c.rt.call("pause", c.id).ok()
    assert c.status == "paused" and scope_file(c, "cgroup.freeze") == "1"
    c.rt.call("resume", c.id).ok()
    assert c.status == "running"


def test_scope_in_own_slice(scoped):
    c = scoped(parent="coffertest.slice").up()
    assert show(c.scope, "Slice")["Slice"] == "coffertest.slice"
    c.delete("--force").ok()
    sh("systemctl", "stop", "coffertest.slice", rc=None)


def test_scope_stopped_by_systemd(scoped):
    """The administrator stops the unit: the container is stopped, and delete cleans up."""
    c = scoped().up()
    sh("systemctl", "kill", "--signal=KILL", c.scope)
    c.wait_stopped()
    c.delete().ok()


def test_scope_of_failed_create_ends(scoped):
    c = scoped(["/no/such"])
    assert c.run().rc != 0
    wait_for(lambda: gone(c), "the scope to end")


def test_bad_cgroups_path(scoped):
    c = scoped()
    c.linux["cgroupsPath"] = "/not/three/parts"
    done = c.run().failed()
    assert "slice" in done.message


def test_systemd_properties_by_annotation(scoped):
    c = scoped()
    c.config["annotations"] = {"org.systemd.property.TimeoutStopUSec": "uint64 7000000",
                               "org.systemd.property.CollectMode": "'inactive-or-failed'"}
    c.up()
    assert show(c.scope, "TimeoutStopUSec", "CollectMode") == {"TimeoutStopUSec": "7s",
                                                              "CollectMode": "inactive-or-failed"}


def test_twenty_scopes(scoped):
    made = [scoped().up() for _ in range(20)]
    for c in made:
        c.delete("--force").ok()
    wait_for(lambda: all(gone(c) for c in made), "all scopes to end", 20)


@pytest.fixture
def session(rootless, runtime):
    """An ordinary user's own systemd; the user's commands run in its part of the tree. Gives that part's path."""
    group = "/user.slice/user-%d.slice/user@%d.service" % (UID, UID)
    drop = runtime.as_user["preexec_fn"]

    def enter():
        with open("/sys/fs/cgroup%s/init.scope/cgroup.procs" % group, "w") as f:
            f.write("0")
        drop()

    sh("useradd", "--uid", str(UID), "--no-create-home", "coffer-test")
    try:
        sh("systemctl", "start", "user@%d.service" % UID)
        runtime.flags.append("--systemd-cgroup")
        runtime.as_user["preexec_fn"] = enter
        runtime.as_user["env"]["XDG_RUNTIME_DIR"] = "/run/user/%d" % UID
        yield group
    finally:
        sh("systemctl", "stop", "user-%d.slice" % UID, "user@%d.service" % UID)
        sh("userdel", "coffer-test")


def test_scope_of_an_ordinary_user(rootless, session, runtime):
    """Limits without root: the user's manager makes the scope, in what the host's gave it."""
    c = rootless(["sleep", "600"])
    c.linux["cgroupsPath"] = "user.slice:coffer:" + c.id
    c.linux["resources"] = {"memory": {"limit": 64 * MB}, "pids": {"limit": 33}}
    c.up()
    scope = "/sys/fs/cgroup%s/user.slice/coffer-%s.scope" % (session, c.id)

    def value(name):
        with open(scope + "/" + name) as f:
            return f.read().strip()
    assert value("memory.max") == str(64 * MB) and value("pids.max") == "33"
    assert str(c.pid) in value("cgroup.procs").split()
    assert os.stat(scope).st_uid == UID
    assert c.exec("wc -l < /proc/self/cgroup").ok().out == "1\n"
    c.rt.call("update", "--pids-limit", "44", c.id).ok()
    assert value("pids.max") == "44"
    c.rt.call("pause", c.id).ok()
    assert c.status == "paused"
    c.rt.call("resume", c.id).ok()
    c.delete("--force").ok()
    wait_for(lambda: not os.path.exists(scope), "the scope to end")


PROFILE = """
profile coffer-test flags=(attach_disconnected,mediate_deleted) {
  file, capability, network, signal, umount, ptrace,
  deny /denied/** w,
  deny /proc/sys/** w,
}
"""


def label(pid):
    with open("/proc/%d/attr/current" % pid) as f:
        return f.read().strip()


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    path = tmp_path_factory.mktemp("aa") / "p"
    path.write_text(PROFILE)
    sh("apparmor_parser", "-r", "-K", str(path))
    yield "coffer-test"
    sh("apparmor_parser", "-R", str(path))


def test_apparmor(ct, profile):
    c = ct("cat /proc/self/attr/current; mkdir /denied; echo x > /denied/f || echo refused; echo x > /ok && echo written")
    c.process["apparmorProfile"] = profile
    assert c.run().ok().out == "coffer-test (enforce)\nrefused\nwritten\n"


def test_apparmor_as_the_host_sees_it(ct, profile):
    """The first process waits unconfined for its start, and every process after it is confined: none is forgotten."""
    c = ct("sleep 600 & exec sleep 600")
    c.process["apparmorProfile"] = profile
    c.create().ok()
    assert label(c.pid) == "unconfined"
    c.start().ok()
    pids = wait_for(lambda: len(c.rt.json("ps", "--format", "json", c.id)) == 2 and
                    c.rt.json("ps", "--format", "json", c.id), "two processes")
    assert [label(pid) for pid in pids] == [profile + " (enforce)"] * 2
    with open("/sys/kernel/security/apparmor/profiles") as f:
        assert profile + " (enforce)" in f.read().splitlines()


def test_apparmor_in_exec(ct, profile):
    c = ct(["sleep", "600"])
    c.process["apparmorProfile"] = profile
    c.up()
    assert c.exec("cat", "/proc/self/attr/current").ok().out == "coffer-test (enforce)\n"


def test_apparmor_unknown_profile(ct):
    c = ct(["true"])
    c.process["apparmorProfile"] = "nobody-loaded-this"
    done = c.run().failed()
    assert "apparmor" in done.message.lower()


def test_apparmor_with_no_new_privileges(ct, profile):
    c = ct("cat /proc/self/attr/current; grep NoNewPrivs /proc/self/status")
    c.process.update(apparmorProfile=profile, noNewPrivileges=True)
    assert c.run().ok().out == "coffer-test (enforce)\nNoNewPrivs:\t1\n"


def test_every_capability(ct):
    c = ct(["cat", "/proc/self/status"])
    c.process["capabilities"] = {k: list(host.CAP_BIT) for k in ("bounding", "effective", "permitted")}
    assert int(host.parse_status(c.run().ok().out)["CapEff"], 16) == host.capabilities()


def test_unified_controllers(ct):
    """Limits by the `unified` map, io weights and hugetlb: controllers that a hybrid machine hides."""
    c = ct(["sleep", "600"])
    c.resources["unified"] = {"memory.high": str(48 * MB), "cpu.weight": "77"}
    c.resources["hugepageLimits"] = [{"pageSize": "2MB", "limit": 4 * MB}]
    c.up()
    base = "/sys/fs/cgroup" + c.cgroup
    got = {n: open("%s/%s" % (base, n)).read().strip() for n in ("memory.high", "cpu.weight", "hugetlb.2MB.max")}
    assert got == {"memory.high": str(48 * MB), "cpu.weight": "77", "hugetlb.2MB.max": str(4 * MB)}
    stats = json.loads(c.rt.call("events", "--stats", c.id).ok().out)
    assert stats["data"]["memory"]["usage"]["usage"] > 0 and stats["data"]["pids"]["current"] == 1


def test_raised_limits(ct):
    """With CAP_SYS_RESOURCE hard limits can be raised."""
    c = ct("ulimit -Hn")
    c.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 1048576, "soft": 1024}]
    assert c.run().ok().out == "1048576\n"
