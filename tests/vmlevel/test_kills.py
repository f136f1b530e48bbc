# SPDX-License-Identifier: Apache-2.0
"""
kill -9 of whatever a machine consists of, at each moment of its life: it is told, in time, and nothing is left.  A script in
the hypervisor's place holds the moment; what only a guest has (its agent, its relay of files) is killed in test_engine.py.
"""
import json
import os
import signal
import subprocess

import pytest

import machines
from harness import env
from libengine import wait_for

SCENES = {
    "boot": 'console("held\\n")\nhang()',
    "mount": 'ready()\nup_to(MOUNT)\nconsole("held\\n")\nhang()',
    "running": 'running()\nconsole("held\\n")\nhang()',
    "exec": 'running()\nanswer(up_to(EXEC)[1])\nconsole("held\\n")\nhang()',
    "stop": 'running()\nanswer(up_to(SIGNAL)[1])\nconsole("held\\n")\nhang()',
    "leaving": 'ended(running(), 5 << 8)\nup_to(SHUTDOWN)\nconsole("held\\n")\nhang()',
}
STARTED = ("running", "exec", "stop", "leaving")


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(word) for word in f.read().split()]
    except FileNotFoundError:
        return []


def below(pid):
    return [q for child in children(pid) for q in (child, *below(child))]


def of_share(pid):
    """The keeper's child that is a copy of it; the other one was executed."""
    return os.path.samefile("/proc/%d/exe" % pid, os.path.join(os.path.dirname(env.OCI), "coffer-vm"))


class Life:
    """A container that is run, up to the moment at which its machine is held."""

    def __init__(self, place, moment):
        self.place, self.exec = place, None
        place.play("polite()\n" + SCENES[moment])
        place.write(["sleep", "1000"])
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.run = subprocess.Popen(place.argv("run", "--bundle", str(place.top / "bundle"), "one"), env=place.environ(300), **pipes)
        if moment in ("exec", "stop"):
            wait_for("the program to run", lambda: self.state().get("status") == "running" and "the program runs" in self.log(), 60)
        if moment == "exec":
            self.exec = subprocess.Popen(place.argv("exec", "one", "sleep", "1000"), env=place.environ(), **pipes)
        if moment == "stop":
            assert place.call("kill", "one", "TERM").returncode == 0
        wait_for("the moment", lambda: "held\n" in self.console(), 60)
        self.keeper = self.state()["pid"]
        self.all = [self.keeper, *below(self.keeper)]

    def state(self):
        done = self.place.call("state", "one")
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def log(self):
        return self.place.log.read_text() if self.place.log.exists() else ""

    def console(self):
        path = self.place.top / "state" / "one" / "console.log"
        try:
            return path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def kill(self, whom):
        pid = self.keeper
        if whom != "keeper":
            pid, = [p for p in children(self.keeper) if of_share(p) == (whom == "share")]
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def live(tmp_path):
    if not env.IS_COFFER or os.geteuid() != 0 or not os.path.exists(machines.QEMU):
        pytest.skip("level vm needs root and QEMU")
    machines.kernel()
    place, made = machines.Place(tmp_path), []
    yield lambda moment: made.append(Life(place, moment)) or made[-1]
    place.call("delete", "--force", "one")
    for life in made:
        life.run.communicate(timeout=env.seconds(30))
    assert place.left() == []


@pytest.mark.parametrize("moment", SCENES)
@pytest.mark.parametrize("whom", ["hypervisor", "keeper", "share"])
def test_kill_9(live, moment, whom):
    life = live(moment)
    life.kill(whom)
    said = life.run.communicate(timeout=env.seconds(30))[1].replace('\\"', '"')
    if moment not in STARTED:
        assert life.run.returncode == 1 and "unable to start container process" in said, (life.run.returncode, said)
        why = {"hypervisor": "the hypervisor ended (signal 9)", "share": "the file share ended (wait status 9)"}
        assert why.get(whom, "") in said, said
    elif moment == "leaving" and whom != "keeper":
        assert life.run.returncode == 5, said  # the program has ended, and said how
    else:
        assert life.run.returncode == 137, (life.run.returncode, said)
    if life.exec:
        life.exec.communicate(timeout=env.seconds(30))
        assert life.exec.returncode not in (0, None)
    wait_for("all to be gone", lambda: not [p for p in life.all if os.path.exists("/proc/%d" % p)], 30)
    assert life.place.left() == [], "`run` removes what it made"
