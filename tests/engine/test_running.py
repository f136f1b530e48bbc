# SPDX-License-Identifier: Apache-2.0
"""What is known of running containers beside the database (engine/running.c): believed as long as it is true."""
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import time

import pytest

import libengine


@pytest.fixture
def one(coffer):
    """A running container "one" whose row an exec has kept; its directory."""
    cid = coffer.out("run", "-d", "--name", "one", *coffer.run_options(), "--network", "none", "-e", "A=1", "box",
                     "sleep", "600")
    where = os.path.join(coffer.volatile, "run", "containers", cid)
    keep(coffer, "one", where)
    return where


def kept(directory):
    return os.path.exists(directory + "/row")


def exec_until(coffer, name, what, cond):
    """Who has just started a container may have its lock yet: then an exec leaves nothing."""
    def tried():
        coffer("exec", name, "true")
        return cond()
    libengine.wait_for(what, tried)


def keep(coffer, name, where):
    exec_until(coffer, name, "a row that is kept", lambda: kept(where))


def name_of(coffer, name):
    return os.path.join(coffer.volatile, "run/names", name)


@contextlib.contextmanager
def directory(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def without_database(coffer):
    """Whoever asks the database now fails."""
    path = coffer.scratch + "/root/coffer.db"
    os.rename(path, path + ".away")
    os.mkdir(path)

    def back():
        os.rmdir(path)
        os.rename(path + ".away", path)
    return back


def test_exec_asks_no_database(coffer, one):
    assert kept(one) and os.readlink(name_of(coffer, "one")) == os.path.basename(one)
    back = without_database(coffer)
    try:
        assert coffer.out("exec", "one", "sh", "-c", "echo $A") == "1"
        assert coffer.out("exec", os.path.basename(one), "sh", "-c", "echo $A") == "1"
        assert coffer("exec", os.path.basename(one)[:12], "true", rc=None).returncode == 1  # a prefix is looked up
    finally:
        back()


def test_a_new_name_is_the_only_one(coffer, one):
    coffer("rename", "one", "two")
    assert not kept(one) and not os.path.lexists(name_of(coffer, "one"))
    assert "No such container: one" in coffer("exec", "one", "true", rc=1).stderr
    keep(coffer, "two", one)
    # The old name is another container's now.
    coffer("run", "-d", "--name", "one", *coffer.run_options(), "--network", "none", "-e", "A=2", "box", "sleep", "600")
    for _ in range(2):
        assert coffer.out("exec", "one", "sh", "-c", "echo $A") == "2"
        assert coffer.out("exec", "two", "sh", "-c", "echo $A") == "1"


def test_whose_id_is_another_ones_name(coffer, one):
    """Docker's order: a whole id, a name, the beginning of an id."""
    cid = os.path.basename(one)
    for name, value in ((cid, "2"), (cid[:12], "3")):
        coffer("run", "-d", "--name", name, *coffer.run_options(), "--network", "none", "-e", "A=" + value, "box",
               "sleep", "600")
    for _ in range(2):
        assert coffer.out("exec", cid, "sh", "-c", "echo $A") == "1"
        assert coffer.out("exec", "/" + cid, "sh", "-c", "echo $A") == "2"
        assert coffer.out("exec", cid[:12], "sh", "-c", "echo $A") == "3"
        assert coffer.out("exec", cid[:13], "sh", "-c", "echo $A") == "1"
    assert coffer.inspect(cid, "{{.Name}}") == "/one"


def test_a_name_is_no_id(coffer, one):
    for _ in range(2):
        assert "No such container" in coffer("exec", "/" + os.path.basename(one), "true", rc=1).stderr


def test_a_shortened_id_finds_what_was_kept(coffer, one):
    before = os.stat(one + "/row")
    coffer("exec", os.path.basename(one)[:12], "true")
    assert os.stat(one + "/row").st_ino == before.st_ino


def test_paused_is_refused(coffer, one):
    coffer("pause", "one")
    assert not kept(one)
    assert "is paused" in coffer("exec", "one", "true", rc=1).stderr
    coffer("unpause", "one")
    keep(coffer, "one", one)


def test_a_pause_that_is_killed(coffer, one):
    """It leaves nothing frozen that is said to run, and nothing that cannot be ended."""
    for i in range(25):
        for words in (["pause"], ["unpause"]):
            with subprocess.Popen(coffer.base + [*words, "one"], env=coffer.environ, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) as client:
                time.sleep(0.004 + i * 0.001)
                client.kill()
            if coffer.status("one") == "running":
                coffer("exec", "one", "true")
    if coffer.status("one") == "paused":
        coffer("unpause", "one")
    coffer("pause", "one")
    coffer("unpause", "one")
    coffer("exec", "one", "true")


def test_paused_as_the_row_has_it(coffer, one):
    """Whose `pause` was killed before anything was frozen."""
    coffer("pause", "one")
    with open("/proc/%d/cgroup" % coffer.pid("one")) as f:
        groups = [x.split(":", 2) for x in f.read().splitlines()]
    path = next(p for _, names, p in groups if libengine.UNIFIED or "freezer" in names.split(","))
    frozen, text = libengine.by_view(("/sys/fs/cgroup/freezer%s/freezer.state" % path, "THAWED"),
                                     ("/sys/fs/cgroup%s/cgroup.freeze" % path, "0"))
    with open(frozen, "w") as f:
        f.write(text)
    coffer("unpause", "one")
    coffer("exec", "one", "true")


def test_an_end_that_is_being_written_down(coffer, one):
    """`inspect` waits for it, and does not tell half of it."""
    pid = coffer.pid("one")
    with directory(os.path.join(coffer.scratch, "root/containers", os.path.basename(one))) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        assert coffer.inspect("one", "{{.State.Status}} {{.State.Running}}") == "running true"
        os.kill(pid, 9)
        libengine.wait_for("its end", lambda: os.path.exists(one + "/exit"))
        looks = subprocess.Popen(coffer.base + ["inspect", "-f", "{{.State.Status}} {{.State.Running}} "
                                                "{{.State.ExitCode}} {{.State.FinishedAt}}", "one"], env=coffer.environ,
                                 stdout=subprocess.PIPE, text=True)
        time.sleep(0.3)
    told = looks.communicate()[0]
    assert told.startswith("exited false 137 2"), told


def test_update_and_restart(coffer, one):
    coffer("update", "--cpu-shares", "512", "one")
    assert not kept(one)
    coffer("exec", "one", "true")
    coffer("restart", "-t", "0", "one")
    assert not kept(one)
    keep(coffer, "one", one)


def test_nothing_is_left(coffer, one):
    coffer("rm", "-f", "one")
    assert not os.path.exists(one) and not os.path.lexists(name_of(coffer, "one"))
    assert "No such container: one" in coffer("exec", "one", "true", rc=1).stderr


def test_a_link_without_a_row(coffer, one):
    """As of who was killed between the two."""
    os.unlink(one + "/row")
    coffer("rm", "-f", "one")
    assert os.listdir(os.path.join(coffer.volatile, "run/names")) == []


def test_a_row_without_a_link(coffer, one):
    os.unlink(name_of(coffer, "one"))
    coffer("exec", "one", "true")
    assert os.readlink(name_of(coffer, "one")) == os.path.basename(one)


def test_between_two_runs(coffer):
    coffer("run", "-d", "--name", "again", "--restart", "always", *coffer.run_options(), "--network", "none", "box",
           "false")
    libengine.wait_for("a pause", lambda: "is restarting, wait until" in
                       coffer("exec", "again", "true", rc=None).stderr)


def host_ids(coffer):
    return [x for x in os.listdir(os.path.join(coffer.volatile, "run/hostids")) if x[0] != "."]


def parent_of(coffer, name, words):
    """Of the process in the container: the host's number of its parent."""
    rows = coffer.out("top", name, "-eo", "ppid,args").splitlines()
    return next(int(x.split()[0]) for x in rows if words in x)


def gone(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_who_has_the_hosts_ids_is_marked(coffer, one):
    assert host_ids(coffer) == []
    other = coffer.out("run", "-d", "--name", "other", "--userns", "host", *coffer.run_options(), "--network", "none",
                       "box", "sleep", "600")
    assert host_ids(coffer) == [other]
    coffer("restart", "-t", "0", "other")
    assert host_ids(coffer) == [other]
    coffer("run", "--userns", "host", *coffer.run_options(), "--network", "none", "box", "/nosuch", rc=127)
    assert host_ids(coffer) == [other]
    coffer("rm", "-f", "other")
    assert host_ids(coffer) == []


def test_marks_of_before(coffer, one):
    """One that an earlier version has started, which made no marks."""
    other = coffer.out("run", "-d", "--name", "other", "--userns", "host", *coffer.run_options(), "--network", "none",
                       "box", "sleep", "600")
    marks = os.path.join(coffer.volatile, "run/hostids")
    shutil.rmtree(marks)
    exec_until(coffer, "one", "marks", lambda: os.path.exists(marks + "/.counted"))
    assert host_ids(coffer) == [other]
    coffer("rm", "-f", "other")
    assert host_ids(coffer) == []


def test_a_detached_one_is_waited_for(coffer, one):
    """Not by the host's first process, which may not do it."""
    coffer("exec", "-d", "one", "sleep", "4321")
    pid = parent_of(coffer, "one", "sleep 4321")
    with open("/proc/%d/cmdline" % pid) as f:
        assert f.read().endswith("one\0sleep\x004321\0")
    assert len(os.listdir("/proc/%d/fd" % pid)) == 3
    coffer("exec", "one", "sh", "-c", "kill -9 $(pidof sleep | tr ' ' '\\n' | grep -v '^1$')")
    libengine.wait_for("its end", lambda: gone(pid))
    assert coffer.out("stats", "--no-stream", "--format", "{{.PIDs}}", "one") == "1"
    # What fails is told as ever.
    assert coffer("exec", "-d", "one", "/nosuch", rc=127).stderr


def test_a_dead_one_is_not_running(coffer, one):
    """The monitor and the container killed: the row that stands is of nobody."""
    for pid in coffer.monitors():
        os.kill(pid, 9)
    libengine.wait_for("the monitor's end", lambda: not coffer.monitors())
    os.kill(int(open(one + "/running").read().split()[0]), 9)
    assert kept(one)
    libengine.wait_for("the container's end",
                       lambda: "is not running" in coffer("exec", "one", "true", rc=None).stderr)
    coffer("ps")
    assert not kept(one)


@pytest.mark.parametrize("spoil", ["foreign", "writable", "torn", "link", "other-store", "other-name", "other-version"])
def test_what_is_not_ours_is_not_believed(coffer, one, spoil):
    row = one + "/row"
    with open(row) as f:
        whole = json.load(f)
    wrong = json.loads(json.dumps(whole).replace("A=1", "A=wrong"))
    changes = {"other-store": {"root": "/nosuch"}, "other-name": {"name": "another"}, "other-version": {"version": 99}}
    wrong.update(changes.get(spoil, {}))
    text = json.dumps(wrong)
    with open(row, "w") as f:
        f.write(text[:-10] if spoil == "torn" else text)
    if spoil == "foreign":
        os.chown(row, 1234, 1234)
    elif spoil == "writable":
        os.chmod(row, 0o622)
    elif spoil == "link":
        os.rename(row, row + ".there")
        os.symlink("row.there", row)
    assert coffer.out("exec", "one", "sh", "-c", "echo $A") == "1"
    # And it was written anew.
    with open(row) as f:
        assert json.load(f) == whole
    assert not os.path.islink(row)


def test_start_attaches_to_what_runs(coffer):
    coffer("run", "-d", "--name", "late", *coffer.run_options(), "--network", "none", "box", "sh", "-c",
           "while [ ! -e /go ]; do sleep 0.05; done; echo word; exit 7")
    coffer("exec", "-d", "late", "sh", "-c", "sleep 1; touch /go")
    done = coffer("start", "-a", "late", rc=7)
    assert done.stdout == "word\n"


def test_the_reason_when_a_kernel_is_killed(coffer):
    """kill -9 of the sentry is told apart from a kill that was asked for."""
    run = ["run", "-d", *coffer.run_options(), "--network", "none", "--isolation", "kernel"]
    state = "{{.State.ExitCode}} {{.State.Error}}"
    for name in ("victim", "asked"):
        coffer(*run, "--name", name, "box", "sleep", "600")
    os.kill(int(coffer.inspect("victim", "{{.State.Pid}}")), 9)
    libengine.wait_for("its end", lambda: coffer.inspect("victim", "{{.State.Running}}") == "false")
    assert coffer.inspect("victim", state) == "137 the container's kernel was ended by signal 9 (Killed)"
    coffer("kill", "asked")
    assert coffer.inspect("asked", state) == "137"
