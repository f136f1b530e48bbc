# SPDX-License-Identifier: Apache-2.0
"""pause, resume, ps, update, events: verbs on a running container."""
import json
import os
import subprocess
import time

import pytest

from harness import cgroups, leaks, peer
from harness.container import wait_for


def need(runtime, controller):
    if not runtime.view.has(controller):
        pytest.skip("no %s controller in the %s view" % (controller, runtime.view.name))


def setting(c, controller, v1, v2):
    """The value of a cgroup file of the container, as the hierarchy names it."""
    view = c.rt.view
    name = v2 if view.is_v2(controller) else v1
    return cgroups.read(os.path.join(view.path(controller, c.cgroup), name))


# ---- pause, resume ----

@pytest.fixture
def freezer(runtime):
    if not runtime.view.has("freezer") and not runtime.view.unified:
        pytest.skip("no freezer controller in the %s view" % runtime.view.name)


def test_pause_and_resume(ct, freezer):
    c = ct("i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done").up()
    c.wait_output("5\n")
    c.rt.call("pause", c.id).ok()
    assert c.status == "paused"
    time.sleep(0.1)
    before = c.output()
    time.sleep(0.3)
    assert c.output() == before, "it ran while paused"
    c.rt.call("resume", c.id).ok()
    assert c.status == "running"
    wait_for(lambda: c.output() != before, "it to run on")


def test_pause_of_a_paused_container(ct, freezer):
    c = ct(["sleep", "1000"]).up()
    c.rt.call("pause", c.id).ok()
    c.rt.call("pause", c.id).failed("container not running")
    assert c.status == "paused"


def test_resume_of_a_running_container(ct, freezer):
    c = ct(["sleep", "1000"]).up()
    c.rt.call("resume", c.id).failed("container not paused")


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_pause_of_a_stopped_container(ct, freezer, verb):
    c = ct(["true"]).up()
    c.wait_stopped()
    c.rt.call(verb, c.id).failed()


@pytest.mark.parametrize("verb", ["pause", "resume", "ps", "update", "events"])
def test_of_an_unknown_container(runtime, verb):
    runtime.call(verb, "nobody").failed("container does not exist", rc=1)


def test_kill_of_a_paused_container_takes_effect(ct, freezer):
    """runc thaws it after SIGKILL: the signal must not wait for a resume."""
    c = ct(["sleep", "1000"]).up()
    c.rt.call("pause", c.id).ok()
    c.kill("KILL").ok()
    c.wait_stopped()


def test_delete_force_of_a_paused_container(ct, runtime, freezer):
    c = ct(["sleep", "1000"]).up()
    runtime.call("pause", c.id).ok()
    c.delete("--force").ok()
    leaks.assert_none(runtime)


def test_exec_ignore_paused(ct, freezer):
    c = ct(["sleep", "1000"]).up()
    c.rt.call("pause", c.id).ok()
    proc = c.spawn("exec", "--ignore-paused", c.id, "true", stdin=subprocess.DEVNULL)
    time.sleep(0.3)
    assert proc.poll() is None, "it waits frozen with the others"
    c.rt.call("resume", c.id).ok()
    assert proc.wait(10) == 0


# ---- ps ----

@pytest.mark.levels("ns")
def test_ps_table(ct):
    c = ct("sleep 1000 & sleep 1000 & wait").up()
    wait_for(lambda: len(c.rt.call("ps", c.id).ok().lines) == 4, "a heading and three lines")
    lines = c.rt.call("ps", c.id).ok().lines
    assert lines[0].split()[:3] == ["UID", "PID", "PPID"]
    assert str(c.pid) in [line.split()[1] for line in lines[1:]]


@pytest.mark.levels("ns")
def test_ps_json(ct):
    c = ct(["sleep", "1000"]).up()
    assert c.rt.json("ps", "--format", "json", c.id) == [c.pid]
    assert c.rt.json("ps", "-f", "json", c.id) == [c.pid]


@pytest.mark.levels("ns")
def test_ps_passes_options_on(ct):
    c = ct(["sleep", "1000"]).up()
    lines = c.rt.call("ps", c.id, "-e", "-x").ok().lines
    assert "PID" in lines[0] and len(lines) == 2 and str(c.pid) in lines[1].split()


def test_ps_bad_format(ct):
    c = ct(["sleep", "1000"]).up()
    c.rt.call("ps", "--format", "xml", c.id).failed("invalid format option")


# ---- update ----

# What level vm adds to the group's limits for the hypervisor and the keeper; the guest's own groups have the user's.
VM_TASKS, VM_MEMORY = 64, 768 << 20


def pids_of(runtime, limit):
    """What the group's limit is for this one of the user's: other levels add their own processes, a fixed number."""
    own = {"kernel": min(max(os.cpu_count(), 2), 8) + 5, "vm": VM_TASKS}
    return str(limit + own.get(runtime.level, 0))


UPDATES = [("memory", ["--memory", "67108864"], "memory.limit_in_bytes", "memory.max", "67108864"),
           ("memory", ["--memory-reservation", "33554432"], "memory.soft_limit_in_bytes", "memory.low", "33554432"),
           ("pids", ["--pids-limit", "33"], "pids.max", "pids.max", "33"),
           ("cpu", ["--cpu-share", "512"], "cpu.shares", "cpu.weight", "512"),
           ("cpu", ["--cpu-quota", "50000", "--cpu-period", "100000"], "cpu.cfs_quota_us", "cpu.max", "50000"),
           ("cpuset", ["--cpuset-cpus", "0"], "cpuset.cpus", "cpuset.cpus", "0")]


@pytest.mark.parametrize("controller,flags,v1,v2,value", UPDATES, ids=[u[1][0] for u in UPDATES])
def test_update_flag(ct, runtime, controller, flags, v1, v2, value):
    need(runtime, controller)
    value = pids_of(runtime, int(value)) if controller == "pids" else value
    if runtime.level == "vm" and flags[0] == "--memory":
        value = str(int(value) + VM_MEMORY)
    c = ct(["sleep", "1000"]).up()
    if not os.path.exists(os.path.join(runtime.view.path(controller, c.cgroup),
                                       v2 if runtime.view.is_v2(controller) else v1)):
        pytest.skip("kernel has no " + v1)
    runtime.call("update", *flags, c.id).ok()
    got = setting(c, controller, v1, v2)
    if not (runtime.view.is_v2(controller) and v2 == "cpu.weight"):
        assert got.split()[0] == value
    assert c.status == "running"


@pytest.mark.parametrize("how", ["file", "stdin"])
def test_update_from_json(ct, runtime, how):
    need(runtime, "pids")
    c = ct(["sleep", "1000"]).up()
    text = json.dumps({"pids": {"limit": 44}})
    if how == "stdin":
        runtime.call("update", "--resources", "-", c.id, input=text).ok()
    else:
        path = os.path.join(runtime.scratch, "res.json")
        with open(path, "w") as f:
            f.write(text)
        runtime.call("update", "-r", path, c.id).ok()
    assert setting(c, "pids", "pids.max", "pids.max") == pids_of(runtime, 44)


def test_update_leaves_the_rest_alone(ct, runtime):
    need(runtime, "pids")
    need(runtime, "cpu")
    c = ct(["sleep", "1000"])
    c.resources["pids"] = {"limit": 55}
    c.up()
    runtime.call("update", "--cpu-share", "300", c.id).ok()
    assert setting(c, "pids", "pids.max", "pids.max") == pids_of(runtime, 55)


def test_update_keeps_device_rules(ct, runtime):
    """An update that says nothing of devices must not open them (nor close those in use)."""
    need(runtime, "devices")
    need(runtime, "pids")
    c = ct(["sleep", "1000"]).up()
    runtime.call("update", "--pids-limit", "60", c.id).ok()
    r = c.exec("mknod /tmp/kmsg c 1 11; head -c 1 /tmp/kmsg; echo x >/dev/null && echo fine")
    assert "fine" in r.out and "not permitted" in r.err


def test_update_with_nonsense(ct):
    c = ct(["sleep", "1000"]).up()
    c.rt.call("update", "--memory", "much", c.id).failed()
    c.rt.call("update", "--resources", "/no/such/file", c.id).failed()
    c.rt.call("update", "--resources", "-", c.id, input="{").failed()
    assert c.status == "running"


def test_update_of_a_stopped_container(ct, runtime):
    need(runtime, "pids")
    c = ct(["true"]).up()
    c.wait_stopped()
    if peer.NAME == "runc":
        return
    runtime.call("update", "--pids-limit", "60", c.id).failed()


# ---- events ----

def test_events_stats(ct, runtime):
    """The JSON that containerd's shim and cAdvisor read."""
    c = ct(["sleep", "1000"]).up()
    event = runtime.json("events", "--stats", c.id)
    assert event["type"] == "stats" and event["id"] == c.id
    data = event["data"]
    assert {"cpu", "memory", "pids", "blkio", "hugetlb"} <= set(data)
    if runtime.view.has("pids"):
        assert data["pids"]["current"] == 1
    if runtime.view.has("memory"):
        assert data["memory"]["usage"]["usage"] > 0 and data["memory"]["usage"]["limit"] > 0
        assert isinstance(data["memory"]["raw"], dict)
    if runtime.view.has("cpuacct") or (runtime.view.unified and runtime.view.has("cpu")):
        assert data["cpu"]["usage"]["total"] > 0


def test_events_stream_ends_with_the_container(ct, runtime):
    need(runtime, "memory")
    c = ct(["sleep", "1000"]).up()
    proc = c.spawn("events", "--interval", "100ms", c.id, stdout=subprocess.PIPE)
    lines = [json.loads(proc.stdout.readline()) for _ in range(2)]
    assert all(x["type"] == "stats" and x["id"] == c.id for x in lines)
    c.kill("KILL").ok()
    c.wait_stopped()
    c.delete().ok()
    assert proc.wait(20) == 0


@pytest.mark.levels("ns", "kernel")  # a want of memory in the guest is in console.log
def test_events_oom(ct, runtime):
    need(runtime, "memory")
    c = ct("while :; do (guest mem 200); sleep 0.3; done")
    c.resources["memory"] = {"limit": 32 << 20, "swap": 32 << 20}
    c.up()
    proc = c.spawn("events", "--interval", "1h", c.id, stdout=subprocess.PIPE)
    assert json.loads(proc.stdout.readline()) == {"type": "oom", "id": c.id}


def test_events_of_a_stopped_container(ct):
    c = ct(["true"]).up()
    c.wait_stopped()
    c.rt.call("events", "--stats", c.id).failed("container with id %s is not running" % c.id)
