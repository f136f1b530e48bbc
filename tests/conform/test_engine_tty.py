# SPDX-License-Identifier: Apache-2.0
"""Terminals: `run -it` and `exec -it` of both engines on a pseudo-terminal of the test."""
import os
import select
import signal
import termios
import time

import pytest

from harness import env
from libengine import wait_for


def test_run_tty(engine):
    t = engine.tty("run", "-it", "--rm", *engine.run_options(), "box", "sh")
    t.expect("/ # ")
    t.send("tty; test -t 0 && test -t 1 && test -t 2 && echo three=$?\r")
    assert "/dev/pts/0" in t.expect("three=0") or "/dev/console" in t.seen
    t.send("exit 4\r")
    assert t.code() == 4


def test_size_and_resize(engine):
    t = engine.tty("run", "-it", "--rm", *engine.run_options(), "box", "sh", rows=33, cols=101)
    t.expect("/ # ")
    t.send("trap 'stty size' WINCH; echo size; sleep 0.3; stty size\r")
    t.expect("33 101")
    t.resize(44, 122)
    os.kill(t.pid, signal.SIGWINCH)
    t.send("sleep 0.3; stty size; echo end\r")
    t.expect("44 122")
    t.send("exit\r")
    assert t.code() == 0


def test_interrupt(engine):
    t = engine.tty("run", "-it", "--rm", *engine.run_options(), "box", "sh", "-c",
                   "trap 'echo INT; exit 3' INT; echo ready; while :; do sleep 0.05; done")
    t.expect("ready")
    t.send("\x03")
    t.expect("INT")
    assert t.code() == 3


def test_detach_and_attach(engine):
    t = engine.tty("run", "-it", "--name", "det", *engine.run_options(), "box", "sh")
    t.expect("/ # ")
    t.send("\x10")
    time.sleep(0.2)
    t.send("\x11")
    assert t.code() == 0
    assert engine.status("det") == "running"
    a = engine.tty("attach", "det")
    a.send("echo back-$((40+2))\r")
    a.expect("back-42")
    a.send("exit 2\r")
    a.code()
    assert engine.out("wait", "det") == "2"


def test_exec_tty(engine):
    cid = engine.start("box", "sleep", "600")
    t = engine.tty("exec", "-it", "-e", "TERM=dumb", "-w", "/tmp", cid, "sh", rows=20, cols=90)
    t.expect("/tmp # ")
    t.send("sleep 0.3; stty size; tty\r")
    t.expect("20 90")
    t.expect("/dev/pts/")
    t.send("ps -o args,tty | grep '^s[h]'; exit 6\r")
    assert t.code() == 6


def test_tty_belongs_to_user(engine):
    """The terminal can be opened again by the user that the process runs as."""
    t = engine.tty("run", "-it", "--rm", "--user", "1000:1000", *engine.run_options(), "box", "sh", "-c",
                   "echo reopened > $(tty) && stat -c owner=%u $(tty)")
    t.expect("reopened")
    t.expect("owner=1000")
    assert t.code() == 0


def test_tty_without_input(engine):
    """-t alone: output of the terminal, with its line ends."""
    assert engine.run(["-t"], ["echo", "hi"]).stdout == "hi\r\n"


@pytest.mark.parametrize("engine", ["docker", "coffer", "kernel"], indirect=True)
@pytest.mark.parametrize("verb", ["attach", "exec"])
@pytest.mark.parametrize("keys,typed", [([], "\x10\x11"), (["--detach-keys", "ctrl-x,x"], "\x18x")], ids=["default", "given"])
def test_leaving_is_told_and_the_program_goes_on(engine, verb, keys, typed):
    """By `attach` and `exec`, where `run` is silent; what an `exec` has started ends like any other."""
    engine("run", "-dit", "--name", "left", *engine.run_options(), "box", "sh")
    t = engine.tty(verb, *keys, *(["-it", "left", "sh", "-c", "echo ready; read x; echo $x > /tmp/said; sleep 600"] if verb == "exec" else ["left"]))
    if verb == "exec":
        t.expect("ready")
    else:
        t.send("echo rea''dy\r")
        t.expect("ready")
    t.send("hello\r")
    if verb == "exec":
        wait_for("what was typed", lambda: engine("exec", "left", "cat", "/tmp/said", rc=None).stdout == "hello\n")
    t.send(typed)
    t.expect("read escape sequence")
    assert t.code() == 1
    assert engine.status("left") == "running"
    if verb == "exec":
        assert engine.out("exec", "left", "pidof", "sleep")
        engine("exec", "left", "killall", "sleep")
        wait_for("its end", lambda: engine("exec", "left", "pidof", "sleep", rc=None).returncode == 1)


@pytest.mark.parametrize("engine", ["coffer", "kernel"], indirect=True)
def test_exec_goes_with_who_typed(engine):
    """Its terminal hangs up when the client is killed."""
    cid = engine.start("box", "sleep", "600")
    t = engine.tty("exec", "-it", cid, "sh", "-c", "echo ready; cat")
    t.expect("ready")
    os.kill(t.pid, signal.SIGKILL)
    wait_for("its end", lambda: engine("exec", cid, "pidof", "cat", rc=None).returncode == 1)


@pytest.mark.parametrize("engine", ["coffer", "kernel"], indirect=True)
def test_leaving_an_exec_leaves_nothing_of_the_callers(engine):
    """Whoever waits for the end of a descriptor that the client got (a script's lock, a pipe) sees it."""
    cid = engine.start("box", "sleep", "600")
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)
    t = engine.tty("exec", "-it", cid, "sh", "-c", "echo ready; cat")
    os.close(theirs)
    t.expect("ready")
    t.send("\x10\x11")
    t.expect("read escape sequence")
    assert t.code() == 1
    assert select.select([ours], [], [], env.seconds(10))[0] and os.read(ours, 1) == b""
    os.close(ours)
    assert engine.out("exec", cid, "pidof", "cat")


@pytest.mark.parametrize("engine", ["coffer", "kernel"], indirect=True)
def test_terminal_after_an_exec_whose_other_half_was_killed(engine):
    """It is as it was, and the client says what happened."""
    cid = engine.start("box", "sleep", "600")
    t = engine.tty("exec", "-it", cid, "sh", "-c", "echo ready; cat")
    t.expect("ready")
    children = [int(p) for p in open("/proc/%d/task/%d/children" % (t.pid, t.pid)).read().split()]
    wait_for("a raw terminal", lambda: not termios.tcgetattr(t.fd)[3] & termios.ICANON)
    os.kill(children[0], signal.SIGKILL)
    t.expect("was killed")
    assert termios.tcgetattr(t.fd)[3] & termios.ICANON
    assert t.code() == 126
    wait_for("its end", lambda: engine("exec", cid, "pidof", "cat", rc=None).returncode == 1)
