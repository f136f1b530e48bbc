# SPDX-License-Identifier: Apache-2.0
"""Exit codes: `run` and `exec` end as the process did (runc: 128+N after signal N)."""
import pytest

from harness.container import wait_for

SIGNALS = {"TERM": 15, "KILL": 9, "HUP": 1, "SEGV": 11, "USR1": 10}


@pytest.mark.parametrize("code", [0, 1, 7, 125, 126, 127, 255])
def test_run_passes_on_the_exit_code(ct, code):
    assert ct("exit %d" % code).run().rc == code


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exec_passes_on_the_exit_code(ct, code):
    c = ct(["sleep", "100"]).up()
    assert c.exec("sh", "-c", "exit %d" % code).rc == code


# A process of exec, not pid 1: that one ignores its own signals where it has no handler.
@pytest.mark.parametrize("sig", sorted(SIGNALS))
def test_exec_killed_by_a_signal_gives_128_plus_it(ct, sig):
    c = ct(["sleep", "100"]).up()
    assert c.exec("sh", "-c", "kill -%s $$" % sig).rc == 128 + SIGNALS[sig]


def test_run_whose_init_is_killed_from_outside(ct):
    c = ct(["sleep", "100"])
    proc = c.spawn("run")
    wait_for(lambda: c.rt.call("state", c.id).rc == 0 and c.status == "running", "the container to run")
    c.kill("KILL").ok()
    assert proc.wait(10) == 137


def test_true_with_an_engines_seccomp_profile(ct):
    """Some 350 allowed calls with argument filters, as Docker gives: nothing is printed, nothing breaks."""
    r = ct(["true"], seccomp=True).run().ok()
    assert (r.out, r.err) == ("", "")


def test_run_leaves_no_state(ct, runtime):
    c = ct(["true"])
    c.run().ok()
    runtime.call("state", c.id).failed("container does not exist", rc=1)


def test_run_keep_leaves_the_state_until_delete(ct):
    c = ct(["true"])
    c.run("--keep").ok()
    assert c.status == "stopped"
    c.delete().ok()


def test_exit_code_is_that_of_init_not_of_the_last_child(ct):
    assert ct("(sleep 0.3; exit 9) & exit 4").run().rc == 4
