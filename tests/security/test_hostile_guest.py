# SPDX-License-Identifier: Apache-2.0
"""A container that misbehaves: forks without end, ignores signals, holds terminals, traps exec and the hooks."""
import os
import time

import pytest

from harness import bundle, console, leaks, peer
from harness.container import wait_for


def test_fork_bomb_is_bounded_and_deleted(evil, runtime):
    c = evil(["attacker", "bomb"])
    c.resources["pids"] = {"limit": 64}
    c.up()
    wait_for(lambda: len(runtime.view.pids(c.cgroup)) > 32, "the bomb to go off", 10)
    time.sleep(0.3)
    own = 2 if runtime.level == "kernel" else 0  # the kernel in user space and its zygote are beside the guest's 64
    assert len(runtime.view.pids(c.cgroup)) <= 64 + own
    assert c.status == "running"
    c.delete("--force", timeout=30).ok()
    leaks.assert_none(runtime)


def test_fork_bomb_is_killed_whole(evil, runtime):
    c = evil(["attacker", "bomb"])
    c.resources["pids"] = {"limit": 100}
    c.up()
    time.sleep(0.3)
    c.kill("KILL").ok()
    c.wait_stopped()
    assert not runtime.view.pids(c.cgroup)
    c.delete().ok()


def test_fork_bomb_without_pid_namespace(evil, runtime):
    """Killing init ends nobody else then: the cgroup must be emptied by other means."""
    c = evil(["attacker", "bomb"])
    bundle.without_namespace(c.config, "pid")
    c.resources["pids"] = {"limit": 64}
    c.up()
    time.sleep(0.3)
    c.delete("--force", timeout=30).ok()
    leaks.assert_none(runtime)


def test_sigterm_is_ignored(ct, runtime):
    c = ct("trap '' TERM INT HUP; echo ready; while :; do sleep 1; done").up()
    c.wait_output("ready")
    c.kill("TERM").ok()
    time.sleep(0.2)
    assert c.status == "running"
    c.delete().failed()
    assert c.status == "running"
    c.delete("--force").ok()
    leaks.assert_none(runtime)


def test_stopped_container_is_deleted(ct, runtime):
    """SIGSTOP'd and frozen processes still die."""
    c = ct(["sleep", "100"]).up()
    c.kill("STOP").ok()
    c.delete("--force", timeout=20).ok()
    if runtime.view.has("freezer"):
        c = ct(["sleep", "100"]).up()
        c.rt.call("pause", c.id).ok()
        c.delete("--force", timeout=20).ok()
    leaks.assert_none(runtime)


# ---- the caller's terminal ----

def test_no_keystrokes_into_the_callers_terminal(evil, runtime):
    """Without a terminal of its own, a container must not own the caller's (TIOCSTI), nor its session."""
    c = evil(["attacker", "tiocsti"])
    c.write_config()
    term, slave = console.open_pty()
    p = runtime.spawn("run", "--bundle", c.bundle, c.id, stdin=slave, stdout=slave, stderr=slave,
                      preexec_fn=console.controlling(slave))
    text = term.read_until("\n", 15)
    p.wait(10)
    os.close(slave)
    term.close()
    assert "PUSHED" not in text and "refused" in text, text


def test_own_session(ct):
    c = ct("cat /proc/self/stat").run().ok()
    fields = c.out.rpartition(") ")[2].split()
    assert fields[3] == "1" and fields[4] == "0", "session %s, terminal %s" % (fields[3], fields[4])


# ---- exec into a hostile rootfs ----

TRAPS = ["fifo", "loop", "out", "huge", "device", "directory", "long-lines"]


def set_trap(c, path, kind, outside):
    full = c.rootfs_file(path)
    os.unlink(full)
    if kind == "fifo":
        os.mkfifo(full)
    elif kind == "loop":
        os.symlink(os.path.basename(path), full)
    elif kind == "out":
        os.symlink("/proc/1/root" + os.path.join(outside, "secret"), full)
    elif kind == "huge":
        with open(full, "wb") as f:
            f.truncate(1 << 40)
    elif kind == "device":
        os.mknod(full, 0o20666, os.makedev(1, 5))
    elif kind == "directory":
        os.mkdir(full)
    else:
        with open(full, "w") as f:
            f.write("x" * (20 << 20) + "\nweb:x:1000:1000::/:/bin/sh\n")


@pytest.mark.parametrize("path", ["etc/passwd", "etc/group"])
@pytest.mark.parametrize("kind", TRAPS)
def test_user_lookup_in_a_trap(ct, outside, path, kind):
    """The image's passwd and group files are read with bounds, and only where they are plain files."""
    if kind in ("fifo", "huge", "device"):
        peer.lacks("runc", "reads a FIFO, a device or a terabyte to its end")
    c = ct(["sleep", "100"]).up()
    set_trap(c, path, kind, outside)
    c.exec("true", flags=("--user", "0:0"), timeout=15)
    c.exec("true", flags=("--user", "1000"), timeout=15)


@pytest.mark.parametrize("link", ["/proc/1/root/..", "/proc/self/root", "/proc/self/cwd/../../../..", "/proc/1/cwd"])
def test_cwd_through_magic_links(evil, outside, link):
    """exec's cwd is a symlink into /proc: it resolves inside the container or not at all."""
    c = evil(["sleep", "100"]).up()
    os.symlink(link, c.rootfs_file("work"))
    result = c.exec("attacker", "climb", "", os.path.join(outside, "secret"), flags=("--cwd", "/work"))
    assert "ESCAPED" not in result.out, result


def test_exec_in_a_container_whose_root_was_emptied(ct):
    """The container deletes its files, mounts and all: exec fails with a line, and delete works."""
    c = ct("rm -rf /bin /etc /lib /sbin /tmp; while :; do :; done 2>/dev/null").up()
    wait_for(lambda: not os.path.exists(c.rootfs_file("etc/passwd")), "the files to go")
    c.exec("true").failed()
    c.delete("--force").ok()


def test_nothing_of_the_container_is_loaded(ct, runtime, outside):
    """CVE-2019-14271: no library, nsswitch or locale of the image is opened by a process with the host's rights."""
    c = ct(["sleep", "100"])
    for name in ("lib/x86_64-linux-gnu/libnss_files.so.2", "etc/ld.so.preload", "etc/nsswitch.conf", "etc/ld.so.cache"):
        full = c.rootfs_file(name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        os.mkfifo(full)  # whoever opens it hangs
    c.process["user"] = {"uid": 0, "gid": 0, "username": "root"}
    c.up()
    c.exec("true", flags=("--user", "root"), timeout=10)
    c.exec("true", timeout=10).ok()
    c.delete("--force").ok()


# ---- hooks ----

def test_hooks_get_their_own_environment_only(ct, runtime):
    """A hook of the host never sees the container's environment; with `env`, only that."""
    out, bare = os.path.join(runtime.scratch, "hook-env"), os.path.join(runtime.scratch, "bare-env")
    c = ct(["true"])
    c.process["env"].append("CONTAINER_SECRET=1")
    c.config["hooks"] = {
        "createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "/usr/bin/env > " + out], "env": ["ONLY=this"]}],
        "poststop": [{"path": "/bin/sh", "args": ["sh", "-c", "/usr/bin/env > " + bare]}]}
    env = dict(os.environ, RUNTIME_SECRET="2")
    c.run(env=env).ok()
    with open(out) as f:
        text = f.read()
    assert "ONLY=this" in text and "RUNTIME_SECRET" not in text and "CONTAINER_SECRET" not in text, text
    with open(bare) as f:
        text = f.read()
    assert "RUNTIME_SECRET=2" in text and "CONTAINER_SECRET" not in text, text


def test_hook_holds_no_descriptor_of_ours(ct, runtime):
    out = os.path.join(runtime.scratch, "hook-fds")
    c = ct(["true"])
    c.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": [
        "sh", "-c", "cat > /dev/null; ls -l /proc/$$/fd > " + out]}]}
    c.run().ok()
    with open(out) as f:
        fds = [line.split(" -> ")[0].split()[-1] for line in f if " -> " in line]
    assert set(fds) <= {"0", "1", "2", "10", "255"}, fds  # 10 and 255 are the shell's own


@pytest.mark.parametrize("path", ["env", "./env", "../bin/true", ""])
def test_hook_path_is_absolute(ct, path):
    c = ct(["true"])
    c.config["hooks"] = {"createRuntime": [{"path": path}]}
    c.run().failed()


def test_hook_that_hangs_is_killed_at_its_timeout(ct, runtime):
    c = ct(["true"])
    c.config["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}]}
    c.run(timeout=20).failed()
    leaks.assert_none(runtime)


def test_container_hooks_run_inside(ct, outside):
    """startContainer hooks come from the container's file system and cannot see the host's."""
    c = ct("cat /tmp/hook")
    script = "ls %s > /tmp/hook 2>&1; echo done >> /tmp/hook" % outside
    c.config["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    result = c.run().ok()
    assert "secret" not in result.out.replace("No such", "") and "done" in result.out
