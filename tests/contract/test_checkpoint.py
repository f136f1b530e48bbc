# SPDX-License-Identifier: Apache-2.0
"""checkpoint and restore, through CRIU."""
import os
import shutil
import subprocess
import time

import pytest

from harness import leaks
from harness.container import Container, wait_for

pytestmark = pytest.mark.levels("ns")


@pytest.fixture(autouse=True)
def criu():
    path = shutil.which("criu", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        pytest.skip("no criu")
    if subprocess.run([path, "check"], capture_output=True).returncode:
        pytest.skip("criu check fails on this kernel")


def counting(c):
    """Counts into a file, so that nothing of the test's has to survive."""
    c.process["args"] = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.02; done"]
    return c


def up(c):
    """With /dev/null, which the container has as well: older CRIU looks in vain for the mount of a host's file."""
    c.run_detached(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).ok()


def count(c):
    try:
        with open(c.rootfs_file("count")) as f:
            return int(f.read() or 0)
    except (OSError, ValueError):
        return 0


def images(runtime):
    return os.path.join(runtime.scratch, "images")


def checkpoint(c, *flags):
    return c.rt.call("checkpoint", "--image-path", images(c.rt), "--work-path", images(c.rt) + ".work", *flags, c.id)


def test_checkpoint_stops_and_restore_goes_on(ct, runtime):
    c = counting(ct())
    up(c)
    wait_for(lambda: count(c) > 5, "it to count")
    checkpoint(c).ok()
    wait_for(lambda: runtime.call("state", c.id).rc != 0 or c.status == "stopped", "it to stop")
    runtime.call("delete", "--force", c.id)
    before = count(c)
    time.sleep(0.2)
    assert count(c) == before
    c._detached("restore", "--detach", "--image-path", images(runtime), "--work-path", images(runtime) + ".work2").ok()
    assert c.status == "running"
    wait_for(lambda: count(c) > before, "it to count on from %d" % before)
    assert c.exec("echo", "fine").ok().out == "fine\n"


def test_leave_running(ct, runtime):
    c = counting(ct())
    up(c)
    wait_for(lambda: count(c) > 2, "it to count")
    checkpoint(c, "--leave-running").ok()
    before = count(c)
    wait_for(lambda: count(c) > before, "it to run on")
    assert c.status == "running"


def test_checkpoint_of_a_stopped_container(ct):
    c = ct(["true"]).up()
    c.wait_stopped()
    checkpoint(c).failed()


def test_restore_from_nothing_leaves_nothing(runtime):
    c = Container(runtime, ["sleep", "1000"])
    os.mkdir(images(runtime))
    c._detached("restore", "--detach", "--image-path", images(runtime)).failed()
    c.rt.call("delete", "--force", c.id)
    leaks.assert_none(runtime)
