# SPDX-License-Identifier: Apache-2.0
"""create, start, state, delete: the life of a container (specification, runtime.md "Lifecycle")."""
import json
import os
import re
import stat
import time

import pytest

from harness import leaks, peer
from harness.container import Container, wait_for


def test_create_start_stop_delete(ct, runtime):
    c = ct("echo hello; sleep 100")
    c.create().ok()
    assert c.status == "created"
    time.sleep(0.2)
    assert c.output() == "", "the user's program must not run before start"
    c.start().ok()
    c.wait_output("hello\n")
    assert c.status == "running"
    c.kill("KILL").ok()
    c.wait_stopped()
    c.delete().ok()
    runtime.call("state", c.id).failed("container does not exist")
    leaks.assert_none(runtime)


def test_created_container_has_its_namespaces_but_not_its_program(ct):
    c = ct(["sleep", "100"])
    c.create().ok()
    mine, its = leaks.namespace_ids(), leaks.namespace_ids(c.pid)
    assert all(mine[n] != its[n] for n in ("mnt", "net", "uts", "pid", "ipc"))
    assert mine["user"] == its["user"]


def test_a_changed_config_after_create_has_no_effect(ct):
    """runtime.md: changes of config.json after create do not reach the container."""
    c = ct("echo first")
    c.create().ok()
    c.config["process"]["args"] = ["sh", "-c", "echo second"]
    c.write_config()
    c.start().ok()
    c.wait_output("\n")
    assert c.output() == "first\n"


# ---- state ----

def test_state_json(ct):
    """runtime.md "State": ociVersion, id, status, pid, bundle, annotations; runc adds rootfs, created, owner."""
    c = ct(["sleep", "100"])
    c.config["annotations"] = {"org.example.key": "value", "empty": ""}
    c.up()
    s = c.state()
    assert s["id"] == c.id and s["status"] == "running" and s["bundle"] == c.bundle
    assert re.match(r"1\.\d+\.\d+", s["ociVersion"])
    assert s["annotations"] == {"org.example.key": "value", "empty": ""}
    assert s["rootfs"] == c.rootfs
    assert s["owner"] == ""
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", s["created"])
    assert os.path.exists("/proc/%d" % s["pid"])


def test_state_of_a_stopped_container_has_pid_zero(ct):
    c = ct(["true"]).up()
    c.wait_stopped()
    s = c.state()
    assert (s["status"], s["pid"]) == ("stopped", 0)


def test_state_when_init_was_killed_behind_the_runtimes_back(ct):
    c = ct(["sleep", "100"]).up()
    os.kill(c.pid, 9)
    c.wait_stopped()
    c.delete().ok()


def test_state_is_private_to_root(ct, runtime):
    c = ct(["sleep", "100"]).up()
    mode = stat.S_IMODE(os.stat(os.path.join(runtime.root, c.id)).st_mode)
    assert mode & 0o066 == 0, "state directory has mode %o" % mode


# ---- start ----

def test_start_twice(ct):
    c = ct(["sleep", "100"]).up()
    c.start().failed("cannot start an already running container")


def test_start_of_a_stopped_container(ct):
    c = ct(["true"]).up()
    c.wait_stopped()
    c.start().failed("cannot start a container that has stopped")


def test_start_of_an_unknown_container(runtime):
    runtime.call("start", "nobody").failed("container does not exist", rc=1)


def test_start_after_init_was_killed(ct):
    c = ct(["true"])
    c.create().ok()
    c.kill("KILL").ok()
    c.wait_stopped()
    c.start().failed()


# ---- delete ----

def test_delete_of_a_running_container_is_refused(ct):
    c = ct(["sleep", "100"]).up()
    c.delete().failed("cannot delete container %s that is not stopped: running" % c.id)
    assert c.status == "running"


def test_delete_force_of_a_running_container(ct, runtime):
    c = ct(["sleep", "100"]).up()
    c.delete("--force").ok()
    leaks.assert_none(runtime)


def test_delete_of_a_created_container(ct, runtime):
    """runc kills an init that waits for start; no --force needed."""
    c = ct(["sleep", "100"])
    c.create().ok()
    c.delete().ok()
    leaks.assert_none(runtime)


@pytest.mark.parametrize("flags,rc", [((), 1), (("--force",), 0), (("-f",), 0)])
def test_delete_of_an_unknown_container(runtime, flags, rc):
    """With --force it is no error (engines clean up twice)."""
    r = runtime.call("delete", *flags, "nobody")
    assert r.rc == rc
    if rc:
        r.failed("container does not exist")


def test_delete_twice(ct):
    c = ct(["true"]).up()
    c.wait_stopped()
    c.delete().ok()
    c.delete().failed("container does not exist", rc=1)


@pytest.mark.levels("ns", "kernel")  # of the host's pid namespace, which a guest cannot share
def test_delete_force_ends_leftover_processes(ct, runtime):
    """Without a pid namespace children outlive init: delete --force ends what is in the cgroup."""
    from harness import bundle
    peer.lacks("runc", "1.1 leaves the children of a stopped container")
    c = ct("sleep 100 & exit 0")
    bundle.without_namespace(c.config, "pid")
    c.up()
    c.wait_stopped()
    c.delete("--force").ok()
    leaks.assert_none(runtime)


def test_an_id_can_be_used_again_after_delete(ct, runtime):
    for _ in range(3):
        c = Container(runtime, ["true"], id=runtime.token + "-again")
        c.up()
        c.wait_stopped()
        c.delete().ok()


# ---- create and run flags ----

def test_pid_file(ct, runtime):
    """--pid-file holds init's pid in the caller's pid namespace, no newline."""
    c = ct(["sleep", "100"])
    path = os.path.join(runtime.scratch, "pid")
    c.run_detached("--pid-file", path).ok()
    with open(path) as f:
        assert f.read() == str(c.pid)


def test_relative_bundle_and_pid_file(ct, runtime):
    c = ct(["sleep", "100"])
    c.write_config()
    runtime.call("create", "--pid-file", "the.pid", c.id, cwd=c.bundle, stdout=None, stderr=None).ok()
    assert c.state()["bundle"] == c.bundle
    with open(os.path.join(c.bundle, "the.pid")) as f:
        assert int(f.read()) == c.pid


def test_run_detached_returns_while_the_container_runs(ct):
    c = ct("sleep 100")
    began = time.monotonic()
    c.up()
    assert time.monotonic() - began < 10
    assert c.status == "running"


def test_detached_init_is_not_a_child_of_the_runtime(ct):
    """Nothing of the runtime stays: init's parent is not the runtime's program."""
    c = ct(["sleep", "100"]).up()
    with open("/proc/%d/stat" % c.pid) as f:
        parent = int(f.read().rpartition(")")[2].split()[1])
    with open("/proc/%d/cmdline" % parent) as f:
        assert c.rt.root not in f.read()
    assert [p for p in leaks.processes(c.rt.token).values() if c.rt.root in p] == []


@pytest.mark.parametrize("value", ["x", "A-b_c.9+", "a" * 100])
def test_ids_that_are_allowed(runtime, value):
    c = Container(runtime, ["true"], id=value if len(value) > 1 else runtime.token)
    c.run().ok()


@pytest.mark.parametrize("value", ["a/b", "../x", "..", ".", "a b", "", "a\nb", "é"])
def test_ids_that_are_not(runtime, value):
    c = Container(runtime, ["true"], id=value)
    c.config["linux"]["cgroupsPath"] = runtime.cgroup + "/badid"
    c.run().failed()
    runtime.containers.remove(c)
    assert leaks.settled(runtime) == []


def test_an_id_that_exists(ct, runtime):
    c = ct(["sleep", "100"]).up()
    other = Container(runtime, ["true"], id=c.id)
    other.run().failed("container with given ID already exists")
    assert c.status == "running", "the first one is untouched"


# ---- list ----

def test_list_json(ct, runtime):
    a, b = ct(["sleep", "100"]), ct(["true"])
    a.up()
    b.up()
    b.wait_stopped()
    rows = {r["id"]: r for r in runtime.json("list", "--format", "json")}
    assert set(rows) == {a.id, b.id}
    row = rows[a.id]
    assert row["status"] == "running" and row["bundle"] == a.bundle and row["pid"] == a.pid
    assert row["owner"] == "root" and row["rootfs"] == a.rootfs
    assert rows[b.id]["status"] == "stopped" and rows[b.id]["pid"] == 0


def test_list_table(ct, runtime):
    c = ct(["sleep", "100"]).up()
    lines = runtime.call("list").ok().lines
    assert lines[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    row = lines[1].split()
    assert row[:4] == [c.id, str(c.pid), "running", c.bundle] and row[5] == "root"


def test_list_quiet(ct, runtime):
    c = ct(["sleep", "100"]).up()
    assert runtime.call("list", "-q").ok().out == c.id + "\n"


def test_list_of_nothing(runtime):
    os.mkdir(runtime.root)
    assert runtime.call("list", "-q").ok().out == ""
    assert json.loads(runtime.call("list", "--format", "json").ok().out) in (None, [])


def test_list_bad_format(runtime):
    runtime.call("list", "--format", "xml").failed("invalid format option")


def test_state_dir_of_others_does_not_disturb_list(ct, runtime):
    c = ct(["sleep", "100"]).up()
    os.makedirs(os.path.join(runtime.root, "not-a-container"))
    assert c.id in runtime.call("list", "-q").ok().lines


@pytest.mark.levels("ns")
def test_process_tree_has_the_expected_args(ct):
    c = ct(["sleep", "100"]).up()

    def cmdline():
        with open("/proc/%d/cmdline" % c.pid) as f:
            return f.read() == "sleep\x00100\x00"
    wait_for(cmdline, "init to be the user's program")
