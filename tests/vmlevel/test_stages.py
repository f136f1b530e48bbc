# SPDX-License-Identifier: Apache-2.0
"""
A start that fails says which stage was not reached, with the console's last lines; and whatever a machine does, it is
bounded and ends.  The hypervisor is QEMU where a guest is needed, else a script in its place.
"""
import os
import shutil
import subprocess
import time

import pytest

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
    assert p.left() == []


def failed(done, *texts, code=1):
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    told = done.stderr.replace('\\"', '"')
    for text in texts:
        assert text in told, told
    assert len(told) < 4096 and "\x1b" not in told


# ---- hypervisor ----

def test_a_hypervisor_that_is_not_there(place):
    place.replace_hypervisor(b"", 0o644)
    failed(place.run("true"), "needs /usr/bin/qemu-system-x86_64 here: install qemu-system-x86", code=1)


def test_a_hypervisor_that_is_no_program(place):
    place.replace_hypervisor(b"\x7fELF and nothing more")
    failed(place.run("true"), "the hypervisor was not started", "cannot execute the hypervisor")


def test_a_hypervisor_that_dies_at_once(place):
    place.play('print("no room at the inn", file=sys.stderr)\nsys.exit(3)')
    failed(place.run("true"), "the hypervisor was not started", "no room at the inn")


def test_a_monitor_that_makes_no_sense(place):
    place.play('qmp.sendall(b"x" * 200000)\nhang()')
    failed(place.run("true"), "the hypervisor was not started", "QEMU's answer is too long")


def test_a_monitor_that_does_not_answer(place):
    """It greets, the agent reports, and the machine is to be saved as a template."""
    place.play('qmp.sendall(b\'{"QMP": {}}\\n{"return": {}}\\n\')\nready()\nhang()')
    before = time.monotonic()
    failed(place.run("true", seconds=3), "QEMU did not answer within")
    assert time.monotonic() - before < env.seconds(60)


def test_a_hypervisor_that_dies_while_the_kernel_boots(place):
    place.play('polite()\nconsole("Booting\\nthe last words\\n")\ntime.sleep(2)\nsys.exit(3)')
    failed(place.run("true"), "the hypervisor ended (exit status 3)", "the last words")


# ---- kernel ----

def test_a_kernel_that_is_none(place):
    kernel = place.top / "kernel"
    kernel.write_bytes(b"MZ" + bytes(4096))
    place.configure('kernel = "%s"' % kernel)
    failed(place.run("true"), "the hypervisor was not started", "neither an ELF file nor a bzImage")


def test_a_program_in_the_kernels_place(place):
    place.configure('kernel = "/bin/true"')
    failed(place.run("true"), "the hypervisor was not started")


def test_a_kernel_that_says_nothing(place):
    place.play("polite()\nhang()")
    before = time.monotonic()
    failed(place.run("true", seconds=3), 'stage "kernel"', "nothing for ", "the console is empty")
    assert time.monotonic() - before < env.seconds(60)


def test_a_kernel_that_panics(place):
    kernel = machines.kernel() / "kernel"
    initramfs = machines.archive(place.top / "initramfs", {"nothing": b"here"})
    place.configure('kernel = "%s"\ninitramfs = "%s"' % (kernel, initramfs))
    failed(place.run("true"), 'stage "agent"', "the hypervisor ended", "Kernel panic")


# ---- agent ----

def test_an_agent_that_never_reports(place):
    with open(env.BUSYBOX, "rb") as f:
        busybox = f.read()
    init = b"#!/busybox sh\n/busybox mknod /console c 5 1\n/busybox echo nobody is home >/console\n" \
           b"while :; do /busybox sleep 1000; done\n"
    kernel = machines.kernel() / "kernel"
    initramfs = machines.archive(place.top / "initramfs", {"busybox": busybox, "init": init})
    place.configure('kernel = "%s"\ninitramfs = "%s"' % (kernel, initramfs))
    done = place.run("true", seconds=15)
    if "nobody is home" not in done.stderr:  # a busy host: the kernel was on its way
        done = place.run("true", seconds=90)
    failed(done, 'stage "agent"', "nothing for ", "nobody is home")


@pytest.mark.parametrize("scene, text", [
    ("agent.sendall(os.urandom(1 << 20))", "does not keep to the protocol"),
    ("ready(99)", "coffer vm build-initramfs"),
    ("say(EXITED, bytes(4), 1); ready(); ready()", "out of place"),
    ("ready(); hear(); answer(12345)", "a REPLY to nothing that was asked"),
    ("ready(); answer(hear()[2], code=5)", "a REPLY with code 5"),
    ("agent.sendall(HEAD.pack(1 << 30, LOG, 0, 0, 0))", "1073741824 bytes"),
], ids=["noise", "version", "twice", "unasked", "code", "long"])
def test_an_agent_that_speaks_nonsense(place, scene, text):
    place.play('polite()\nconsole("a console\\n")\n' + scene + "\nhang()")
    failed(place.run("true"), text, "a console")


def test_an_agent_that_dribbles(place):
    place.play('polite()\nconsole("slow\\n")\nwhile True:\n    agent.sendall(b"\\0")\n    time.sleep(%g)' % env.seconds(0.5))
    failed(place.run("true", seconds=4), 'stage "agent"', "nothing for ", "slow")


# ---- mount, exec ----

def test_a_root_that_cannot_be_mounted(place):
    place.env["COFFER_VM_DIR"] = str(machines.without_modules(machines.kernel(), place.top / "vm", "fuse.ko",
                                                              "virtiofs.ko"))
    failed(place.run("true"), 'stage "mount"', "/dev/fuse")


def test_an_agent_that_mounts_for_ever(place):
    place.play('polite()\nconsole("mounting\\n")\nready()\nup_to(MOUNT)\nhang()')
    failed(place.run("true", seconds=3), 'stage "mount"', "nothing for ", "mounting")


def test_an_agent_that_executes_for_ever(place):
    place.play('polite()\nconsole("executing\\n")\nready()\nup_to(RUN)\nhang()')
    failed(place.run("true", seconds=3), 'stage "exec"', "nothing for ", "executing")


def test_a_program_that_is_not_there(place):
    failed(place.run("nowhere"), 'exec: "nowhere": executable file not found in $PATH')


def test_a_program_that_may_not_be_executed(place):
    (place.rootfs / "note").write_text("no program")
    failed(place.run("/note"), 'exec: "/note": permission denied')


# ---- a machine that is hostile ----

def test_a_console_that_is_flooded(place):
    """The machine hangs after a flood of 40 MB: what is kept is bounded, and the end comes in time."""
    place.play('polite()\nfor i in range(40000):\n    console("\\x1b[31m" + "flood " * 170 + "\\n")\n'
               'console("the very end\\n")\nhang()')
    place.seconds = 8
    place.create("true")
    done = place.call("start", "one")
    log = place.top / "state" / "one" / "console.log"
    failed(done, 'stage "agent"', "the very end", code=done.returncode or 1)
    assert 1000 < log.stat().st_size <= 1 << 20
    assert "the very end\n" in log.read_text()[-200:]
    assert place.call("delete", "--force", "one").returncode == 0


def test_ten_thousand_streams(place):
    """Output of processes that nobody asked for is nobody's."""
    place.play("polite()\np = running()\nfor i in range(10000):\n    say(OUTPUT, b'x' * 100, 1000 + i, 1)\n"
               "say(OUTPUT, b'mine', p, 1)\nended(p, 7 << 8)\nhang()")
    done = place.run("true")
    assert (done.returncode, done.stdout) == (7, "mine"), done.stderr


@pytest.mark.parametrize("scene", [
    "for i in range(64):\n    say(OUTPUT, b'x' * 32768, p, 1)",
    "say(OUTPUT, b'x', p, 1); say(OUTPUT, b'', p, 1); say(OUTPUT, b'y', p, 1)",
    "say(EXITED, bytes(4), p); say(EXITED, bytes(4), p)",
    "say(77, b'', p)",
], ids=["window", "ended", "twice", "type"])
def test_a_running_guest_that_breaks_the_protocol_is_killed(place, scene):
    place.play("polite()\np = running()\n" + scene + "\nhang()")
    done = place.run("true")
    assert done.returncode == 137, done
    assert "the guest does not keep to the protocol" in place.log.read_text()


def test_a_guest_that_does_not_power_off(place):
    place.play("polite()\nended(running(), 5 << 8)\nwhile True:\n    hear()")
    before = time.monotonic()
    done = place.run("true")
    assert done.returncode == 5 and time.monotonic() - before < env.seconds(60), done


def test_a_guest_that_dies_while_it_runs(place):
    place.play("polite()\nrunning()\nsys.exit(1)")
    assert place.run("true").returncode == 137


def running(place):
    """Created and started; its machine does what the scene says."""
    place.create("true")
    done = place.call("start", "one")
    assert done.returncode == 0, done.stderr


def ended(place):
    wait_for("its end", lambda: '"status": "stopped"' in place.call("state", "one").stdout, 30)
    assert place.call("delete", "one").returncode == 0


def test_a_running_guest_that_answers_nothing(place):
    """Who asks it hears that in time; a signal that the guest does not hear either is the hypervisor's end."""
    place.play("polite()\nrunning()\nhang()")
    place.seconds = 3
    running(place)
    asked = [subprocess.Popen(place.argv(*words), env=place.environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
             for words in (("events", "--stats", "one"), ("exec", "one", "true"), ("exec", "--vm", "one", "true"), ("ps", "one"),
                           ("update", "--pids-limit", "10", "one"))]
    for stats, p in zip([True] + 4 * [False], asked):
        out, err = p.communicate(timeout=env.seconds(60))
        if stats:  # what the host knows of the hypervisor
            assert p.returncode == 0 and '"memory"' in out, (out, err)
        else:
            assert p.returncode != 0 and "did not answer within" in err, (p.args, out, err)
    assert '"status": "running"' in place.call("state", "one").stdout
    assert place.call("kill", "one", "TERM").returncode == 0
    assert place.call("kill", "one", "KILL").returncode == 0
    ended(place)


def test_an_exec_that_is_answered_late_is_over(place):
    """It was told that it failed: what the guest started all the same is killed."""
    place.play("polite()\nrunning()\np, id = up_to(EXEC)\nconsole('asked\\n')\nsignal, _ = up_to(SIGNAL)\n"
               "console('killed %s\\n' % (signal == p))\nanswer(id)\nhang()")
    place.seconds = 3
    running(place)
    done = place.call("exec", "one", "sleep", "1000")
    assert done.returncode != 0 and "the guest did not answer within" in done.stderr, done
    log = place.top / "state" / "one" / "console.log"
    wait_for("the guest to be told", lambda: "killed True" in log.read_text(), 30)
    assert '"status": "running"' in place.call("state", "one").stdout
    assert place.call("kill", "one", "KILL").returncode == 0
    ended(place)


def test_a_console_that_is_flooded_while_the_program_runs(place):
    place.play('polite()\np = running()\nfor i in range(40000):\n    console("flood " * 170 + "\\n")\n'
               "say(OUTPUT, b'mine', p, 1)\nended(p, 7 << 8)\nhang()")
    done = place.run("true")
    assert (done.returncode, done.stdout) == (7, "mine"), done.stderr


def test_a_guest_that_asks_nonsense_of_its_files(place):
    place.play('polite()\nrunning()\nshare.sendall(b"\\xff" * 65536)\nhang()')
    running(place)
    log = place.top / "state" / "one" / "console.log"
    wait_for("the end", lambda: '"status": "stopped"' in place.call("state", "one").stdout, 30)
    assert "the file share ended" in log.read_text(), log.read_text()
    assert place.call("delete", "one").returncode == 0


def test_a_disk_that_is_filled(place):
    """The program is told that there is no room; the machine goes on, and removing makes room again."""
    rootfs = place.rootfs
    script = "dd if=/dev/zero of=/full bs=1M count=64 2>&1; echo $?; rm /full; echo on >/again && cat /again"
    copy = place.top / "full"
    shutil.copytree(rootfs, copy, symlinks=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "full", str(rootfs)], check=True)
    try:
        subprocess.run(["cp", "-a", str(copy) + "/.", str(rootfs)], check=True)
        done = place.run("sh", "-c", script)
        assert done.returncode == 0 and "No space left on device" in done.stdout, done
        assert done.stdout.splitlines()[-2:] == ["1", "on"], done.stdout
    finally:
        subprocess.run(["umount", "-l", str(rootfs)], check=True)
