# SPDX-License-Identifier: Apache-2.0
"""Looking into a machine that runs: `exec --vm`, the console, want of memory, statistics, limits."""
import json
import os
import re
import subprocess

import pytest

import libengine
import machines
from harness import env
from libengine import wait_for


@pytest.fixture
def place(tmp_path):
    if not env.IS_COFFER or os.geteuid() != 0 or not os.path.exists(machines.QEMU):
        pytest.skip("level vm needs root and QEMU")
    machines.kernel()
    p = machines.Place(tmp_path)
    yield p
    p.call("delete", "--force", "one")
    assert p.left() == []


@pytest.fixture
def started(place):
    """started(args, change): a container that runs, by coffer-oci."""
    def start(*args, change=None):
        place.create(*args, change=change)
        done = place.call("start", "one")
        assert done.returncode == 0, done.stderr
        return place
    return start


def limited(bytes, **cpu):
    def change(config):
        config["linux"].setdefault("resources", {})["memory"] = {"limit": bytes}
        if cpu:
            config["linux"]["resources"]["cpu"] = cpu
    return change


# ---- exec --vm ----

def test_exec_beside_the_container(started):
    place = started("sleep", "1000")
    (place.rootfs / "mark").write_text("of the image\n")
    script = "cat /mark; id -u; cat /proc/1/cmdline | tr '\\0' ' '; echo; ls /proc/1/root; readlink /proc/self/ns/pid; " \
             "readlink /proc/1/ns/pid; grep CapEff /proc/self/status; head -c 0 /dev/kmsg && echo kernel log; " \
             "cat /sys/fs/cgroup/cgroup.controllers"
    done = place.call("exec", "--vm", "one", "/bin/sh", "-c", script)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["of the image", "0", "/init "], lines
    assert "init" in lines and "kernel log" in lines and any("memory" in x for x in lines[-1:])
    spaces = [x for x in lines if x.startswith("pid:[")]
    assert len(spaces) == 2 and len(set(spaces)) == 1, lines
    caps = next(x for x in lines if x.startswith("CapEff"))
    assert int(caps.split()[1], 16) & (1 << 21), caps  # CAP_SYS_ADMIN
    # The container itself is as it was: its own pids, its own rights, its own mounts.
    done = place.call("exec", "one", "/bin/sh", "-c", "cat /proc/1/cmdline; grep CapEff /proc/self/status; ls /dev")
    assert done.stdout.startswith("sleep") and "kmsg" not in done.stdout, done.stdout
    assert not int(re.search("CapEff:\t(.*)", done.stdout).group(1), 16) & (1 << 21)


def test_exec_beside_the_container_ends_as_its_command(started):
    place = started("sleep", "1000")
    assert place.call("exec", "--vm", "one", "sh", "-c", "exit 9").returncode == 9
    done = place.call("exec", "--vm", "one", "nowhere")
    assert done.returncode == 127 and '"nowhere": no such program in the machine' in done.stderr, done.stderr
    done = place.call("exec", "--vm", "--user", "5:7", "--cwd", "/tmp", "one", "sh", "-c", "id -u; id -g; pwd; cat",
                      input="typed\n")
    assert done.stdout.split() == ["5", "7", "/tmp", "typed"], done


def test_exec_vm_is_for_machines(place):
    place.write(["sleep", "1000"])
    oci = [env.OCI, "--root", str(place.top / "state")]
    subprocess.run(oci + ["run", "--detach", "--bundle", str(place.top / "bundle"), "one"], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    done = subprocess.run(oci + ["exec", "--vm", "one", "true"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 255 and "has no machine: its kernel is the host's" in done.stderr


# ---- want of memory ----

def test_events_tell_of_a_guest_that_has_no_memory(started):
    place = started("sleep", "1000", change=limited(96 << 20))
    events = subprocess.Popen(place.argv("events", "--interval", "1s", "one"), stdout=subprocess.PIPE, text=True,
                              env=place.environ())
    try:
        assert json.loads(events.stdout.readline())["type"] == "stats"
        assert place.call("exec", "one", "tail", "/dev/zero").returncode == 137
        for line in events.stdout:
            if json.loads(line) == {"type": "oom", "id": "one"}:
                break
        else:
            raise AssertionError("no word of it")
    finally:
        events.kill()
        events.wait()
    state = place.top / "state" / "one"
    assert (state / "oom_kills").stat().st_size == 1
    assert "killed for want of memory" in (state / "console.log").read_text(errors="replace")


def test_a_program_that_is_killed_for_want_of_memory_ends_with_137(place):
    done = place.run("tail", "/dev/zero", change=limited(96 << 20))
    assert done.returncode == 137, done


# ---- statistics and limits ----

def stats(place):
    done = place.call("events", "--stats", "one")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def test_statistics_are_of_the_container_in_the_machine(started):
    place = started("sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=40 2>/dev/null; echo full; sleep 1000 & wait",
                    change=limited(128 << 20))
    libengine.wait_for("the memory to be filled", lambda: "full" in (place.top / "out").read_text(), 60)
    s = stats(place)
    assert s["memory"]["usage"]["limit"] == 128 << 20
    assert 40 << 20 <= s["memory"]["usage"]["usage"] < 100 << 20, s["memory"]["usage"]
    assert s["pids"]["current"] == 2


def test_update_within_the_machine_and_beyond(started):
    place = started("sleep", "1000", change=limited(128 << 20))
    done = place.call("update", "--memory", str(64 << 20), "one")
    assert done.returncode == 0, done.stderr
    assert stats(place)["memory"]["usage"]["limit"] == 64 << 20
    inside = place.call("exec", "--vm", "one", "sh", "-c", "cat /sys/fs/cgroup/*/memory.max /sys/fs/cgroup/*/*/memory.max")
    assert str(64 << 20) in inside.stdout.split(), inside
    done = place.call("update", "--memory", str(512 << 20), "one")
    assert done.returncode != 0 and "a running one cannot grow" in done.stderr, done.stderr
    assert stats(place)["memory"]["usage"]["limit"] == 64 << 20


def resident(place):
    """Bytes of the hypervisor's memory on the host."""
    pid = next(int(m) for m in re.findall(r"the hypervisor runs: pid (\d+)", place.log.read_text()))
    init = json.loads(place.call("state", "one").stdout)["pid"]
    for child in open("/proc/%d/task/%d/children" % (init, init)).read().split():
        status = open("/proc/%s/status" % child).read()
        if re.search(r"^Name:\tqemu", status, re.M):
            rollup = open("/proc/%s/smaps_rollup" % child).read()
            return 1024 * int(re.search(r"^Rss:\s+(\d+)", rollup, re.M).group(1))
    raise AssertionError("no hypervisor (pid %d in its namespace) below %d" % (pid, init))


def test_what_a_guest_frees_goes_back_to_the_host(started):
    place = started("sleep", "1000", change=limited(256 << 20))
    before = resident(place)
    fill = "mkdir -p /tmp/m && mount -t tmpfs -o size=200m t /tmp/m && dd if=/dev/zero of=/tmp/m/x bs=1M count=150 && " \
           "echo full && read x"
    hog = subprocess.Popen(place.argv("exec", "--vm", "one", "sh", "-c", fill), stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=place.environ())
    assert hog.stdout.readline() == "full\n"
    assert resident(place) > before + (120 << 20)
    hog.communicate("\n", timeout=env.seconds(60))  # its mounts go with it
    libengine.wait_for("the memory to go back", lambda: resident(place) < before + (60 << 20), 60, 1)


# ---- the engine ----

@pytest.fixture(scope="module")
def coffer():
    if os.geteuid() != 0 or not os.path.exists(machines.QEMU):
        pytest.skip("level vm needs root and QEMU")
    machines.kernel()
    engine = libengine.Coffer()
    engine.environ["COFFER_VM_START_SECONDS"] = str(int(env.seconds(120)))
    yield engine
    engine.clear()
    engine.close()


VM = ["--isolation", "vm", "--network", "none"]


def test_console_and_exec_by_the_engine(coffer):
    cid = coffer.out("run", "-d", *VM, libengine.IMAGE, "sleep", "1000", limit=200)
    coffer("exec", "--vm", cid, "sh", "-c", "echo one >/dev/ttyS0; echo two >/dev/ttyS0; echo three >/dev/ttyS0")
    libengine.wait_for("the console", lambda: "three" in coffer("logs", "--vm", cid).stdout, 20)
    assert coffer("logs", "--vm", "-n", "2", cid).stdout.split() == ["two", "three"]
    assert coffer("logs", cid).stdout == ""
    follow = subprocess.Popen(coffer.base + ["logs", "--vm", "-f", "-n", "1", cid], stdout=subprocess.PIPE, text=True,
                              env=coffer.environ)
    assert follow.stdout.readline().strip() == "three"
    coffer("exec", "--vm", cid, "sh", "-c", "echo four >/dev/ttyS0")
    assert follow.stdout.readline().strip() == "four"
    assert coffer("exec", "--vm", "-i", cid, input="cat /proc/1/cmdline\n").stdout.startswith("/init")
    assert "requires at least 2 arguments" in coffer("exec", cid, rc=None).stderr
    done = coffer("logs", "--vm", "--since", "1m", cid, rc=None)
    assert done.returncode != 0 and "a console has no times" in done.stderr, done.stderr
    coffer("kill", cid)
    assert follow.wait(env.seconds(30)) == 0
    # It ended; what its machine said stays with it.
    coffer("wait", cid)
    assert "four" in coffer("logs", "--vm", cid).stdout
    coffer("rm", cid)


def test_terminal_beside_the_container(coffer):
    cid = coffer.out("run", "-d", *VM, libengine.IMAGE, "sleep", "1000", limit=200)
    t = coffer.tty("exec", "--vm", "-it", cid, rows=33, cols=77)
    t.send("stty size; tty; readlink /proc/1/exe\n")
    t.expect("33 77", 60)
    t.expect("/dev/pts/")
    t.expect("/init")
    t.send("exit 4\n")
    assert t.code() == 4
    coffer("rm", "-f", cid)


def test_console_of_a_start_that_failed(coffer):
    # A size of its own: no template of it can be there, so that it must boot.
    cid = coffer.out("create", *VM, "-m", "167m", libengine.IMAGE, "sleep", "1000")
    done = coffer("logs", "--vm", cid, rc=None)
    assert done.returncode != 0 and "no console" in done.stderr
    patience = coffer.environ["COFFER_VM_START_SECONDS"]
    coffer.environ["COFFER_VM_START_SECONDS"] = "1"
    try:
        done = coffer("start", cid, rc=None)
    finally:
        coffer.environ["COFFER_VM_START_SECONDS"] = patience
    assert done.returncode != 0 and ("nothing for 1 s" in done.stderr or "within 1 seconds" in done.stderr), done.stderr
    told = coffer("logs", "--vm", cid).stdout
    assert "nothing for 1 s" in told or "within 1 seconds" in done.stderr, told
    coffer("rm", "-f", cid)


def test_inspect_and_events_tell_of_want_of_memory(coffer):
    cid = coffer.out("run", "-d", *VM, "-m", "96m", libengine.IMAGE, "sh", "-c", "sleep 2; exec tail /dev/zero", limit=200)
    assert coffer("wait", cid, limit=120).stdout.strip() == "137"
    assert coffer.inspect(cid, "{{.State.OOMKilled}} {{.State.ExitCode}}") == "true 137"
    log = coffer("events", "--since", "10m", "--until", "0s", "-f", "container=" + cid, "--format", "{{.Action}}").stdout
    assert log.split().index("oom") < log.split().index("die")
    coffer("rm", cid)


def test_stats_of_the_engine(coffer):
    cid = coffer.out("run", "-d", *VM, "-m", "128m", libengine.IMAGE, "sleep", "1000", limit=200)
    line = coffer("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", cid).stdout.strip()
    used, unit, limit, pids = re.fullmatch(r"([\d.]+)([KM])iB / (\S+) (\d+)", line).groups()
    assert limit == "128MiB" and (unit == "K" or 0 < float(used) < 100) and pids == "1", line
    coffer("rm", "-f", cid)


# ---- a root that is read-only ----

def read_only(*mounts):
    def change(config):
        config["root"]["readonly"] = True
        config["mounts"] += [{"destination": at, "type": "bind", "source": str(source), "options": ["bind", mode]}
                             for at, source, mode in mounts]
    return change


@pytest.mark.parametrize("volume, whole", [((), True), ((("/v", "ro"),), True), ((("/v", "rw"),), False)],
                         ids=["alone", "read-only volume", "volume"])
def test_a_share_that_nobody_may_write_to_is_read_only_as_a_whole(started, place, volume, whole):
    """Then the guest asks for no time of access of what was read."""
    (place.rootfs / "read").write_text("well\n")
    (place.top / "v").mkdir()
    started("sleep", "1000", change=read_only(*((at, place.top / "v", mode) for at, mode in volume)))
    options = place.call("exec", "one", "awk", "$5 == \"/\" { print $6 \" \" $NF }", "/proc/self/mountinfo").stdout.split()
    assert options[0].startswith("ro") and options[1].startswith("ro," if whole else "rw,"), options
    done = place.call("exec", "one", "sh", "-c", "cat /read; echo x >/new; echo x >/tmp/new || mount | grep tmp; echo x >/v/new; true")
    assert done.stdout.startswith("well\n") and "can't create /new: Read-only file system" in done.stderr, done
    assert (place.top / "v" / "new").exists() is (not whole)
    # What the host changes is seen, as ever.
    (place.rootfs / "read").write_text("anew\n")
    wait_for("the change", lambda: place.call("exec", "one", "cat", "/read").stdout == "anew\n", 30)
