# SPDX-License-Identifier: Apache-2.0
"""`coffer run --isolation=vm` on the bridge, with the default user namespace: what it is from outside, and how it ends.

A machine takes seconds where it is emulated, so that each is asked much.
"""
import json
import os
import signal
import subprocess

import pytest

from harness import env, leaks
from libengine import wait_for


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(p) for p in f.read().split()]


def name_of(pid):
    with open("/proc/%d/comm" % pid) as f:
        return f.read().strip()


def hypervisor(keeper):
    return next(p for p in children(keeper) if name_of(p).startswith("qemu"))


def test_a_machine_from_outside(vm, coffer, tmp_path):
    (tmp_path / "given").write_text("from the host")
    os.chmod(tmp_path, 0o755)
    cid = vm("-p", "127.0.0.1:8310:80", "--read-only", "--tmpfs", "/tmp", "-v", "pool:/pool", "-v", "%s:/host:ro" % tmp_path,
             "-m", "160m", "--cpus", "1", "-e", "GIVEN=yes", "-w", "/tmp", "-u", "0:5",
             "box", "sh", "-c", "echo started; echo page >/tmp/index.html; trap 'echo asked; exit 7' TERM; "
             "httpd -f -p 80 -h /tmp & while :; do sleep 0.1; done")
    out = coffer.out("exec", cid, "sh", "-c", "id -g; pwd; echo $GIVEN; nproc; free -m | awk '/^Mem/ { print $2 }'; cat /host/given; echo; "
                     "touch /x 2>&1; touch /host/x 2>&1; echo guest >/pool/guest; cat /proc/self/mountinfo | grep -c ' /pool '",
                     rc=None).splitlines()
    assert out[:4] == ["5", "/tmp", "yes", "1"]
    assert 100 < int(out[4]) <= 160 + 64, out  # the guest's kernel has its own beside the limit
    assert out[5] == "from the host" and sum("Read-only file system" in line for line in out) == 2 and out[-1] == "1"
    # What the guest writes the host sees at once; what the host writes the guest sees within what it believes.
    pool = os.path.join(coffer.scratch, "root/volumes/pool/_data")
    with open(pool + "/guest") as f:
        assert f.read() == "guest\n"
    with open(pool + "/host", "w") as f:
        f.write("host\n")
    wait_for("the host's file in the guest", lambda: coffer("exec", cid, "cat", "/pool/host", rc=None).stdout == "host\n")
    # Its network.
    assert coffer.here("busybox", "wget", "-qO-", "http://127.0.0.1:8310/index.html").stdout == "page\n"
    # Copies, statistics, processes, the clock that stands still.
    with open(coffer.scratch + "/in", "w") as f:
        f.write("copied")
    coffer("cp", cid + ":/pool/guest", coffer.scratch + "/out")
    with open(coffer.scratch + "/out") as f:
        assert f.read() == "guest\n"
    row = json.loads(coffer.out("stats", "--no-stream", "--format", "json", cid).splitlines()[0])
    assert int(row["PIDs"]) >= 2, row  # shell, httpd, and most often a sleep
    assert "httpd -f" in coffer.out("top", cid)
    coffer("pause", cid)
    assert coffer.status(cid) == "paused"
    coffer("unpause", cid)
    assert coffer.out("exec", cid, "echo", "awake") == "awake"
    assert coffer("exec", cid, "sh", "-c", "exit 9", rc=9).stdout == ""
    # Its end is its own.
    coffer("stop", "-t", "60", cid)
    assert coffer.inspect(cid, "{{.State.ExitCode}}") == "7"
    assert coffer("logs", cid).stdout == "started\nasked\n"


def test_names_of_a_network(vm, coffer):
    """The resolver at 127.0.0.11 of the namespace outside is asked by the guest, by UDP and TCP."""
    coffer("network", "create", "meadow")
    try:
        coffer.start("--network", "meadow", "--name", "lark", "--network-alias", "bird", "box", "sleep", "1000")
        cid = vm("--network", "meadow", "--name", "mole", "box", "sleep", "1000")
        want = coffer.inspect("lark", "{{.NetworkSettings.Networks.meadow.IPAddress}}")
        for name in ("lark", "bird"):
            assert "Address: " + want in coffer.out("exec", cid, "nslookup", name)
        mole = coffer.inspect(cid, "{{.NetworkSettings.Networks.meadow.IPAddress}}")
        assert "Address: " + mole in coffer.out("exec", "lark", "nslookup", "mole")
        # A question by TCP, as resolvers send it whose answer was cut: its length goes first. Who has asked
        # closes its half, and is answered.
        ask = r"printf '\0\026\0\001\001\0\0\001\0\0\0\0\0\0\004lark\0\0\001\0\001' | nc -w 60 169.254.53.53 53 | od -An -tu1 | tr -d '\n'"
        answer = coffer.out("exec", cid, "sh", "-c", ask).split()
        assert answer[-4:] == want.split("."), answer
        # Without that relay the machine goes on, and its console says what is the matter.
        relay, = [p for p in children(coffer.pid(cid)) if name_of(p) == "coffer-vm-names"]
        os.kill(relay, signal.SIGKILL)
        wait_for("a word of it", lambda: "the relay of names has ended (wait status 9)" in coffer.out("logs", "--vm", cid))
        assert coffer.out("exec", cid, "echo", "on") == "on"
    finally:
        coffer.clear()
        coffer("network", "rm", "meadow", rc=None)


def test_a_terminal(coffer, template):
    t = coffer.tty("run", "-it", "--rm", "--isolation=vm", *coffer.run_options(), "box", "sh", "-c",
                   "stty size; read x; stty size; exit 5", rows=30, cols=90)
    t.expect("30 90", limit=120)
    t.resize(44, 132)
    t.send("on\n")
    t.expect("44 132", limit=60)
    assert t.code(60) == 5


def test_a_killed_helper_is_the_end_of_the_container(vm, coffer):
    """The hypervisor and the keeper; in the machine, where pid 1 cannot be killed, the process that carries its files."""
    cid = vm("box", "sleep", "1000")
    relay = "for p in /proc/[0-9]*; do read name <$p/comm; [ $name != fuse-relay ] || kill -9 ${p#/proc/}; done"
    word = "its machine ended; the console's last word of it: "
    for end, why in ((lambda: os.kill(hypervisor(coffer.pid(cid)), signal.SIGKILL), word + "the hypervisor ended (signal 9)"),
                     (lambda: os.kill(coffer.pid(cid), signal.SIGKILL), "the container's kernel was ended by signal 9 (Killed)"),
                     (lambda: coffer("exec", "--vm", cid, "sh", "-c", relay, rc=None), word)):
        end()
        coffer.wait_status(cid, "exited", limit=60)
        assert coffer.inspect(cid, "{{.State.ExitCode}}") == "137"
        assert coffer.inspect(cid, "{{.State.Error}}").startswith(why)
        coffer("start", cid, limit=120)
        assert coffer.out("exec", cid, "echo", "again") == "again"


def test_what_stands_on_the_console_is_the_guests_word(vm, coffer):
    """A program's own status of 137 is no end of a machine; a line that looks like the keeper's is text."""
    for line, error in (("coffer: no end", ""),
                        ("coffer: the machine has ended: \\033[31mred", "its machine ended; the console's last word of it: ?[31mred")):
        cid = vm("box", "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 137")
        coffer("exec", "--vm", cid, "sh", "-c", "printf '%s\\n' >/dev/console" % line)
        coffer("exec", cid, "touch", "/go")
        coffer.wait_status(cid, "exited", limit=60)
        assert coffer.inspect(cid, "{{.State.ExitCode}}") == "137"
        assert coffer.inspect(cid, "{{.State.Error}}") == error


def test_a_panic_of_the_guest_is_the_end_of_the_container(vm, coffer):
    """The agent is the guest's pid 1."""
    cid = vm("--security-opt", "systempaths=unconfined", "box", "sleep", "1000")
    coffer("exec", cid, "sh", "-c", "echo c >/proc/sysrq-trigger", rc=None)
    coffer.wait_status(cid, "exited", limit=60)
    assert coffer.inspect(cid, "{{.State.ExitCode}}") == "137"


def monitor_of(keeper):
    with open("/proc/%d/status" % keeper) as f:
        pid = next(int(line.split()[1]) for line in f if line.startswith("PPid:"))
    assert name_of(pid).startswith("coffer-monitor")
    return pid


@pytest.mark.parametrize("moment", ["running", "exec", "stop"])
def test_a_killed_monitor_leaves_what_can_be_removed(vm, coffer, moment):
    cid = vm("box", "sh", "-c", "trap 'echo asked' TERM; echo up; while :; do sleep 0.1; done")
    wait_for("the trap", lambda: coffer("logs", cid).stdout == "up\n")
    keeper, words = coffer.pid(cid), {"exec": ["exec", cid, "sh", "-c", "touch /there; sleep 1000"], "stop": ["stop", "-t", "1000", cid]}
    command = subprocess.Popen(coffer.base + words[moment], env=coffer.environ) if moment in words else None
    if moment == "exec":
        wait_for("the command", lambda: coffer("exec", cid, "test", "-e", "/there", rc=None).returncode == 0)
    if moment == "stop":
        wait_for("the signal", lambda: "asked" in coffer("logs", cid).stdout)
    os.kill(monitor_of(keeper), signal.SIGKILL)
    coffer("rm", "-f", cid)
    wait_for("the keeper to go", lambda: not os.path.exists("/proc/%d" % keeper))
    if command:
        command.wait(env.seconds(60))
    assert not coffer.leftovers()


def test_a_monitor_that_is_killed_while_its_machine_boots(template, coffer):
    word = "started for nobody"
    run = subprocess.Popen(coffer.base + ["run", "--name", "cut", "--isolation=vm", *coffer.run_options(), "box", "echo", word],
                           env=coffer.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def monitors():
        return [p for p, line in leaks.processes(coffer.environ["COFFER_TEST"]).items() if "coffer-monitor" in line.partition(" ")[0]]
    wait_for("the monitor", monitors, 60)
    for pid in monitors():
        os.kill(pid, signal.SIGKILL)
    out, err = run.communicate(timeout=env.seconds(120))
    assert run.returncode != 0 and err or word in out, (run.returncode, out, err)
    coffer("rm", "-f", "cut")
    wait_for("all to go", lambda: not coffer.leftovers())
    wait_for("its processes to go", lambda: not leaks.processes(coffer.environ["COFFER_TEST"]))
