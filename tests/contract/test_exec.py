# SPDX-License-Identifier: Apache-2.0
"""`exec`: a further process in a running container."""
import json
import os
import subprocess

import pytest

from harness import bundle, leaks, peer
from harness.container import wait_for
from harness.host import cap_mask, parse_status


@pytest.fixture
def up(ct):
    """A running container."""
    return ct(["sleep", "1000"]).up()


@pytest.mark.levels("ns")
def test_exec_joins_every_namespace_and_the_cgroup(up):
    proc = up.spawn("exec", up.id, "sleep", "1000")
    pids = wait_for(lambda: len(p := up.rt.json("ps", "--format", "json", up.id)) == 2 and p, "two processes")
    other = next(p for p in pids if p != up.pid)
    wait_for(lambda: "sleep" in leaks._read("/proc/%d/cmdline" % other).decode(), "the program to run")
    assert leaks.namespace_ids(other) == leaks.namespace_ids(up.pid)
    with open("/proc/%d/cgroup" % other) as a, open("/proc/%d/cgroup" % up.pid) as b:
        assert a.read() == b.read()
    proc.kill()


def test_exec_defaults_are_those_of_the_config(ct):
    """No flags: cwd, environment and user come from config.json's process."""
    c = ct(["sleep", "1000"])
    c.process.update(cwd="/tmp", user={"uid": 1000, "gid": 1000})
    c.process["env"].append("FROM_CONFIG=yes")
    c.up()
    assert c.exec("pwd; id -u; id -g; echo $FROM_CONFIG").ok().lines == ["/tmp", "1000", "1000", "yes"]


def test_exec_cwd(up):
    assert up.exec("pwd", flags=["--cwd", "/etc"]).ok().out == "/etc\n"


def test_exec_cwd_that_is_not_there(up):
    """runc creates a missing cwd only for init; exec fails and names it."""
    peer.lacks("runc", "1.1 creates the directory")
    r = up.exec("pwd", flags=["--cwd", "/no/such"])
    assert r.rc != 0 and "/no/such" in r.err or r.out == "/no/such\n"


def test_exec_env(up):
    r = up.exec("env", flags=["-e", "A=1", "-e", "B=two words", "-e", "HOME=/elsewhere"]).ok()
    assert {"A=1", "B=two words", "HOME=/elsewhere", bundle.PATH} <= set(r.lines)


@pytest.mark.parametrize("user,uid,gid", [("1000", "1000", "0"), ("1000:2000", "1000", "2000"), ("0:5", "0", "5")])
def test_exec_user(up, user, uid, gid):
    assert up.exec("id -u; id -g", flags=["--user", user]).ok().lines == [uid, gid]


@pytest.mark.parametrize("user", ["web", "1000:web", "-1", "1:2:3", "99999999999"])
def test_exec_user_must_be_numeric(up, user):
    if user in ("1:2:3", "99999999999", "-1"):
        peer.lacks("runc", "lax number parser")
    up.exec("id", "-u", flags=["--user=" + user]).failed()


def test_exec_additional_gids(up):
    r = up.exec("id", "-G", flags=["--user", "1000:1000", "-g", "10", "-g", "20"]).ok()
    assert set(r.out.split()) == {"1000", "10", "20"}


def test_exec_user_drops_effective_capabilities(up):
    """Not root: nothing effective, unless ambient capabilities say so."""
    st = parse_status(up.exec("cat", "/proc/self/status", flags=["--user", "1000"]).ok().out)
    assert int(st["CapEff"], 16) == 0
    assert int(st["CapPrm"], 16) == 0


def test_exec_cap_adds(up):
    """--cap: added to what the config gives."""
    st = parse_status(up.exec("cat", "/proc/self/status", flags=["--cap", "CAP_NET_ADMIN"]).ok().out)
    for which in ("CapBnd", "CapEff", "CapPrm"):
        assert int(st[which], 16) == cap_mask(bundle.DEFAULT_CAPS + ["CAP_NET_ADMIN"]), which


def test_exec_capabilities_are_those_of_the_config(up):
    st = parse_status(up.exec("cat", "/proc/self/status").ok().out)
    assert int(st["CapBnd"], 16) == cap_mask(bundle.DEFAULT_CAPS)
    assert int(st["CapEff"], 16) == cap_mask(bundle.DEFAULT_CAPS)
    assert int(st["CapInh"], 16) == 0 and int(st["CapAmb"], 16) == 0


def test_exec_no_new_privs(up):
    st = parse_status(up.exec("cat", "/proc/self/status", flags=["--no-new-privs"]).ok().out)
    assert st["NoNewPrivs"] == "1"


@pytest.mark.levels("ns")
def test_exec_has_the_containers_seccomp_filter(ct):
    c = ct(["sleep", "1000"], seccomp=True).up()
    st = parse_status(c.exec("cat", "/proc/self/status").ok().out)
    assert st["Seccomp"] == "2"
    assert c.exec("guest", "call", "keyctl", "0").ok().out == "keyctl: errno 1\n"


def test_exec_has_the_containers_rlimits(ct):
    peer.lacks("runc", "1.1 gives exec no limits")
    c = ct(["sleep", "1000"])
    c.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    c.up()
    assert "RLIMIT_NOFILE 100 200" in c.exec("guest", "rlimits").ok().lines


# ---- failures ----

@pytest.mark.parametrize("args,text", [
    (["no-such-program"], 'exec: "no-such-program": executable file not found in $PATH'),
    (["/no/such"], "no such file or directory"),
    (["/etc/passwd"], "permission denied"),
    (["/etc"], "permission denied" if peer.NAME == "runc" else "is a directory"),
])
def test_exec_of_what_cannot_run(up, args, text, runtime):
    """At level vm the process that stands for the guest's is there already when the answer comes: it ends as a shell would."""
    r = up.exec(*args).failed()
    assert text in r.message.lower().replace("$path", "$PATH"), r
    assert r.rc in ((126, 127) if runtime.level == "vm" else (255,)), r


def test_exec_in_a_stopped_container(ct):
    c = ct(["true"]).up()
    c.wait_stopped()
    c.exec("true").failed("cannot exec in a stopped container", rc=255)


def test_exec_in_an_unknown_container(runtime):
    runtime.call("exec", "nobody", "true").failed("container does not exist")


def test_exec_without_a_program(up):
    up.rt.call("exec", up.id).failed("args cannot be empty")


@pytest.mark.levels("ns")
def test_exec_in_a_created_container(ct):
    """Before start the namespaces are there already."""
    c = ct(["sleep", "1000"])
    c.create().ok()
    assert c.exec("echo", "early").ok().out == "early\n"
    assert c.status == "created"


def test_exec_in_a_paused_container(up, runtime):
    if not runtime.view.has("freezer") and not runtime.view.unified:
        pytest.skip("no freezer")
    runtime.call("pause", up.id).ok()
    up.exec("true").failed("cannot exec in a paused container (use --ignore-paused to override)", rc=255)
    runtime.call("resume", up.id).ok()
    up.exec("true").ok()


# ---- detached ----

@pytest.mark.levels("ns")
def test_exec_detached_with_pid_file(up, runtime):
    path = os.path.join(runtime.scratch, "exec.pid")
    up.exec("sleep", "1000", flags=["--detach", "--pid-file", path], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL).ok()
    with open(path) as f:
        text = f.read()
    assert text.isdigit() and int(text) in runtime.json("ps", "--format", "json", up.id)
    with open("/proc/%s/stat" % text) as f:
        parent = f.read().rpartition(")")[2].split()[1]
    with open("/proc/%s/cmdline" % parent) as f:
        assert runtime.root not in f.read(), "the runtime must not stay as a parent"


def test_exec_pid_file_in_the_foreground(up, runtime):
    path = os.path.join(runtime.scratch, "exec.pid")
    up.exec("true", flags=["--pid-file", path]).ok()
    with open(path) as f:
        assert f.read().isdigit()


def test_exec_outlives_its_runtime_only_when_detached(up, runtime):
    """A foreground runtime that is killed takes no state with it; the container runs on."""
    proc = up.spawn("exec", up.id, "sleep", "1000")
    wait_for(lambda: len(runtime.json("ps", "--format", "json", up.id)) == 2, "the process")
    proc.kill()
    proc.wait()
    assert up.status == "running"
    up.exec("true").ok()


# ---- --process ----

def process_file(runtime, **fields):
    spec = {"args": ["true"], "cwd": "/", "env": [bundle.PATH], "user": {"uid": 0, "gid": 0}}
    spec.update(fields)
    path = os.path.join(runtime.scratch, "process.json")
    with open(path, "w") as f:
        json.dump(spec, f)
    return path


@pytest.mark.parametrize("flag", ["--process", "-p"])
def test_exec_process_file(up, runtime, flag):
    peer.lacks("runc", "1.1 leaves the umask")
    path = process_file(runtime, args=["sh", "-c", "pwd; id -u; id -g; umask; echo $X"], cwd="/tmp",
                        env=[bundle.PATH, "X=from-file"],
                        user={"uid": 7, "gid": 8, "umask": 0o27})
    assert runtime.call("exec", flag, path, up.id).ok().lines == ["/tmp", "7", "8", "0027", "from-file"]


def test_exec_process_file_capabilities_and_rlimits(up, runtime):
    peer.lacks("runc", "1.1 gives exec no limits")
    caps = ["CAP_KILL", "CAP_CHOWN"]
    path = process_file(runtime, args=["sh", "-c", "cat /proc/self/status; guest rlimits"], noNewPrivileges=True,
                        capabilities={"bounding": caps, "effective": caps, "permitted": caps},
                        rlimits=[{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}])
    r = runtime.call("exec", "--process", path, up.id).ok()
    st = parse_status(r.out)
    assert int(st["CapBnd"], 16) == int(st["CapEff"], 16) == cap_mask(caps)
    assert st["NoNewPrivs"] == "1"
    assert "RLIMIT_NOFILE 77 88" in r.lines


def test_exec_process_file_that_is_not_there(up, runtime):
    runtime.call("exec", "--process", "/no/such.json", up.id).failed("/no/such.json")


def test_exec_process_file_that_is_not_json(up, runtime):
    path = os.path.join(runtime.scratch, "bad.json")
    with open(path, "w") as f:
        f.write('{"args": [')
    runtime.call("exec", "--process", path, up.id).failed()


# ---- many ----

def test_exec_one_after_another(up):
    for i in range(20):
        assert up.exec("echo", str(i)).ok().out == "%d\n" % i
    assert len(up.rt.json("ps", "--format", "json", up.id)) == 1


def test_exec_side_by_side(up):
    procs = [up.spawn("exec", up.id, "sh", "-c", "echo %d; exit %d" % (i, i), stdout=subprocess.PIPE)
             for i in range(16)]
    for i, proc in enumerate(procs):
        out, _ = proc.communicate(timeout=60)
        assert (out, proc.returncode) == (b"%d\n" % i, i)


def test_exec_zombies_do_not_pile_up(up):
    """The exec'd process is the runtime's child, not init's: nothing is left to an init that never waits."""
    for _ in range(5):
        up.exec("true").ok()
    states = up.exec("cat /proc/[0-9]*/stat").ok().lines
    assert not [s for s in states if s.rpartition(")")[2].split()[0] == "Z"]


def test_exec_sees_the_containers_proc(up):
    assert "1" in up.exec("ls", "/proc").ok().lines
    assert up.exec("cat", "/proc/1/comm").ok().out == "sleep\n"


@pytest.mark.levels("ns", "kernel")  # a virtual machine needs none, and its guest has none
def test_exec_in_a_user_namespace(ct):
    c = ct(["sleep", "1000"])
    bundle.user_namespace(c.config)
    os.chown(c.rootfs, 100000, 100000)
    c.up()
    assert c.exec("id -u; head -1 /proc/self/uid_map").ok().out.split() == ["0", "0", "100000", "65536"]


def test_exec_cannot_raise_beyond_what_exists(up):
    r = up.exec("true", flags=["--cap", "CAP_NO_SUCH"])
    if peer.NAME == "runc":
        return  # runc warns and goes on
    assert r.rc == 0 or "CAP_NO_SUCH" in r.err
