# SPDX-License-Identifier: Apache-2.0
"""`kill`, and signals that reach a foreground runtime."""
import signal
import time

import pytest

from harness import peer
from harness.container import wait_for

# name as given -> number that must arrive
NAMES = {"TERM": 15, "SIGTERM": 15, "term": 15, "sigusr1": 10, "USR2": 12, "HUP": 1, "SIGINT": 2,
         "10": 10, "12": 12, "WINCH": 28, "SIGQUIT": 3, "64": 64}
if peer.NAME == "coffer-oci":
    NAMES.update({"RTMIN": 34, "SIGRTMIN+3": 37, "RTMAX": 64})


def listener(ct):
    c = ct(["guest", "sigs"]).up()
    c.wait_output("ready\n")
    return c


@pytest.mark.parametrize("name", sorted(NAMES))
def test_kill_by_name_and_number(ct, name):
    c = listener(ct)
    c.kill(name).ok()
    c.wait_output("got %d\n" % NAMES[name])


def test_kill_defaults_to_term(ct, runtime):
    c = listener(ct)
    runtime.call("kill", c.id).ok()
    c.wait_output("got 15\n")
    c.wait_stopped()


@pytest.mark.parametrize("name", ["NOSUCH", "SIG", "-x", "TERMX"])
def test_kill_with_an_unknown_signal(ct, name):
    c = listener(ct)
    r = c.rt.call("kill", c.id, name).failed()
    if not name.startswith("-"):
        assert 'unknown signal "%s"' % name in r.message
    assert c.status == "running"


def test_kill_signal_zero_only_probes(ct):
    c = listener(ct)
    c.kill("0").ok()
    assert c.output() == "ready\n"


def test_kill_of_a_stopped_container_says_so(ct):
    c = ct(["true"])
    c.up()
    c.wait_stopped()
    c.kill("KILL").failed("container not running")


def test_kill_all_of_a_stopped_container_is_no_error(ct):
    """containerd's shim calls kill --all on the way out, whether or not init still lives."""
    c = ct(["true"]).up()
    c.wait_stopped()
    c.kill("KILL", "--all").ok()


def test_kill_all_ends_everything(ct):
    c = ct("sleep 100 & sleep 100 & wait").up()
    wait_for(lambda: len(c.rt.json("ps", "--format", "json", c.id)) == 3, "three processes")
    c.kill("KILL", "--all").ok()
    c.wait_stopped()


@pytest.mark.parametrize("sig", ["KILL", "TERM"])
def test_kill_of_a_created_container(ct, sig):
    """A signal reaches the init that waits for start; then the container is stopped."""
    c = ct(["sleep", "100"])
    c.create().ok()
    c.kill(sig).ok()
    c.wait_stopped()
    c.delete().ok()


@pytest.mark.levels("ns")
def test_kill_without_a_pid_namespace_ends_all(ct, runtime):
    """No pid namespace: SIGKILL must reach every process of the cgroup, for none dies with init."""
    from harness import bundle, leaks
    c = ct("sleep 100 & sleep 100 & exec sleep 100")
    bundle.without_namespace(c.config, "pid")
    c.up()
    wait_for(lambda: len(c.rt.json("ps", "--format", "json", c.id)) == 3, "three processes")
    c.kill("KILL", *(["--all"] if peer.NAME == "runc" else [])).ok()
    c.wait_stopped()
    c.delete().ok()
    leaks.assert_none(runtime)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_foreground_run_forwards_signals(ct, runtime, sig):
    """A signal to the foreground runtime goes to init, and init's exit code comes back."""
    out = open(runtime.scratch + "/out", "w+")
    proc = ct(["guest", "sigs"]).spawn("run", stdout=out)

    def seen(text):
        out.seek(0)
        return text in out.read()

    wait_for(lambda: seen("ready\n"), "the container to be ready")
    time.sleep(0.05)
    proc.send_signal(sig)
    wait_for(lambda: seen("got %d\n" % sig), "signal %d inside" % sig)
    if sig != signal.SIGTERM:
        proc.send_signal(signal.SIGTERM)
    assert proc.wait(10) == 7
    out.close()


def test_foreground_exec_forwards_signals(ct, runtime):
    c = ct(["sleep", "100"]).up()
    out = open(runtime.scratch + "/out", "w+")
    proc = c.spawn("exec", c.id, "guest", "sigs", stdout=out)

    def seen(text):
        out.seek(0)
        return text in out.read()

    wait_for(lambda: seen("ready\n"), "the process to be ready")
    time.sleep(0.05)
    proc.send_signal(signal.SIGTERM)
    assert proc.wait(10) == 7
    assert seen("got 15\n")
    out.close()


def test_signals_in_a_container_start_unblocked_and_default(ct):
    """The runtime's own mask and ignored signals do not reach the process."""
    def blocked():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP})
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)

    peer.lacks("*", "ignored signals of the caller are inherited")
    r = ct("grep -E '^Sig(Blk|Ign)' /proc/self/status").run(preexec_fn=blocked).ok()
    from harness.host import parse_status
    st = parse_status(r.out)
    assert int(st["SigBlk"], 16) == 0
    assert int(st["SigIgn"], 16) & (1 << 11) == 0
