# SPDX-License-Identifier: Apache-2.0
"""config.md "POSIX-platform Hooks" and runtime.md "Lifecycle": the six kinds of hooks."""
import json
import os
import time

import pytest

from harness import leaks, peer

KINDS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
BEFORE_START = ["prestart", "createRuntime", "createContainer"]


@pytest.fixture
def log(runtime):
    """A host directory for what hooks write; hooks inside the container see it as /log."""
    path = os.path.join(runtime.scratch, "log")
    os.mkdir(path)
    return path


def hook(script, **more):
    return dict({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}, **more)


def add(c, kind, *hooks):
    c.config.setdefault("hooks", {}).setdefault(kind, []).extend(hooks)


def read(path):
    with open(path) as f:
        return f.read()


def logged(c, log, kind, script, **more):
    """A hook that can write to the log from either side: startContainer runs inside."""
    if {"destination": "/log"} not in [{"destination": m["destination"]} for m in c.config["mounts"]]:
        c.config["mounts"].append({"destination": "/log", "type": "bind", "source": log, "options": ["rbind"]})
    where = "/log" if kind == "startContainer" else log
    add(c, kind, hook("L=%s; %s" % (where, script), **more))


def test_all_six_run_in_order(ct, log):
    peer.lacks("runc", "runs poststart at create")
    c = ct("echo program >>/log/order")
    for kind in KINDS:
        logged(c, log, kind, "echo %s-1 >>$L/order" % kind)
        logged(c, log, kind, "echo %s-2 >>$L/order" % kind)
    c.run().ok()
    lines = read(log + "/order").split()
    wanted = [k + n for k in KINDS for n in ("-1", "-2")]
    assert [x for x in lines if x != "program"] == wanted
    assert lines.index("startContainer-2") < lines.index("program") < lines.index("poststop-1")


def test_when_each_runs(ct, log):
    """Three at create, two at start, one at delete."""
    peer.lacks("runc", "runs poststart at create")
    c = ct(["sleep", "1000"])
    for kind in KINDS:
        logged(c, log, kind, "echo %s >>$L/order" % kind)
    c.create().ok()
    assert read(log + "/order").split() == BEFORE_START
    c.start().ok()
    assert read(log + "/order").split() == BEFORE_START + ["startContainer", "poststart"]
    c.delete("--force").ok()
    assert read(log + "/order").split() == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_state_on_stdin(ct, log, kind):
    """The state JSON arrives on stdin, followed by end-of-file."""
    c = ct(["true"])
    c.config["annotations"] = {"a.key": "a value"}
    logged(c, log, kind, "cat >$L/state")
    c.run().ok()
    s = json.loads(read(log + "/state"))
    assert s["id"] == c.id and s["bundle"] == c.bundle and s["annotations"] == {"a.key": "a value"}
    status = {"prestart": ("creating", "created"), "createRuntime": ("creating", "created"),
              "createContainer": ("creating", "created"), "startContainer": ("created",),
              "poststart": ("running",) if peer.NAME != "runc" else ("created",), "poststop": ("stopped",)}[kind]
    assert s["status"] in status
    if kind == "poststop":
        assert s.get("pid", 0) == 0
    elif kind in ("prestart", "createRuntime", "poststart"):
        assert s["pid"] > 1


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "poststart", "poststop"])
def test_host_hooks_run_in_the_runtimes_namespaces(ct, log, kind):
    c = ct(["true"])
    logged(c, log, kind, "readlink /proc/self/ns/mnt /proc/self/ns/net >$L/ns")
    c.run().ok()
    ns = leaks.namespace_ids()
    if c.rt.view.keeper:
        ns["mnt"] = leaks.namespace_ids(c.rt.view.keeper.pid)["mnt"]
    assert read(log + "/ns").split() == [ns["mnt"], ns["net"]]


def test_create_container_hook_runs_in_the_containers_mount_namespace(ct, runtime, log):
    """config.md: path resolves in the runtime's root, execution is in the container's namespace."""
    c = ct("readlink /proc/self/ns/mnt; ls /made-by-hook")
    logged(c, log, "createContainer", "readlink /proc/self/ns/mnt >$L/ns; mkdir %s/made-by-hook" % c.rootfs)
    r = c.run().ok()
    if runtime.level == "vm":  # its hooks are the host's programs; they see the container's root from outside
        assert read(log + "/ns").strip() not in (r.lines[0], leaks.namespace_ids()["mnt"])
    else:
        assert read(log + "/ns").strip() == r.lines[0]


def test_start_container_hook_runs_in_the_containers_root(ct, log):
    c = ct(["cat", "/made"])
    add(c, "startContainer", {"path": "/bin/sh", "args": ["sh", "-c", "hostname >/made; ls / >>/made"]})
    lines = c.run().ok().lines
    assert lines[0] == "contract" and "proc" in lines


def test_create_runtime_hook_can_reach_the_namespaces_by_pid(ct, log):
    """What network plugins do: move things into /proc/PID/ns/net before the program runs."""
    c = ct("cat /sys/class/net/hooked0/operstate && ip link show hooked0")
    script = ("pid=$(sed 's/.*\"pid\":[ ]*\\([0-9]*\\).*/\\1/'); nsenter -t $pid -n ip link add hooked0 type dummy 2>$L/err"
              " || nsenter -t $pid -n ip link add hooked0 type bridge 2>>$L/err || echo nolink >$L/nolink")
    logged(c, log, "createRuntime", script, env=["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
    r = c.run()
    if os.path.exists(log + "/nolink"):
        pytest.skip("no dummy or bridge link on this machine")
    assert "hooked0" in r.ok().out


@pytest.mark.parametrize("kind", KINDS)
def test_env_is_exactly_the_hooks(ct, log, kind):
    c = ct(["true"])
    logged(c, log, kind, "env >$L/env", env=["PATH=/usr/bin:/bin", "ONLY=this"])
    c.run(env=dict(os.environ, HOST_SECRET="1")).ok()
    names = {line.split("=")[0] for line in read(log + "/env").splitlines()}
    assert {"PATH", "ONLY"} <= names <= {"PATH", "ONLY", "PWD", "SHLVL", "_", "OLDPWD", "L"}


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "startContainer"])
def test_no_env_means_the_runtimes(ct, log, kind):
    """Hooks without `env` inherit the runtime's environment: engines' hooks count on a PATH."""
    c = ct(["true"])
    c.process["env"].append("CONTAINERS=1")
    add(c, kind, {"path": "/bin/sh", "args": ["sh", "-c", "/usr/bin/env >%s/env" % log]})
    c.run(env=dict(os.environ, RUNTIMES="1")).ok()
    lines = read(log + "/env").splitlines()
    assert "RUNTIMES=1" in lines and "CONTAINERS=1" not in lines


def test_no_env_of_start_container_means_the_containers(ct, log):
    peer.lacks("runc", "1.1: an empty one")
    c = ct(["true"])
    c.process["env"].append("CONTAINERS=1")
    c.config["mounts"].append({"destination": "/log", "type": "bind", "source": log, "options": ["rbind"]})
    add(c, "startContainer", {"path": "/bin/sh", "args": ["sh", "-c", "env >/log/env"]})
    c.run(env=dict(os.environ, RUNTIMES="1")).ok()
    lines = read(log + "/env").splitlines()
    assert "CONTAINERS=1" in lines and "RUNTIMES=1" not in lines


def test_args_are_as_given(ct, log):
    c = ct(["true"])
    add(c, "prestart", {"path": "/bin/sh", "args": ["argv0", "-c", 'echo "$0|$1|$#" >%s/args' % log, "zero", "a b"],
                        "env": ["PATH=/bin"]})
    c.run().ok()
    assert read(log + "/args") == "zero|a b|1\n"


# ---- failures ----

@pytest.mark.parametrize("kind", BEFORE_START + ["startContainer", "poststart"])
@pytest.mark.parametrize("how", ["exit", "absent", "signal"])
def test_a_failing_hook_fails_the_run_and_leaves_nothing(ct, runtime, log, kind, how):
    c = ct("echo program-ran; sleep 5")
    bad = {"exit": hook("echo why >&2; exit 3"), "absent": {"path": "/no/such/hook"},
           "signal": hook("kill -9 $$")}[how]
    c.config["ociVersion"] = "1.3.0"  # of before, poststart has a rule of its own: below
    logged(c, log, "poststop", "echo yes >$L/poststop")
    add(c, kind, bad)
    r = c.run().failed()
    if kind != "poststart":
        assert "program-ran" not in r.out
    assert "error running %shook #0" % ("" if peer.NAME == "runc" else kind + " ") in r.message, r
    if how == "exit":
        assert "why" in r.message, "the hook's own words belong in the message"
    leaks.assert_none(runtime)
    assert os.path.exists(log + "/poststop") or peer.NAME != "coffer-oci", "poststop runs all the same"


@pytest.mark.parametrize("kind", BEFORE_START)
def test_a_failing_hook_at_create_leaves_nothing(ct, runtime, kind):
    c = ct(["true"])
    add(c, kind, hook("exit 3"))
    c.create().failed()
    runtime.call("state", c.id).failed("container does not exist")
    leaks.assert_none(runtime)


@pytest.mark.parametrize("version", ["1.0.2", "1.2.1"])
def test_a_failing_poststart_hook_is_a_warning_before_1_3(ct, log, version):
    """runtime.md up to 1.2: log a warning, but continue as if the hook had succeeded."""
    peer.lacks("*", "1.1 stops")
    c = ct(["sleep", "1000"])
    c.config["ociVersion"] = version
    add(c, "poststart", hook("exit 3"), hook("touch %s/second" % log))
    c.create().ok()
    r = c.start().ok()
    assert "error running poststart hook #0: exit status 3" in r.message
    assert c.status == "running" and os.path.exists(log + "/second")
    c.kill("KILL").ok()
    c.wait_stopped()
    c.delete().ok()
    r = c.run_detached().ok()
    assert "error running poststart hook #0" in r.message


def test_a_failing_poststart_hook_stops_the_container_from_1_3(ct, log):
    """runtime.md since 1.3: an error, the container is stopped."""
    peer.lacks("*", "other rules")
    c = ct(["sleep", "1000"])
    c.config["ociVersion"] = "1.3.0"
    add(c, "poststart", hook("exit 3"), hook("touch %s/second" % log))
    c.create().ok()
    c.start().failed("error running poststart hook #0: exit status 3")
    c.wait_stopped()
    assert not os.path.exists(log + "/second")
    c.delete().ok()


@pytest.mark.levels("ns")
def test_start_container_hooks_run_under_the_containers_filter(ct, log):
    """They come last before the program, and may do what it may."""
    c = ct("cat /seen", seccomp=True)
    add(c, "startContainer", {"path": "/bin/sh", "args": ["sh", "-c", "grep ^Seccomp: /proc/self/status >/seen"]})
    assert c.run().ok().out.split() == ["Seccomp:", "2"]


def test_hooks_after_a_failed_one_do_not_run(ct, log):
    c = ct(["true"])
    add(c, "prestart", hook("exit 1"), hook("touch %s/second" % log))
    c.run().failed()
    assert not os.path.exists(log + "/second")


def test_a_failing_poststop_hook_is_only_a_warning(ct, runtime, log):
    c = ct(["true"])
    add(c, "poststop", hook("exit 1"), hook("touch %s/second" % log))
    c.up()
    c.wait_stopped()
    peer.lacks("runc", "1.1 stops at the first poststop failure")
    c.delete().ok()
    assert os.path.exists(log + "/second")
    runtime.call("state", c.id).failed("container does not exist")


@pytest.mark.parametrize("kind", ["prestart", "createContainer", "startContainer"])
def test_timeout(ct, runtime, kind):
    c = ct(["true"])
    add(c, kind, hook("exec sleep 60", timeout=1))
    began = time.monotonic()
    r = c.run().failed()
    assert time.monotonic() - began < 15
    assert "hook ran past specified timeout of 1.0s" in r.message
    leaks.assert_none(runtime)


def test_hook_that_does_not_read_its_stdin(ct):
    """A full pipe or a SIGPIPE must not hurt the runtime."""
    c = ct(["true"])
    c.config["annotations"] = {"big": "x" * 200000}
    add(c, "prestart", hook("exec <&-; exit 0"))
    c.run().ok()


def test_hook_with_much_output(ct):
    c = ct(["true"])
    add(c, "createRuntime", hook("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2"))
    c.run().ok()


@pytest.mark.parametrize("bad", [{"args": ["x"]}, {"path": "relative/path"}, {"path": "/bin/true", "timeout": -1}])
def test_malformed_hooks_are_refused(ct, bad):
    """config.md: path is required and absolute; timeout is greater than zero."""
    peer.lacks("*", "checks less")
    c = ct(["true"])
    add(c, "prestart", bad)
    c.run().failed("hooks")


@pytest.mark.levels("ns")
def test_hooks_hold_no_fd_of_the_runtime(ct, log):
    c = ct(["true"])
    for kind in ("prestart", "createContainer", "startContainer", "poststart", "poststop"):
        logged(c, log, kind, "ls /proc/self/fd | wc -l >$L/fds." + kind)
    c.run().ok()
    # ls: its three streams and the directory that it reads
    counts = {k: int(read(log + "/fds." + k)) for k in ("prestart", "createContainer", "startContainer", "poststart",
                                                        "poststop")}
    if peer.NAME == "coffer-oci":
        assert set(counts.values()) <= {4}, counts
