# SPDX-License-Identifier: Apache-2.0
"""What takes many machines: collected with COFFER_STRESS (make stress-vm)."""
import os
import signal
import subprocess
import time

from harness import leaks
from libengine import wait_for


def test_a_start_that_is_killed_leaves_nothing(coffer, kernels):
    """coffer-oci at whatever it is doing, by its own group."""
    for ms in (20, 60, 150, 400, 900, 2000):
        p = subprocess.Popen(coffer.base + ["run", "--name", "cut", "--isolation=vm", *coffer.run_options(), "box", "true"],
                             env=coffer.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(ms / 1000)
        for pid, line in leaks.processes(coffer.environ["COFFER_TEST"]).items():
            if "coffer-oci" in line.partition(" ")[0]:
                os.kill(pid, signal.SIGKILL)
        p.wait(300)
        coffer("rm", "-f", "cut", rc=None)
    assert coffer.out("run", "--rm", "--isolation=vm", *coffer.run_options(), "box", "echo", "well", limit=120) == "well"


def test_twenty_at_once(vm, coffer):
    ids = [vm("-m", "64m", "box", "sh", "-c", "mkdir /tmp/w; hostname >/tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w") for _ in range(20)]
    for cid in ids:
        address = coffer.inspect(cid, "{{.NetworkSettings.IPAddress}}")
        page = ["timeout", "10", "busybox", "wget", "-qO-", "http://%s/" % address]
        wait_for("an answer of %s" % cid, lambda: coffer.here(*page, rc=None).stdout.strip() == cid[:12], limit=60)
    coffer("rm", "-f", *ids, limit=120)
    assert not coffer.leftovers()


def test_restarts_and_health(vm, coffer):
    cid = vm("--restart", "on-failure:1", "box", "sh", "-c", "exit 3")
    wait_for("the second end", lambda: coffer.inspect(cid, "{{.RestartCount}} {{.State.Status}}") == "1 exited", limit=120)
    assert coffer.inspect(cid, "{{.State.ExitCode}}") == "3"
    cid = vm("--health-cmd", "test -e /tmp/well", "--health-interval", "1s", "--health-timeout", "30s", "--health-retries", "1",
             "box", "sleep", "1000")
    wait_for("unhealthy", lambda: coffer.inspect(cid, "{{.State.Health.Status}}") == "unhealthy", limit=60)
    coffer("exec", cid, "touch", "/tmp/well")
    wait_for("healthy", lambda: coffer.inspect(cid, "{{.State.Health.Status}}") == "healthy", limit=60)
