# SPDX-License-Identifier: Apache-2.0
"""Every system call of the runtime fails in turn, or its process is killed there: nothing stays behind.

faultinject.c does it under ptrace, in the whole process tree. After `create` with a failed call: either it
failed, and nothing is left; or it coped, and delete leaves nothing. After a SIGKILL there, `delete --force`
must find and remove whatever was made. The calls are tried in a random order until a variant's time is over
(all of them with COFFER_STRESS > 1); the seed is printed by a failure.
"""
import errno
import functools
import os
import random
import re
import shutil
import subprocess
import time

import pytest

from harness import env, leaks
from harness.container import kill_pid

pytestmark = pytest.mark.skipif(env.SANITIZED, reason="sanitizers cannot do without the calls that fail here")

SECONDS = 5  # per variant, without COFFER_STRESS
HANG = 99


@functools.lru_cache(None)
def call_names():
    out = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-"], input="", text=True,
                         capture_output=True, check=True).stdout
    return {int(n): name for name, n in re.findall(r"#define __NR_(\w+) (\d+)", out)}


class Sweep:
    """One verb under injection, again and again with the same container."""

    def __init__(self, rt, c, injector):
        self.rt, self.c, self.injector = rt, c, injector
        self.report = os.path.join(rt.scratch, "report")
        self.seed = random.randrange(1 << 30)
        self.problems = []

    def argv(self, action, n):
        return [self.injector, self.report, str(action), str(n)]

    def told(self):
        """(calls counted, whether the Nth was reached, a name for it)."""
        calls, reached, nr, first = (int(x) for x in open(self.report).read().split())
        return calls, bool(reached), "%s of the %s process" % (call_names().get(nr, nr), "first" if first else "other")

    def blame(self, n, action, text, result=None):
        what = "call %d (%s), %s: %s" % (n, self.told()[2] if os.path.exists(self.report) else "?", action, text)
        self.problems.append(what + ("\n    stderr: " + result.err.strip()[-300:] if result and result.err else ""))

    def clean(self):
        """By any means, so that the next try begins with nothing."""
        self.rt.call("delete", "--force", self.c.id)
        for pid in leaks.processes(self.rt.token):
            kill_pid(pid)
        self.rt.view.remove(self.c.cgroup)
        subprocess.run(["rm", "-rf", os.path.join(self.rt.root, self.c.id)], check=True)

    def left(self, n, action, when, result, limit=3):
        left = leaks.settled(self.rt, limit)
        if left:
            self.blame(n, action, "%s, left behind:\n    %s" % (when, "\n    ".join(left)), result)
            self.clean()
        return bool(left)

    def total(self, once):
        """How many calls there are, from an undisturbed run."""
        result = once("0", 1 << 40)
        assert result.rc == 0, result
        return self.told()[0]

    def each(self, once, judge, action, label):
        total = self.total(once)
        self.rt.call("delete", "--force", self.c.id).ok()
        order = list(range(total + 5))
        random.Random(self.seed).shuffle(order)
        end = time.monotonic() + env.seconds(SECONDS)
        tried = 0
        for n in order:
            if env.STRESS == 1 and time.monotonic() > end:
                break
            if os.path.exists(self.report):
                os.unlink(self.report)
            result = once(action, n)
            if result.rc == HANG:
                self.blame(n, label, "hung for 20 s", result)
                self.clean()
            else:
                judge(n, label, result)
            tried += 1
            if len(self.problems) > 15:
                break
        text = "%d of %d calls tried (seed %d)" % (tried, total, self.seed)
        print(text)
        if self.problems:
            pytest.fail("%s, %d problems:\n%s" % (text, len(self.problems), "\n".join(self.problems)), pytrace=False)


@pytest.fixture
def sweep(runtime, ct, faultinject):
    c = ct(["sleep", "100"], seccomp=True)
    c.process["noNewPrivileges"] = True
    c.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    c.write_config()
    return Sweep(runtime, c, faultinject)


@pytest.mark.limit(900 * env.STRESS)
@pytest.mark.parametrize("error", ["ENOMEM", "EPERM", "EIO", "EINTR"])
def test_create_with_a_call_that_fails(sweep, error):
    def judge(n, label, result):
        if result.rc != 0:
            if sweep.told()[2].startswith(("unlink", "rmdir")):
                sweep.rt.call("delete", "--force", sweep.c.id)
            sweep.left(n, label, "create failed", result)
            return
        gone = sweep.rt.call("delete", "--force", sweep.c.id)
        if gone.rc != 0:
            sweep.blame(n, label, "create was well, delete failed", gone)
            sweep.clean()
        else:
            sweep.left(n, label, "create was well, after delete", result)

    sweep.each(lambda action, n: sweep.c.create(wrap=sweep.argv(action, n)), judge, getattr(errno, error), error)


@pytest.mark.limit(900 * env.STRESS)
@pytest.mark.parametrize("how", ["kill", "killall"])
def test_create_killed_at_a_call(sweep, how):
    def judge(n, label, result):
        sweep.rt.call("delete", "--force", sweep.c.id)
        sweep.left(n, label, "after delete --force", result)

    sweep.each(lambda action, n: sweep.c.create(wrap=sweep.argv(action, n)), judge, how, how)


@pytest.mark.limit(900 * env.STRESS)
@pytest.mark.parametrize("action", [errno.ENOMEM, errno.EIO, "kill"], ids=["ENOMEM", "EIO", "kill"])
def test_run_with_a_call_that_fails(sweep, quiet_true, action):
    """run in the foreground, to the end of its container: it cleans up itself, unless it was killed."""
    if sweep.rt.level == "kernel":
        pytest.skip("the sentry traces its guests, which the injector of faults traces already")
    shutil.copy(quiet_true, sweep.c.rootfs_file("bin/quiet"))
    sweep.c.process["args"] = ["/bin/quiet"]
    sweep.c.write_config()

    def once(what, n):
        return sweep.rt.call("run", "--bundle", sweep.c.bundle, sweep.c.id, wrap=sweep.argv(what, n))

    def judge(n, label, result):
        if action == "kill" or sweep.told()[2].startswith(("unlink", "rmdir")):
            sweep.rt.call("delete", "--force", sweep.c.id)  # what could not be removed then, can be now
        sweep.left(n, label, "run ended with %d" % result.rc, result)

    sweep.each(once, judge, action, str(action))


@pytest.mark.limit(900 * env.STRESS)
@pytest.mark.parametrize("action", [errno.ENOMEM, "kill"], ids=["ENOMEM", "kill"])
@pytest.mark.parametrize("verb", ["start", "exec", "delete", "kill"])
def test_other_verbs(sweep, verb, action):
    """The container survives a broken start, exec, kill or delete in a state that the next delete --force ends."""
    if env.STRESS == 1 and (verb, action) not in (("start", "kill"), ("exec", errno.ENOMEM), ("delete", "kill")):
        pytest.skip("in the stress pass only")
    c, rt = sweep.c, sweep.rt
    argv = {"start": ["start", c.id], "exec": ["exec", c.id, "true"], "delete": ["delete", "--force", c.id],
            "kill": ["kill", c.id, "KILL"]}[verb]

    def once(what, n):
        c.create().ok()
        if verb != "start":
            c.start().ok()
        return rt.call(*argv, wrap=sweep.argv(what, n))

    def judge(n, label, result):
        state = rt.call("state", c.id)
        if state.rc == 0 and '"id"' not in state.out:
            sweep.blame(n, label, "state shows %r" % state.out, result)
        rt.call("delete", "--force", c.id)
        sweep.left(n, label, "after %s and delete --force" % verb, result)

    sweep.each(once, judge, action, str(action))
