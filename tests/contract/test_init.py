# SPDX-License-Identifier: Apache-2.0
"""Process trees: zombies, orphans, storms of processes, and what pid 1 is."""
import os
import time

import pytest

from harness import bundle, leaks
from harness.container import wait_for


def test_pid_one_is_the_users_program(ct):
    assert ct("cat /proc/1/comm; echo $$").run().ok().lines == ["sh", "1"]


def test_only_its_own_processes_are_visible(ct):
    assert [d for d in ct(["ls", "/proc"]).run().ok().lines if d.isdigit()] == ["1"]


def test_orphans_are_adopted_by_pid_one(ct):
    """Kernel rule of pid namespaces: nothing of the runtime sits between."""
    r = ct(["guest", "orphan", "1"]).run().ok()
    assert "adopted by 1" in r.lines and "reaped 1" in r.lines


def test_orphan_of_exec_is_adopted_inside(ct):
    """exec's child that outlives it must not become a child of a host process."""
    c = ct("while :; do sleep 0.1; done").up()
    c.exec("(sleep 100 </dev/null >/dev/null 2>&1 &) ; exit 0").ok()

    def parents():
        r = c.exec("for d in /proc/[0-9]*; do echo $(cat $d/comm 2>/dev/null) $(grep PPid $d/status 2>/dev/null); done")
        return "sleep PPid: 1" in r.out
    wait_for(parents, "the orphan to hang below pid 1")


def test_a_shell_reaps_many_children(ct):
    r = ct("i=0; while [ $i -lt 200 ]; do true & i=$((i+1)); done; wait; "
           "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l").run().ok()
    assert r.out == "0\n"


@pytest.mark.parametrize("count", [100, 1000])
def test_process_storm(ct, count):
    """So many processes at once, all alive before the first ends."""
    r = ct(["guest", "storm", str(count)]).run().ok()
    assert r.out == "forked %d ended %d\n" % (count, count)


def test_storm_is_killed_with_its_init(ct, runtime):
    """SIGKILL to pid 1 takes a thousand processes along, and delete waits for the cgroup to be empty."""
    c = ct("guest storm 1 >/dev/null; i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i+1)); done; echo ready; wait")
    c.up()
    c.wait_output("ready", limit=30)
    assert len(runtime.json("ps", "--format", "json", c.id)) >= 300
    c.kill("KILL").ok()
    c.wait_stopped()
    c.delete().ok()
    leaks.assert_none(runtime)


def test_fork_bomb_inside_is_ended_by_delete_force(ct, runtime):
    if not runtime.view.has("pids"):
        pytest.skip("no pids controller in the %s view" % runtime.view.name)
    c = ct("f() { f | f & }; f; sleep 1000")
    c.resources["pids"] = {"limit": 100}
    c.up()
    time.sleep(0.5)
    c.delete("--force").ok()
    leaks.assert_none(runtime)


@pytest.mark.levels("ns")
def test_no_runtime_process_stays(ct, runtime):
    """Per created container nothing stays but its init."""
    c = ct(["sleep", "1000"]).up()
    wait_for(lambda: list(leaks.processes(runtime.token)) == [c.pid], "init alone to remain")


def test_created_container_is_one_process(ct, runtime):
    c = ct(["sleep", "1000"])
    c.create().ok()
    wait_for(lambda: list(leaks.processes(runtime.token)) == [c.pid], "the waiting init alone to remain")


@pytest.mark.levels("ns")
def test_host_pid_namespace(ct):
    c = ct("echo $$")
    bundle.without_namespace(c.config, "pid")
    assert int(c.run().ok().out) > 1
    assert int(c.run().out) < 1 << 22


def test_exe_of_the_waiting_init_is_not_the_runtimes_file(ct):
    """CVE-2019-5736: through /proc/PID/exe of an init that waits for start nobody reaches a writable runtime."""
    c = ct(["sleep", "1000"])
    c.create().ok()
    exe = os.readlink("/proc/%d/exe" % c.pid)
    if exe == c.rt.binary:
        # the file itself: then it must be unreachable for writing from inside
        with pytest.raises(OSError):
            os.close(os.open("/proc/%d/exe" % c.pid, os.O_WRONLY))
