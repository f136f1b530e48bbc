# SPDX-License-Identifier: Apache-2.0
"""Several containers in one machine, by coffer-oci, with the annotations of containerd, CRI-O and our own."""
import json
import os
import signal
import socket
import struct
import subprocess
import time

import pytest

import libengine
import machines
from harness import bundle, env

POD = "dev.coffer.vm.pod"
CRI = {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "pod"}
CRIO = {"io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.SandboxID": "pod"}


class Pod:
    """The container "pod", whose the machine is, and others, each of a bundle of its own."""

    def __init__(self, top):
        (top / "pod").mkdir()
        self.top, self.first = top, machines.Place(top / "pod")
        self.places = {"pod": self.first}

    def place(self, name):
        if name not in self.places:
            (self.top / name).mkdir()
            self.places[name] = machines.Place(self.top / name, beside=self.first)
        return self.places[name]

    def create(self, name, *args, notes=None, change=None):
        """Its process's output is in `out`.  Returns why not, or ""."""
        def with_notes(config):
            config["annotations"] = {POD: "pod"} if notes is None else notes
            if change:
                change(config)

        place = self.place(name)
        place.write(args, with_notes if name != "pod" else change)
        with open(place.top / "out", "w") as out:
            done = subprocess.run(place.argv("create", "--bundle", str(place.top / "bundle"), name), stdout=out,
                                  stderr=out, stdin=subprocess.DEVNULL, env=place.environ(),
                                  timeout=env.seconds(120))
        return "" if done.returncode == 0 else self.out(name).replace("\\", "") or "failed"

    def start(self, name, *args, **more):
        assert self.create(name, *args, **more) == ""
        done = self.call("start", name)
        assert done.returncode == 0, done.stderr + self.log(name)

    def out(self, name):
        return (self.place(name).top / "out").read_text()

    def log(self, name):
        path = self.place(name).log
        return path.read_text() if path.exists() else ""

    def call(self, *words, **more):
        name = words[-1] if words[-1] in self.places else "pod"
        return self.place(name).call(*words, **more)

    def exec(self, name, *args, **more):
        return self.place(name).call("exec", name, *args, **more)

    def sh(self, name, script, **more):
        done = self.exec(name, "sh", "-c", script, **more)
        assert done.returncode == 0, (script, done)
        return done.stdout

    def state(self, name):
        done = self.call("state", name)
        return json.loads(done.stdout)["status"] if done.returncode == 0 else None

    def pid(self, name):
        return json.loads(self.call("state", name).stdout)["pid"]

    def wait(self, name, status="stopped", seconds=60):
        libengine.wait_for("%s to be %s" % (name, status), lambda: self.state(name) == status, seconds)

    def machine(self):
        """What the guest's own kernel has, seen from beside the first container."""
        def look(script):
            done = self.place("pod").call("exec", "--vm", "pod", "/bin/sh", "-c", script)
            assert done.returncode == 0, done
            return done.stdout
        return look

    def clear(self):
        for name in list(self.places)[::-1]:
            self.call("delete", "--force", name)
        assert self.first.left() == []


@pytest.fixture
def empty(tmp_path):
    if not env.IS_COFFER or os.geteuid() != 0 or not os.path.exists(machines.QEMU):
        pytest.skip("level vm needs root and QEMU")
    machines.kernel()
    p = Pod(tmp_path)
    yield p
    p.clear()


@pytest.fixture
def pod(empty):
    """With its first container."""
    empty.start("pod", "sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 1000 & wait; done")
    return empty


SLEEP = ("sleep", "1000")


# ---- what they share, and what not ----

@pytest.mark.parametrize("notes", [None, CRI, CRIO], ids=["coffer", "containerd", "cri-o"])
def test_two_containers_in_one_machine(pod, notes):
    pod.start("two", "sh", "-c", "echo out; echo err >&2; cat /mark; exec sleep 1000", notes=notes,
              change=lambda c: (pod.place("two").rootfs / "mark").write_text("of two\n"))
    libengine.wait_for("its output", lambda: "of two" in pod.out("two"), 30)
    assert sorted(pod.out("two").split("\n")) == ["", "err", "of two", "out"]
    # One kernel, and one hypervisor.
    boot = "cat /proc/sys/kernel/random/boot_id"
    assert pod.sh("pod", boot) == pod.sh("two", boot)
    assert "container 1 of the pod comes" in pod.log("pod")
    # Network, host name and IPC are the machine's; pids, mounts, cgroups each one's own.
    for ns, same in (("net", True), ("uts", True), ("ipc", True), ("pid", False), ("mnt", False), ("cgroup", False)):
        link = "readlink /proc/self/ns/" + ns
        assert (pod.sh("pod", link) == pod.sh("two", link)) is same, ns
    assert pod.sh("two", "hostname") == pod.sh("pod", "hostname")
    assert pod.sh("two", "cat /proc/1/comm").strip() == "sleep"
    # Own roots.
    pod.sh("two", "echo written >/own")
    assert pod.exec("pod", "cat", "/own").returncode != 0
    assert (pod.place("two").rootfs / "own").read_text() == "written\n"
    assert not (pod.first.rootfs / "own").exists()


def test_they_meet_on_the_loopback(pod):
    pod.start("two", "nc", "-l", "-p", "7777", "-e", "/bin/echo", "hello from two")
    libengine.wait_for("the listener", lambda: ":1E61" in pod.sh("pod", "cat /proc/net/tcp /proc/net/tcp6"), 30)
    assert pod.sh("pod", "nc 127.0.0.1 7777 </dev/null") == "hello from two\n"
    pod.wait("two")


def test_shared_memory_is_one(pod):
    pod.start("two", *SLEEP)
    pod.sh("pod", "echo seen >/dev/shm/x")
    assert pod.sh("two", "cat /dev/shm/x") == "seen\n"
    pod.start("three", *SLEEP)
    assert pod.sh("three", "cat /dev/shm/x; echo more >/dev/shm/y") == "seen\n"
    assert pod.sh("two", "cat /dev/shm/y") == "more\n"


def test_exit_statuses_are_each_ones_own(pod):
    for name, script, status in (("a", "exit 7", 7), ("b", "sh -c 'kill -9 $$'; exit $?", 137), ("c", "true", 0)):
        place = pod.place(name)
        done = place.run("sh", "-c", "echo of %s; %s" % (name, script), name=name,
                         change=lambda c: c.update(annotations={POD: "pod"}))
        assert (done.returncode, done.stdout) == (status, "of %s\n" % name), done
    assert pod.state("pod") == "running"
    done = pod.place("d").run("nowhere", name="d", change=lambda c: c.update(annotations={POD: "pod"}))
    assert done.returncode == 1 and 'executable file not found in $PATH' in done.stderr, done
    # Nothing is left of them in the guest: neither groups nor ports, nor processes.
    look = pod.machine()
    libengine.wait_for("the last one to go", lambda: "guest-" not in look("ls /sys/fs/cgroup"), 30)
    libengine.wait_for("the ports to go", lambda: len(look("cat /sys/class/virtio-ports/*/name").split()) == 2, 30)
    assert "guest-" not in look("cat /proc/[0-9]*/comm")
    libengine.wait_for("the hypervisor to be rid of them", lambda: pod.log("pod").count("have gone\n") == 3, 30)


def test_exec_in_each(pod):
    pod.start("two", *SLEEP)
    done = pod.exec("two", "sh", "-c", "cat; echo $$ >/pid; exit 3", input="typed\n")
    assert (done.returncode, done.stdout) == (3, "typed\n"), done
    assert pod.exec("pod", "sh", "-c", "exit 4").returncode == 4
    done = pod.place("two").call("exec", "--vm", "two", "/bin/sh", "-c", "cat /proc/1/comm; ls /proc/1/root/run/coffer")
    assert done.returncode == 0 and done.stdout.splitlines()[0] == "guest-1" and "root" in done.stdout, done
    rows = pod.call("ps", "--format", "json", "two")
    assert rows.returncode == 0 and len(json.loads(rows.stdout)) == 1, rows


def test_output_of_one_that_nobody_reads_holds_up_nobody(pod):
    r, w = os.pipe()
    try:
        place = pod.place("loud")
        place.write(["sh", "-c", "yes"], lambda c: c.update(annotations={POD: "pod"}))
        subprocess.run(place.argv("run", "--detach", "--bundle", str(place.top / "bundle"), "loud"), stdout=w,
                       stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=place.environ(), check=True,
                       timeout=env.seconds(120))
        time.sleep(1)
        pod.start("two", "sh", "-c", "dd if=/dev/zero bs=1M count=4 2>/dev/null | wc -c; exec sleep 1000")
        libengine.wait_for("the other's output", lambda: pod.out("two") == "4194304\n", 60)
        assert pod.sh("pod", "echo well") == "well\n"
    finally:
        os.close(r)
        os.close(w)


# ---- limits, statistics, pause ----

def limited(bytes):
    def change(config):
        config["linux"].setdefault("resources", {})["memory"] = {"limit": bytes}
    return change


def stats(pod, name):
    done = pod.call("events", "--stats", name)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def test_limits_are_of_each_in_the_guest(pod):
    pod.start("two", *SLEEP, change=limited(64 << 20))
    assert stats(pod, "two")["memory"]["usage"]["limit"] == 64 << 20
    assert stats(pod, "pod")["memory"]["usage"]["limit"] > 128 << 20
    assert stats(pod, "two")["pids"]["current"] == 1
    assert pod.exec("two", "tail", "/dev/zero").returncode == 137
    assert (pod.first.state / "two" / "oom_kills").stat().st_size == 1
    assert (pod.first.state / "pod" / "oom_kills").stat().st_size == 0
    assert pod.sh("pod", "echo well") == "well\n"
    done = pod.call("update", "--memory", str(96 << 20), "two")
    assert done.returncode == 0, done.stderr
    assert stats(pod, "two")["memory"]["usage"]["limit"] == 96 << 20
    groups = pod.machine()("cat /sys/fs/cgroup/guest-1/memory.max /sys/fs/cgroup/guest/memory.max").split()
    assert groups == [str(96 << 20), "max"]


def test_pause_of_one(pod):
    # Never empty, at whatever moment it is stopped.
    tick = "i=0; while :; do i=$((i+1)); echo $i >/dev/shm/next; mv /dev/shm/next /dev/shm/tick; usleep 20000; done"
    pod.start("two", "sh", "-c", tick)
    read = "cat /dev/shm/tick"
    libengine.wait_for("it to tick", lambda: pod.exec("pod", "sh", "-c", read).returncode == 0, 30)
    assert pod.call("pause", "two").returncode == 0
    assert (pod.state("two"), pod.state("pod")) == ("paused", "running")
    before = pod.sh("pod", read)
    time.sleep(0.5)
    assert pod.sh("pod", read) == before != ""
    assert pod.call("resume", "two").returncode == 0
    libengine.wait_for("it to go on", lambda: pod.sh("pod", read) not in ("", before), 30)
    # Frozen, it can still be killed.
    assert pod.call("pause", "two").returncode == 0
    assert pod.call("kill", "two", "KILL").returncode == 0
    pod.wait("two")
    assert pod.state("pod") == "running"


def test_pause_of_the_machine(pod):
    pod.start("two", *SLEEP)
    assert pod.call("pause", "pod").returncode == 0
    assert pod.call("resume", "pod").returncode == 0
    assert pod.sh("two", "echo on") == "on\n"


SIGNAL, SAVE, JOIN, PAUSE = 3, 8, 9, 10


def control(pod, name):
    """A connection to its keeper, as the runtime has them."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    dir = os.open(pod.first.state / name, os.O_PATH)
    s.connect("/proc/self/fd/%d/control.sock" % dir)
    os.close(dir)
    return s


def request(kind):
    return struct.pack("<5I", kind, 0, 0, 0, 0)


def test_a_pod_is_not_saved(pod):
    """The engine's order, given to the keeper as it gives it: refused, and all goes on."""
    pod.start("two", *SLEEP)
    for name in ("pod", "two"):
        s = control(pod, name)
        file = os.memfd_create("save")
        socket.send_fds(s, [request(SAVE)], [file])
        answer = s.recv(4096)
        assert struct.unpack_from("<I", answer)[0] == 2 and b"further containers" in answer, answer
        os.close(file)
    assert pod.sh("two", "echo on") == "on\n"


# ---- ends ----

def test_kill_9_of_the_keeper_of_one(pod):
    pod.start("two", "sh", "-c", "while :; do echo x >/dev/shm/alive; usleep 20000; done")
    libengine.wait_for("it to run", lambda: pod.exec("pod", "cat", "/dev/shm/alive").returncode == 0, 30)
    os.kill(pod.pid("two"), signal.SIGKILL)
    pod.wait("two")
    look = pod.machine()
    libengine.wait_for("the guest to have nothing of it", lambda: "guest-1" not in look("ls /sys/fs/cgroup"), 30)
    pod.sh("pod", "rm /dev/shm/alive")
    time.sleep(0.3)
    assert pod.exec("pod", "cat", "/dev/shm/alive").returncode != 0
    assert pod.call("delete", "two").returncode == 0
    # Its place can be taken, by one of the same name.
    pod.start("two", *SLEEP)
    assert pod.sh("two", "echo anew") == "anew\n"


def test_kill_9_of_the_pods_keeper_takes_all(pod):
    place = pod.place("two")
    place.write(SLEEP, lambda c: c.update(annotations={POD: "pod"}))
    two = subprocess.Popen(place.argv("run", "--bundle", str(place.top / "bundle"), "two"), stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=place.environ())
    pod.wait("two", "running")
    libengine.wait_for("it to run", lambda: pod.exec("two", "true").returncode == 0, 30)
    os.kill(pod.pid("pod"), signal.SIGKILL)
    assert two.wait(env.seconds(30)) == 137
    pod.wait("pod")
    done = place.call("start", "two")
    assert done.returncode != 0


def below(pid):
    """All processes that came of it."""
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        children = [int(word) for word in f.read().split()]
    return children + [p for child in children for p in below(child)]


def test_kill_9_of_what_serves_one_or_all(pod):
    """The further one's file share; then the hypervisor.  No process of theirs is left."""
    pod.start("two", *SLEEP)
    share, = below(pod.pid("two"))
    os.kill(share, signal.SIGKILL)
    pod.wait("two")
    assert pod.sh("pod", "echo on") == "on\n"
    look = pod.machine()
    libengine.wait_for("the guest to have nothing of it", lambda: "guest-1" not in look("ls /sys/fs/cgroup"), 30)
    assert pod.call("delete", "two").returncode == 0
    pod.start("two", *SLEEP)
    all = [pod.pid("two"), *below(pod.pid("two")), *below(pod.pid("pod"))]
    machine, = [p for p in all if "qemu" in open("/proc/%d/comm" % p).read()]
    os.kill(machine, signal.SIGKILL)
    pod.wait("two")
    pod.wait("pod")
    libengine.wait_for("all to be gone", lambda: not any(os.path.exists("/proc/%d" % p) for p in all), 30)


def test_deletion_of_the_sandbox_takes_all(pod):
    pod.start("two", *SLEEP)
    pod.start("three", *SLEEP)
    assert pod.call("delete", "--force", "pod").returncode == 0
    for name in ("two", "three"):
        pod.wait(name)
        assert pod.call("delete", name).returncode == 0, name


def test_the_first_ones_own_end_takes_all(pod):
    pod.start("two", *SLEEP)
    assert pod.call("kill", "pod", "TERM").returncode == 0
    pod.wait("pod")
    pod.wait("two")
    done = pod.exec("two", "true")
    assert done.returncode != 0 and "stopped" in done.stderr or "not running" in done.stderr, done


def test_what_was_written_by_mapping_is_there_at_the_end(pod):
    """The guest's cache goes to the host's files before the container's end is told."""
    done = pod.place("w").run("sh", "-c", "dd if=/dev/urandom of=/big bs=1M count=8 2>/dev/null; md5sum </big", name="w",
                              change=lambda c: c.update(annotations={POD: "pod"}))
    assert done.returncode == 0, done
    import hashlib
    data = (pod.place("w").rootfs / "big").read_bytes()
    assert hashlib.md5(data).hexdigest() in done.stdout


def test_many_come_and_go(pod):
    """As many as there is room for at once; the next one is told; and all places are free again."""
    started = []
    for n in range(15):
        name = "m%d" % n
        reason = pod.create(name, *SLEEP)
        assert reason == ""
        done = pod.call("start", name)
        if done.returncode:
            assert n == 14 and "has 14 further containers, and has room for no more" in done.stderr, (n, done.stderr)
            break
        started.append(name)
    else:
        raise AssertionError("no limit")
    assert pod.sh("m13", "echo well") == "well\n"
    for name in started:
        assert pod.call("delete", "--force", name).returncode == 0
    pod.start("again", *SLEEP)
    assert pod.sh("again", "echo well") == "well\n"


# ---- what is refused ----

@pytest.mark.parametrize("notes, words", [
    ({POD: "nobody"}, 'there is no container "nobody", into whose machine this one is to go'),
    ({POD: "../pod"}, '"../pod" is no id of a container'),
    ({POD: "two"}, "a container cannot be in its own machine as a further one"),
    ({POD: "nobody", "dev.coffer.vm.snapshot": "any"}, "a container cannot both go into a machine and begin with a saved one"),
    ({"io.kubernetes.cri.container-type": "container"}, "says \"container\", and io.kubernetes.cri.sandbox-id is not there"),
])
def test_pods_that_cannot_be(empty, notes, words):
    reason = empty.create("two", *SLEEP, notes=notes)
    assert words in reason, reason


def test_a_pod_that_is_no_machine(empty):
    place = empty.place("pod")
    place.write(SLEEP)
    subprocess.run([env.OCI, "--root", str(place.state), "run", "--detach", "--bundle", str(place.top / "bundle"), "pod"],
                   check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    reason = empty.create("two", *SLEEP)
    assert 'the container "pod" is not of isolation level "vm": it has no machine for others' in reason, reason


def test_a_pod_that_has_not_begun_or_has_ended(empty):
    assert empty.create("pod", *SLEEP) == ""
    reason = empty.create("two", *SLEEP)
    assert 'the machine of container "pod" has not been started' in reason, reason
    assert empty.call("start", "pod").returncode == 0
    assert empty.create("two", *SLEEP) == ""
    assert empty.call("kill", "pod", "KILL").returncode == 0
    empty.wait("pod")
    done = empty.call("start", "two")
    assert done.returncode != 0 and 'the container "pod" has ended' in done.stderr.replace("\\", ""), done.stderr
    reason = empty.create("three", *SLEEP)
    assert 'the container "pod" has ended' in reason, reason


def test_a_further_container_has_no_machine_for_others(pod):
    pod.start("two", *SLEEP)
    assert pod.create("three", *SLEEP, notes={POD: "two"}) == ""
    done = pod.call("start", "three")
    assert done.returncode != 0 and "that container is itself one of a pod" in done.stderr, done.stderr


def with_pids_of(pod, name):
    def change(config):
        bundle.without_namespace(config, "pid")
        config["linux"]["namespaces"].append({"type": "pid", "path": "/proc/%d/ns/pid" % pod.pid(name)})
    return change


def commands(pod, name):
    return pod.sh(name, "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null").splitlines()


def test_processes_in_common(pod):
    """As with shareProcessNamespace: the sandbox container's pid namespace is everybody's."""
    pod.start("two", "sleep", "2000", notes=CRI, change=with_pids_of(pod, "pod"))
    pod.start("three", "sleep", "3000", notes=CRI)
    link = "readlink /proc/self/ns/pid"
    assert pod.sh("two", link) == pod.sh("pod", link) != pod.sh("three", link)
    for name in ("pod", "two"):
        seen = commands(pod, name)
        assert "sleep 2000 " in seen and "sleep 3000 " not in seen and not [c for c in seen if "coffer" in c], seen
        assert pod.sh(name, "cat /proc/1/cmdline").startswith("sh"), "the first container's process is everybody's pid 1"
    # `ps`, limits and the end are each one's own.
    assert len(json.loads(pod.call("ps", "--format", "json", "two").stdout)) == 1
    assert pod.sh("two", "echo $$").strip() != "1"
    pod.sh("pod", "kill -9 $(pidof sleep | tr ' ' '\\n' | while read p; do grep -q 2000 /proc/$p/cmdline && echo $p; done)")
    pod.wait("two")
    assert pod.state("pod") == pod.state("three") == "running"
    look = pod.machine()
    libengine.wait_for("the guest to have nothing of it", lambda: "guest-1" not in look("ls /sys/fs/cgroup"), 30)
    assert "agent-1" not in look("ls /sys/fs/cgroup")


def test_kill_9_of_the_keeper_of_one_with_processes_in_common(pod):
    pod.start("two", "sleep", "2000", notes=CRI, change=with_pids_of(pod, "pod"))
    assert pod.exec("two", "sh", "-c", "sleep 4000 </dev/null >/dev/null 2>&1 &").returncode == 0
    assert {"sleep 2000 ", "sleep 4000 "} <= set(commands(pod, "pod"))
    os.kill(pod.pid("two"), signal.SIGKILL)
    pod.wait("two")
    libengine.wait_for("its processes to go", lambda: not {"sleep 2000 ", "sleep 4000 "} & set(commands(pod, "pod")), 30)
    look = pod.machine()
    libengine.wait_for("its groups to go", lambda: not [g for g in look("ls /sys/fs/cgroup").split() if g.endswith("-1")], 30)


def test_pids_of_others_are_refused(pod):
    pod.start("two", *SLEEP)
    for change in (with_pids_of(pod, "two"), lambda c: c["linux"]["namespaces"].append({"type": "pid", "path": "/proc/self/ns/pid"})):
        def also(config, change=change):
            bundle.without_namespace(config, "pid")
            change(config)
        reason = pod.create("three", *SLEEP, change=also)
        assert "has the processes of the pod's first container, or its own" in reason, reason


def test_namespaces_of_the_sandbox_as_containerd_names_them(pod):
    def change(config):
        for kind in ("network", "ipc", "uts"):
            bundle.without_namespace(config, kind)
            file = {"network": "net"}.get(kind, kind)
            config["linux"]["namespaces"].append({"type": kind, "path": "/proc/%d/ns/%s" % (pod.pid("pod"), file)})
        config.pop("hostname", None)
    pod.start("two", *SLEEP, notes=CRI, change=change)
    assert pod.sh("two", "hostname") == pod.sh("pod", "hostname")


def test_the_sandboxs_machine_has_the_size_of_its_pod(empty):
    def change(config):
        config["annotations"] = {"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-memory": str(200 << 20)}
    empty.start("pod", *SLEEP, change=change)
    kib = int(empty.sh("pod", "grep MemTotal /proc/meminfo").split()[1])
    assert 200 << 10 <= kib <= (200 + 64) << 10, kib


# ---- a hypervisor and a guest that do not keep to it ----

RUNS = """
    polite()
    console("a kernel\\n")
    process = running()
"""


def played(empty, scene, seconds=60):
    empty.first.seconds = seconds
    empty.first.play(RUNS + scene)
    empty.start("pod", *SLEEP)
    empty.place("two").seconds = seconds
    return empty


def test_a_guest_that_speaks_of_one_that_never_was(empty):
    pod = played(empty, """
    say(LEFT, struct.pack("<I", 77))
    hang()
""")
    time.sleep(0.5)
    assert pod.state("pod") == "running"


@pytest.mark.parametrize("size", [0, 3, 8])
def test_a_guest_that_says_nonsense_of_one(empty, size):
    pod = played(empty, """
    say(LEFT, bytes(%d))
    hang()
""" % size)
    pod.wait("pod")
    assert "LEFT of %d bytes" % size in (pod.first.state / "pod" / "console.log").read_text()


def test_a_hypervisor_without_further_ports(empty):
    pod = played(empty, """
    refused = b"device_add"
    hang()
""")
    time.sleep(0.3)
    assert pod.create("two", *SLEEP) == ""
    done = pod.call("start", "two")
    assert done.returncode != 0 and "cannot give the machine a further port: QEMU says: none to be had" in done.stderr, done.stderr
    assert pod.state("pod") == "running"


def test_an_agent_that_refuses(empty):
    pod = played(empty, """
    process, id = up_to(MEMBER)
    answer(id, -1, 0, b"not here")
    hang()
""")
    assert pod.create("two", *SLEEP) == ""
    done = pod.call("start", "two")
    assert done.returncode != 0 and "not here" in done.stderr, done.stderr
    assert pod.state("pod") == "running"


def test_a_member_of_whom_nothing_is_heard(empty):
    pod = played(empty, """
    process, id = up_to(MEMBER)
    answer(id)
    hang()
""")
    assert pod.create("two", *SLEEP) == ""
    pod.place("two").seconds = 2
    pod.call("delete", "--force", "two")
    assert pod.create("two", *SLEEP) == ""
    begin = time.monotonic()
    done = pod.call("start", "two")
    assert done.returncode != 0 and "its agent did not report" in done.stderr and "nothing for" in done.stderr, done.stderr
    assert time.monotonic() - begin < env.seconds(30)
    assert pod.state("pod") == "running"


def test_a_guest_that_lets_go_of_one_at_once(empty):
    pod = played(empty, """
    process, id = up_to(MEMBER)
    answer(id)
    say(LEFT, struct.pack("<I", 1))
    hang()
""")
    assert pod.create("two", *SLEEP) == ""
    done = pod.call("start", "two")
    assert done.returncode != 0 and "the pod's machine has ended, or has let go of this container" in done.stderr, done.stderr
    assert pod.state("pod") == "running"


def console(pod):
    return (pod.first.state / "pod" / "console.log").read_text()


def test_who_asks_for_a_pause_and_does_not_wait(empty):
    """He says that the container runs, whatever becomes of it: so it is to run."""
    pod = played(empty, """
    PAUSE, RESUME = 80, 81
    process, id = up_to(PAUSE)
    time.sleep(1)
    answer(id)
    process, id = up_to(RESUME)
    say(LOG, b"it goes on\\n")
    answer(id)
    hang()
""")
    with control(pod, "pod") as s:
        s.send(request(PAUSE))
    libengine.wait_for("the guest to be told", lambda: "it goes on" in console(pod), 30)
    assert pod.state("pod") == "running"


def stands(pid):
    """All its threads have been stopped."""
    dir = "/proc/%d/task/" % pid
    return all(open(dir + tid + "/stat").read().rpartition(")")[2].split()[0] == "T" for tid in os.listdir(dir))


def test_who_comes_while_the_machine_is_saved_waits(empty):
    """From the order to freeze on nothing is said to the agent, even where both are there at one moment."""
    pod = played(empty, """
    FREEZE = 77
    process, id = up_to(FREEZE)
    agent.settimeout(1)
    try:
        say(LOG, b"heard %d\\n" % hear()[0])
    except TimeoutError:
        say(LOG, b"heard nothing\\n")
    agent.settimeout(None)
    answer(id, -16, 0, b"no")
    process, id = up_to(MEMBER)
    answer(id, -1, 0, b"not here")
    hang()
""")
    keeper, ports = pod.pid("pod"), socket.socketpair()
    with control(pod, "pod") as joins, control(pod, "pod") as saves:
        for s in joins, saves:  # both are accepted when they have been answered
            s.send(request(SIGNAL))
            s.recv(4096)
        # It stands only some time after it was told to; what comes before that it reads at once.
        os.kill(keeper, signal.SIGSTOP)
        libengine.wait_for("the keeper to stand", lambda: stands(keeper), 30)
        socket.send_fds(joins, [request(JOIN)], [p.fileno() for p in ports])
        file = os.memfd_create("save")
        socket.send_fds(saves, [request(SAVE)], [file])
        os.close(file)
        os.kill(keeper, signal.SIGCONT)
        libengine.wait_for("the guest to have heard", lambda: "heard" in console(pod), 30)
        assert "heard nothing" in console(pod), console(pod)
        assert b"not here" in joins.recv(4096), "it has its turn"
