# SPDX-License-Identifier: Apache-2.0
"""linux.resources and linux.cgroupsPath, as far as the machine's hierarchies show them."""
import os
import time

import pytest

from harness import cgroups, env, host, leaks, peer


@pytest.fixture
def need(runtime):
    def check(controller):
        if not runtime.view.has(controller):
            pytest.skip("no %s controller in the %s view" % (controller, runtime.view.name))
        return controller
    return check


def value(c, controller, v1, v2=None):
    view = c.rt.view
    return cgroups.read(os.path.join(view.path(controller, c.cgroup), (v2 or v1) if view.is_v2(controller) else v1))


# ---- where the container is ----

@pytest.mark.levels("ns")
def test_cgroups_path(ct, runtime):
    """An absolute cgroupsPath is below each hierarchy's root; init is there and nothing of the runtime."""
    c = ct(["sleep", "1000"]).up()
    if not runtime.view.hierarchies():
        pytest.skip("no cgroups")
    assert runtime.view.pids(c.cgroup) == {c.pid}
    with open("/proc/%d/cgroup" % c.pid) as f:
        paths = [line.rstrip().split(":", 2)[1:] for line in f]
    for names, path in paths:
        if names and any(n in runtime.view.controllers for n in names.split(",")):
            assert path == c.cgroup, (names, path)


def test_default_cgroups_path_holds_the_id(ct, runtime):
    c = ct(["sleep", "1000"])
    del c.linux["cgroupsPath"]
    c.up()
    with open("/proc/%d/cgroup" % c.pid) as f:
        assert c.id in f.read()
    c.delete("--force").ok()
    leaks.assert_none(runtime)


def test_relative_cgroups_path(ct, runtime):
    c = ct(["sleep", "1000"])
    c.linux["cgroupsPath"] = "coffer-rel-%s/%s" % (runtime.token, c.id)
    c.up()
    try:
        with open("/proc/%d/cgroup" % c.pid) as f:
            assert c.linux["cgroupsPath"] in f.read()
        c.delete("--force").ok()
    finally:
        for root in runtime.view.hierarchies():
            for base, dirs, _ in os.walk(root):
                if "coffer-rel-" + runtime.token in dirs:
                    runtime.view.remove(os.path.join(base, "coffer-rel-" + runtime.token)[len(root):])
                if base.count("/") > root.count("/") + 3:
                    dirs.clear()


def test_cgroup_is_gone_after_delete(ct, runtime):
    c = ct(["true"]).up()
    c.wait_stopped()
    c.delete().ok()
    assert runtime.view.children(runtime.cgroup) == []


def test_cgroup_made_inside_is_removed_too(ct, runtime):
    """Sub-cgroups of the container (an init system's, a nested runtime's) go with it."""
    c = ct(["sleep", "1000"]).up()
    for root in runtime.view.hierarchies():
        path = os.path.join(root, c.cgroup.lstrip("/"))
        if os.path.isdir(path):
            os.makedirs(path + "/sub/deep")
    c.delete("--force").ok()
    leaks.assert_none(runtime)


# ---- memory ----

def test_memory_limit_is_set(ct, runtime, need):
    need("memory")
    c = ct(["sleep", "1000"])
    c.resources["memory"] = {"limit": 64 << 20, "reservation": 32 << 20}
    c.up()
    if runtime.level == "vm":  # outside the machine's own needs come on top: the limit is the guest's group's
        inside = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.low"
        assert c.exec("sh", "-c", inside).ok().lines == [str(64 << 20), str(32 << 20)]
        return
    assert value(c, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert value(c, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 << 20)


def test_memory_limit_kills(ct, need):
    """OOM inside: the process that asked for too much dies by SIGKILL, the container's others live."""
    need("memory")
    c = ct("guest mem 200; echo rc=$?")
    c.resources["memory"] = {"limit": 32 << 20, "swap": 32 << 20}
    assert c.run().ok().lines[-1] == "rc=137"


def test_memory_limit_of_init_gives_137(ct, need):
    need("memory")
    c = ct(["guest", "mem", "200"])
    c.resources["memory"] = {"limit": 32 << 20, "swap": 32 << 20}
    assert c.run().rc == 137


def test_memory_below_the_limit_works(ct, need):
    need("memory")
    c = ct(["guest", "mem", "20"])
    c.resources["memory"] = {"limit": 64 << 20}
    assert c.run().ok().out == "touched 20\n"


def test_memory_limit_holds_for_exec(ct, need):
    need("memory")
    c = ct(["sleep", "1000"])
    c.resources["memory"] = {"limit": 32 << 20, "swap": 32 << 20}
    c.up()
    assert c.exec("guest", "mem", "200").rc == 137
    assert c.status == "running"


# ---- pids ----

def test_pids_limit(ct, need):
    need("pids")
    c = ct(["guest", "storm", "50"])
    c.resources["pids"] = {"limit": 20}
    r = c.run().failed()
    assert r.out.startswith("forked 19 ")


def test_pids_unlimited(ct, need):
    need("pids")
    c = ct(["sleep", "1000"])
    c.resources["pids"] = {"limit": -1}
    c.up()
    assert value(c, "pids", "pids.max") == "max"


def test_pids_limit_hides_nothing_of_the_start(ct, need):
    """A limit of one must still let the container start."""
    need("pids")
    c = ct(["echo", "alone"])
    c.resources["pids"] = {"limit": 1}
    if peer.NAME == "runc":
        return  # its init has several threads
    assert c.run().ok().out == "alone\n"


# ---- cpu ----

CPU = [("shares", {"shares": 512}, "cpu.shares", "512"),
       ("quota", {"quota": 20000, "period": 100000}, "cpu.cfs_quota_us", "20000"),
       ("period", {"quota": 20000, "period": 50000}, "cpu.cfs_period_us", "50000"),
       ("idle", {"idle": 1}, "cpu.idle", "1"),
       ("burst", {"quota": 20000, "period": 100000, "burst": 10000}, "cpu.cfs_burst_us", "10000")]


@pytest.mark.parametrize("name,cpu,v1,shown", CPU, ids=[x[0] for x in CPU])
def test_cpu(ct, need, name, cpu, v1, shown):
    need("cpu")
    c = ct(["sleep", "1000"])
    if c.rt.view.is_v2("cpu"):
        pytest.skip("v1 names")
    if name in ("idle", "burst"):
        peer.lacks("runc", "1.1 has no cpu.%s" % name)
    if not os.path.exists(os.path.join(c.rt.view.controllers["cpu"], v1)) and name != "idle":
        roots = c.rt.view.controllers["cpu"]
        probe = os.path.join(roots, c.rt.cgroup.lstrip("/"))
        os.makedirs(probe, exist_ok=True)
        if not os.path.exists(os.path.join(probe, v1)):
            pytest.skip("kernel has no " + v1)
    c.resources["cpu"] = cpu
    c.up()
    assert value(c, "cpu", v1) == shown


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_cpu_quota_slows_down(ct, need):
    need("cpu")
    c = ct("i=0; while [ $i -lt 1000000000 ]; do i=$((i+1)); done")
    c.resources["cpu"] = {"quota": 10000, "period": 100000}
    pid = c.up().pid
    # A starved machine sleeps longer than it was asked to, and the kernel needs some periods to get an overdraft back.
    begin, before = time.monotonic(), cpu_seconds(pid)
    time.sleep(env.seconds(1.5))
    used, elapsed = cpu_seconds(pid) - before, time.monotonic() - begin
    assert used < 0.4 * elapsed, "used %.2f s of %.2f s at a quota of a tenth" % (used, elapsed)


def test_cpuset(ct, need):
    need("cpuset")
    c = ct("grep Cpus_allowed_list /proc/self/status")
    c.resources["cpu"] = {"cpus": "0", "mems": "0"}
    assert c.run().ok().out.split()[1] == "0"


def test_blkio_weight(ct, need):
    need("blkio")
    c = ct(["sleep", "1000"])
    if not any(n.endswith("weight") for n in os.listdir(c.rt.view.controllers["blkio"])):
        pytest.skip("kernel has no blkio weight")
    c.resources["blockIO"] = {"weight": 300}
    c.up()
    assert "300" in (value(c, "blkio", "blkio.bfq.weight") or value(c, "blkio", "blkio.weight"))


def test_blkio_throttle(ct, need):
    need("blkio")
    c = ct(["sleep", "1000"])
    device = os.stat(c.rootfs).st_dev
    major, minor = os.major(device), os.minor(device)
    if not os.path.exists("/sys/dev/block/%d:%d" % (major, minor)):
        pytest.skip("root is not on a block device")
    c.resources["blockIO"] = {"throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": 1 << 20}]}
    r = c.run_detached()
    if r.rc and "no such device" in r.message.lower():
        pytest.skip("device takes no throttle")
    r.ok()
    assert value(c, "blkio", "blkio.throttle.read_bps_device") == "%d:%d %d" % (major, minor, 1 << 20)


def test_hugetlb(ct, need):
    need("hugetlb")
    peer.lacks("runc", "hybrid: v1 only")
    c = ct(["sleep", "1000"])
    c.resources["hugepageLimits"] = [{"pageSize": "2MB", "limit": 2 << 20}]
    c.up()
    assert value(c, "hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max") == str(2 << 20)


# ---- limits that cannot be ----

@pytest.mark.parametrize("resources", [{"memory": {"limit": 1024}}, {"cpu": {"quota": 5}},
                                       {"cpu": {"cpus": "4000-4010"}}], ids=["memory", "quota", "cpus"])
def test_impossible_limits_fail_and_leave_nothing(ct, runtime, need, resources):
    need({"memory": "memory"}.get(next(iter(resources)), "cpuset" if "cpus" in str(resources) else "cpu"))
    c = ct(["sleep", "1"])
    c.resources.update(resources)
    c.run().failed()
    leaks.assert_none(runtime)


def test_a_controller_that_is_not_there_is_named(ct, runtime):
    """What the machine cannot limit is refused, never silently ignored."""
    if runtime.view.has("memory"):
        pytest.skip("memory controller is there")
    peer.lacks("*", "ignores it")
    c = ct(["true"])
    c.resources["memory"] = {"limit": 64 << 20}
    assert "memory" in c.run().failed().message


# ---- the view of cgroup2 ----

@pytest.fixture
def v2(v2_runtime):
    if v2_runtime.view.name != "v2":
        pytest.skip("no private cgroup2 view")
    return v2_runtime


@pytest.mark.levels("ns")
def test_v2_view_runs(v2):
    peer.lacks("crun", "1.8 wants what this machine cannot give")
    c = v2.container("cat /proc/self/cgroup; echo; grep ' /sys/fs/cgroup ' /proc/self/mountinfo")
    r = c.run().ok()
    assert "0::/" in r.lines and "cgroup2" in r.out and " ro," in r.out


@pytest.mark.levels("ns")
def test_v2_view_life(v2):
    c = v2.container(["sleep", "1000"]).up()
    assert v2.view.pids(c.cgroup) == {c.pid}
    assert c.exec("echo", "inside").ok().out == "inside\n"
    v2.call("pause", c.id).ok()
    assert c.status == "paused"
    v2.call("resume", c.id).ok()
    c.kill("KILL").ok()
    c.wait_stopped()
    c.delete().ok()
    leaks.assert_none(v2)


def test_v2_view_devices(v2):
    """Device rules are an eBPF program there."""
    c = v2.container("mknod /tmp/kmsg c 1 11; head -c 1 /tmp/kmsg; echo x >/dev/null && echo fine")
    r = c.run()
    assert "fine" in r.out and "not permitted" in r.err


@pytest.mark.levels("ns", "kernel")  # of the host's pid namespace, which a guest cannot share
def test_v2_view_kills_with_the_cgroup(v2):
    """Without a pid namespace all processes end through cgroup.kill or one by one."""
    peer.lacks("runc", "1.1 leaves the cgroup")
    from harness import bundle
    c = v2.container("sleep 1000 & sleep 1000 & wait")
    bundle.without_namespace(c.config, "pid")
    c.up()
    c.delete("--force").ok()
    leaks.assert_none(v2)


def test_machine_has_a_cgroup_hierarchy():
    assert cgroups.view().hierarchies() and host.has_cap("CAP_SYS_ADMIN")
