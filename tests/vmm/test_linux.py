# SPDX-License-Identifier: Apache-2.0
"""Containers in machines of coffer-vmm, with the kernel that coffer builds.

The kernel is the one of the tests' cache (`tools/vm-guest --build`), which nobody builds here: it takes half an hour. The first
machine boots, and its template stays beside the kernel, as long as kernel, initramfs and coffer-vmm are the same; each test begins there.
Where ring 0 is emulated and the host is busy that boot takes minutes. Here it has 90 s, once a day: a host that was too busy is left alone
after that, and the tests say so as skipped. `make stress-vmm` has the patience, and calls it a failure.
"""
import os
import pathlib
import subprocess
import sys
import time

import machine
import pytest
from harness import bundle, container, env

sys.path.append(os.path.join(env.TESTS, "vmlevel"))
import machines  # noqa: E402  (found through the path above)

CACHE = os.environ.get("COFFER_TEST_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME", "/var/cache"), "coffer-tests")
KERNELS = pathlib.Path(CACHE, "vm-guest-lean")
GIVEN = int(os.environ.get("COFFER_VM_START_SECONDS", 0))  # the harness sets a minute, or some, where nobody has
PATIENT = GIVEN >= 600
BOOT_SECONDS = GIVEN if PATIENT else 90
TRIED = KERNELS / ".no-boot"  # of a boot that came to no end, when it was last tried
DAY = 24 * 3600

if machine.why_not():
    pytest.skip(machine.why_not(), allow_module_level=True)
if os.geteuid() != 0:
    pytest.skip("level vm needs root", allow_module_level=True)
if not any(KERNELS.glob("*/kernel")):
    pytest.skip("no kernel of coffer's own in the cache: tools/vm-guest --build", allow_module_level=True)


def make_place(top):
    p = machines.Place(top)
    p.env["COFFER_VM_DIR"] = str(KERNELS)
    p.configure('hypervisor = "vmm"\nmemory = "96m"')
    p.seconds = BOOT_SECONDS / env.PATIENCE
    return p


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    too_busy = "no machine of coffer-vmm has booted here within %d s (%s): make stress-vmm waits longer" % (BOOT_SECONDS, TRIED)
    if not PATIENT and TRIED.exists() and time.time() - TRIED.stat().st_mtime < DAY:
        pytest.skip(too_busy)
    p = make_place(tmp_path_factory.mktemp("template"))
    done = p.run("true", limit=2 * BOOT_SECONDS)
    if not PATIENT and "nothing for %d s" % BOOT_SECONDS in done.stderr:
        TRIED.touch()
        pytest.skip(too_busy)
    assert done.returncode == 0, done.stderr
    TRIED.unlink(missing_ok=True)


@pytest.fixture
def place(tmp_path, template):
    p = make_place(tmp_path)
    yield p
    p.call("delete", "--force", "one")
    assert p.left() == []


def from_template(place):
    log = place.log.read_text()
    assert "from a template" in log, log


def test_exit_codes_and_streams(place):
    script = "read a; read b; echo \"$b $a\"; echo oops >&2; exit 7"
    place.write(["sh", "-c", script])
    done = subprocess.run(place.argv("run", "--bundle", str(place.top / "bundle"), "one"), input=b"one\ntwo\n", capture_output=True,
                          env=place.environ(), timeout=env.seconds(120))
    assert (done.returncode, done.stdout, done.stderr) == (7, b"two one\n", b"oops\n")
    from_template(place)


def test_files_of_the_host_and_a_pipe(place):
    (place.rootfs / "given").write_text("b\na\n")
    done = place.run("sh", "-c", "sort /given | tee /made; mkdir -p /d/e; ln -s ../made /d/link; uname -r")
    assert done.returncode == 0 and done.stdout.startswith("a\nb\n6."), done
    assert (place.rootfs / "made").read_text() == "a\nb\n"
    assert os.readlink(place.rootfs / "d/link") == "../made"


def test_signal_exec_and_a_kill_that_leaves_nothing(place):
    place.create("sh", "-c", "trap 'echo caught; exit 5' TERM; echo up > /up; while :; do sleep 1; done")
    assert place.call("start", "one").returncode == 0
    container.wait_for(lambda: (place.rootfs / "up").exists(), "the program's file", 60)
    done = place.call("exec", "one", "sh", "-c", "cat /proc/1/comm; exit 3")
    assert (done.returncode, done.stdout) == (3, "sh\n")
    assert place.call("kill", "one", "TERM").returncode == 0
    container.wait_for(lambda: "caught" in (place.top / "out").read_text(), "the handler's word", 60)
    container.wait_for(lambda: '"stopped"' in place.call("state", "one").stdout.replace(" ", ""), "its end", 60)


def monitors(place):
    """Processes of coffer-vmm below this place's container."""
    root = int(place.call("state", "one").stdout.split('"pid":')[1].split(",")[0])
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = dict(line.split(":\t", 1) for line in pathlib.Path("/proc", pid, "status").read_text().splitlines() if ":\t" in line)
        except OSError:
            continue
        if status["Name"] == "coffer-vmm" and int(status["PPid"]) == root:
            found.append(int(pid))
    return found


def test_monitor_that_is_killed_ends_the_container(place):
    place.create("sh", "-c", "echo up > /up; sleep 1000")
    assert place.call("start", "one").returncode == 0
    container.wait_for(lambda: (place.rootfs / "up").exists(), "the program's file", 60)
    [pid] = monitors(place)
    os.kill(pid, 9)
    container.wait_for(lambda: '"stopped"' in place.call("state", "one").stdout.replace(" ", ""), "its end", 30)
    assert not os.path.exists("/proc/%d" % pid)
    assert "the hypervisor ended (signal 9)" in place.log.read_text()
