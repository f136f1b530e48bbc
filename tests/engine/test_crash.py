# SPDX-License-Identifier: Apache-2.0
"""kill -9 of coffer and of its monitors at random moments; bounded here, more in `make stress`."""
import os
import random
import signal
import subprocess
import time

import pytest

from harness import env, leaks
from libengine import cgroup_dirs, wait_for

TRIES = 12 * env.STRESS
seed = random.Random(20261126)


def killed(engine, *args, after):
    """Runs a command and kills it, and whatever it started besides containers, after that many seconds."""
    proc = subprocess.Popen(engine.base + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, env=engine.environ)
    time.sleep(after)
    kill_ours(engine)
    proc.kill()
    proc.wait()


def kill_ours(engine):
    for pid in engine.monitors():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def is_sound(engine):
    """The next commands work, repair what they find, and then there is nothing to find."""
    engine("ps", "-a")
    ids = engine.out("ps", "-aq").split()
    if ids:
        engine("rm", "-f", *ids)
    done = engine("system", "check", "--repair", rc=None)
    assert done.returncode == 0, done.stdout + done.stderr
    again = engine("system", "check")
    assert again.stdout == "nothing found\n"
    wait_for("nothing to be left", lambda: not engine.leftovers(), 10)
    assert engine.out("run", "--rm", *engine.run_options(), "box", "echo", "fine") == "fine"


class Moments:
    """Of one command: how long it takes when nobody kills it, and a moment of that time, or shortly after."""

    def __init__(self, engine, *args):
        begin = time.monotonic()
        engine(*args)
        self.whole = time.monotonic() - begin

    def any(self):
        return seed.uniform(0, 1.2 * self.whole)


@pytest.mark.limit(240 + 60 * env.STRESS)
@pytest.mark.parametrize("what", ["run", "run-network", "detached", "rm", "prune"])
def test_killed_at_any_moment(fresh, what):
    engine = fresh()
    options = engine.run_options()
    victim = ["-v", "/anonymous", "box", "sleep", "600"]
    command = {"run": ["run", "--rm", *options, "--network", "none", "box", "true"],
               "run-network": ["run", "--rm", *options, "-p", "80", "-v", "/anonymous", "box", "sleep", "0.01"],
               "detached": ["run", "-d", *options, "box", "sleep", "600"],
               "rm": ["rm", "-f", "-v", "victim"],
               "prune": ["system", "prune", "-af", "--volumes"]}[what]

    def prepare():
        if what == "rm":
            engine("rm", "-f", "victim", rc=None)
            engine.start("--name", "victim", *victim)
        elif what == "prune":
            if "box" not in engine.out("images"):
                engine.load_image()
            engine("create", *options, "-v", "/anonymous", "box", "true")

    prepare()
    moments = Moments(engine, *command)
    for _ in range(TRIES):
        prepare()
        killed(engine, *command, after=moments.any())
    if "box" not in engine.out("images"):
        engine.load_image()
    is_sound(engine)


@pytest.mark.limit(240 + 60 * env.STRESS)
def test_load_killed_at_any_moment(fresh, tmp_path):
    """Content that was reported done is there; what was not leaves nothing."""
    engine = fresh()
    path = str(tmp_path / "box.tar")
    engine("save", "-o", path, "box")
    engine("tag", "box", "keep")
    moments = Moments(engine, "load", "-i", path)
    for n in range(TRIES):
        engine("rmi", "box", rc=None)
        killed(engine, "load", "-i", path, after=moments.any())
        assert engine.out("run", "--rm", *engine.run_options(), "--network", "none", "keep", "echo", "kept") == "kept"
    engine("load", "-i", path)
    is_sound(engine)


def test_monitor_killed(fresh):
    """The container's fate is known, said, and repaired."""
    engine = fresh()
    cid = engine.start("--name", "orphan", "box", "sleep", "600")
    pid = engine.pid(cid)
    kill_ours(engine)
    wait_for("monitors to be gone", lambda: not engine.monitors())
    assert engine.status(cid) in ("running", "exited", "dead")
    engine("rm", "-f", cid)
    wait_for("its process to end", lambda: not os.path.exists("/proc/%d" % pid))
    is_sound(engine)


def test_groups_of_a_start_that_was_cut_short(fresh):
    """A command makes them before the runtime has written down where they are: killed in between, it leaves them empty."""
    engine = fresh()
    engine("run", "--rm", *engine.run_options(), "box", "true")
    cid = engine.out("create", *engine.run_options(), "box", "true")
    os.mkdir(engine.volatile + "/run/containers/" + cid)
    groups = [top + "/" + cid for top in cgroup_dirs(engine.cgroup)]
    assert groups
    for path in groups:
        os.mkdir(path)
    assert engine.status(cid) == "created"
    assert not [path for path in groups if os.path.exists(path)]
    engine("start", "-a", cid)
    is_sound(engine)


def tmpfs_volume(engine, name):
    engine("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", name)
    return engine.out("volume", "inspect", "-f", "{{.Mountpoint}}", name)


def test_volume_of_two_whose_end_was_cut_short(fresh):
    """Who has noted that it has left the volume keeps it from nobody, and what is mounted goes with the last."""
    engine = fresh()
    at = tmpfs_volume(engine, "tt")
    one, two = (engine.start("-v", "tt:/t", "box", "sleep", "600") for _ in range(2))
    kill_ours(engine)
    open(engine.volatile + "/run/containers/" + one + "/left", "w").close()
    engine("rm", "-f", two)
    assert at not in engine.here("cat", "/proc/mounts").stdout
    is_sound(engine)


def test_end_with_a_volume_killed(fresh):
    """At any moment: the next command takes away what is mounted."""
    engine = fresh()
    at = tmpfs_volume(engine, "tt")
    moments = None
    for _ in range(TRIES):
        cid = engine.start("-v", "tt:/t", "box", "sleep", "600")
        if not moments:
            moments = Moments(engine, "stop", "-t", "0", cid)
            continue
        killed(engine, "rm", "-f", cid, after=moments.any())
        # What was killed may hold the container's lock for a moment more, which `ps` does not wait for.
        wait_for("its end", lambda: engine("ps", "-a") and at not in engine.here("cat", "/proc/mounts").stdout)
    is_sound(engine)


def test_volume_whose_making_was_cut_short(fresh):
    """Its options are not those of the next one of that name."""
    engine = fresh()
    at = tmpfs_volume(engine, "tt")
    beside = os.path.join(os.path.dirname(at), "options.json")
    text = open(beside).read()
    engine("volume", "rm", "tt")
    os.mkdir(os.path.dirname(at))
    with open(beside, "w") as f:
        f.write(text)
    engine("volume", "create", "tt")
    cid = engine.start("-v", "tt:/t", "box", "sleep", "600")
    assert at not in engine.here("cat", "/proc/mounts").stdout
    engine("rm", "-f", cid)


def test_restart_of_the_machine(fresh):
    """The run directory and all processes are gone, as after a reboot."""
    engine = fresh()
    cid = engine.start("--name", "before", "--restart", "always", "-p", "8200:80", "box", "sleep", "600")
    pids = [engine.pid(cid)]
    kill_ours(engine)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for("the end", lambda: not os.path.exists("/proc/%d" % pids[0]))
    subprocess.run(["rm", "-rf", engine.volatile + "/run"], check=True)
    assert engine.status("before") == "exited"
    engine("start", "before")
    assert engine.status("before") == "running"
    engine("rm", "-f", "before")
    is_sound(engine)


def test_many_at_once(fresh):
    """Commands that work on one store at the same time: nothing lost, nothing left."""
    engine = fresh()
    procs = [subprocess.Popen(engine.base + ["run", "--rm", *engine.run_options(), "--name", "c%d" % n, "box", "echo", str(n)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=engine.environ,
                              text=True) for n in range(40)]
    for n, p in enumerate(procs):
        out, err = p.communicate(timeout=env.seconds(120))
        assert p.returncode == 0 and out == "%d\n" % n, err
    assert engine.out("ps", "-aq") == ""
    is_sound(engine)


def test_one_name_is_taken_once(fresh):
    engine = fresh()
    procs = [subprocess.Popen(engine.base + ["create", *engine.run_options(), "--name", "same", "box", "true"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=engine.environ,
                              text=True) for _ in range(10)]
    results = [(p.communicate(timeout=env.seconds(60))[1], p.returncode) for p in procs]
    assert sorted(rc for _, rc in results) == [0] + [125] * 9 or sorted(rc for _, rc in results) == [0] + [1] * 9, results
    assert all("is already in use by container" in err for err, rc in results if rc)


def test_processes_carry_nothing_of_the_callers(fresh):
    """A monitor holds no descriptor of the command that started it, and not its directory either."""
    engine = fresh()
    with open("/dev/null") as extra:
        os.set_inheritable(extra.fileno(), True)
        subprocess.run(engine.base + ["run", "-d", *engine.run_options(), "box", "sleep", "600"], check=True, close_fds=False,
                       stdout=subprocess.DEVNULL, env=engine.environ)
    monitors = engine.monitors()
    assert monitors
    for pid in monitors:
        assert os.readlink("/proc/%d/cwd" % pid) == "/"
        assert not [t for t in leaks.open_fds(pid).values() if t.startswith(("/dev/pts", env.REPO))]
