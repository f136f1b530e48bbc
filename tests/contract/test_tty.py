# SPDX-License-Identifier: Apache-2.0
"""Terminals: the console socket, a pty around a foreground runtime, sizes, job control."""
import os
import signal
import time

import pytest

from harness import console, peer
from harness.container import wait_for


@pytest.fixture
def pty_pair():
    term, slave = console.open_pty(31, 97)
    yield term, slave
    term.close()
    os.close(slave)


def on_pty(slave):
    return {"stdin": slave, "stdout": slave, "stderr": slave, "preexec_fn": console.controlling(slave)}


def with_console(ct, console_socket, args, verb="run", **process):
    c = ct(args)
    c.process["terminal"] = True
    c.process.update(process)
    flags = ["--console-socket", console_socket.path]
    (c.create(*flags) if verb == "create" else c.run_detached(*flags)).ok()
    term, name = console_socket.receive()
    return c, term, name


# ---- --console-socket ----

def test_console_socket_gives_the_master(ct, console_socket):
    c, term, name = with_console(ct, console_socket, "tty; ls -l /dev/console; echo end; sleep 100")
    text = term.read_until("end")
    assert "/dev/pts/0" in text or "/dev/console" in text
    assert "ptmx" in name or "pts" in name or name, "the message names the terminal"
    term.close()


def test_console_is_readable_and_writable(ct, console_socket):
    c, term, _ = with_console(ct, console_socket, "read x; echo got-$x; sleep 100")
    term.send("word\n")
    term.read_until("got-word")
    term.close()


def test_console_is_the_controlling_terminal(ct, console_socket):
    """^C on the master interrupts the foreground process group inside."""
    c, term, _ = with_console(ct, console_socket, "trap 'echo interrupted; exit 3' INT; echo ready; "
                                                  "while :; do sleep 0.1; done")
    term.read_until("ready")
    term.send("\x03")
    term.read_until("interrupted")
    term.close()


def test_console_dev_console_is_the_same_terminal(ct, console_socket):
    c, term, _ = with_console(ct, console_socket, "echo through-console >/dev/console; sleep 100")
    term.read_until("through-console")
    term.close()


def test_console_size_from_the_config(ct, console_socket):
    """process.consoleSize sets the size before the process starts."""
    c, term, _ = with_console(ct, console_socket, ["guest", "winsize"],
                              consoleSize={"height": 33, "width": 111})
    term.read_until("size 33 111")
    assert term.size() == (33, 111)
    term.close()


def test_console_resize_reaches_the_process(ct, console_socket):
    c, term, _ = with_console(ct, console_socket, ["guest", "winsize"])
    term.read_until("size ")
    term.resize(41, 122)
    term.read_until("size 41 122")
    term.close()


def test_console_with_create_then_start(ct, console_socket):
    c, term, _ = with_console(ct, console_socket, "echo started; sleep 100", verb="create")
    assert c.status == "created"
    c.start().ok()
    term.read_until("started")
    term.close()


def test_console_hangup_ends_the_session(ct, console_socket):
    c, term, _ = with_console(ct, console_socket, "trap 'exit 5' HUP; echo ready; while :; do sleep 0.1; done")
    term.read_until("ready")
    term.close()
    c.wait_stopped()


def test_console_belongs_to_the_user(ct, console_socket):
    """The terminal is chowned to the process's user, or programs cannot reopen it."""
    c, term, _ = with_console(ct, console_socket, "stat -L -c %u /proc/self/fd/0; echo x >/dev/console && echo fine; "
                                                  "sleep 100", user={"uid": 1000, "gid": 1000})
    assert "1000" in term.read_until("fine")
    term.close()


def test_exec_console_socket(ct, console_socket):
    c = ct(["sleep", "100"]).up()
    c.exec("sh", "-c", "tty; echo in-exec; sleep 100",
           flags=["--tty", "--detach", "--console-socket", console_socket.path]).ok()
    term, _ = console_socket.receive()
    assert "/dev/pts/" in term.read_until("in-exec")
    term.close()


# ---- refusals, with runc's texts ----

def test_detached_terminal_needs_a_socket(ct, runtime):
    c = ct(["true"])
    c.process["terminal"] = True
    c.run_detached().failed("cannot allocate tty if runc will detach without setting console socket"
                            if peer.NAME == "runc" else "cannot allocate tty")


def test_console_socket_without_terminal_is_refused(ct, console_socket):
    ct(["true"]).run_detached("--console-socket", console_socket.path).failed(
        "cannot use console socket if runc will not detach or allocate tty"
        if peer.NAME == "runc" else "cannot use console socket")


def test_console_socket_that_is_not_there(ct, runtime):
    c = ct(["true"])
    c.process["terminal"] = True
    r = c.run_detached("--console-socket", runtime.scratch + "/absent.sock").failed()
    assert "no such file or directory" in r.message.lower()


# ---- a foreground runtime on a terminal ----

@pytest.mark.parametrize("verb", ["run", "exec"])
def test_foreground_terminal(ct, pty_pair, verb):
    """Input, output and exit code pass through; the size is the caller's from the beginning."""
    term, slave = pty_pair
    script = "stty size; read x; echo got-$x; tty; exit 6"
    if verb == "run":
        c = ct(script)
        c.process["terminal"] = True
        proc = c.spawn("run", **on_pty(slave))
    else:
        c = ct(["sleep", "100"]).up()
        proc = c.spawn("exec", "--tty", c.id, "sh", "-c", script, **on_pty(slave))
    term.read_until("31 97")
    term.send("word\n")
    term.read_until("got-word")
    term.read_until("/dev/pts/")
    assert proc.wait(10) == 6


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_foreground_resize(ct, pty_pair, verb):
    """SIGWINCH of the outer terminal is carried inside."""
    term, slave = pty_pair
    if verb == "run":
        c = ct(["guest", "winsize"])
        c.process["terminal"] = True
        c.spawn("run", **on_pty(slave))
    else:
        c = ct(["sleep", "100"]).up()
        c.spawn("exec", "--tty", c.id, "guest", "winsize", **on_pty(slave))
    term.read_until("size 31 97")
    time.sleep(0.1)
    term.resize(50, 60)
    term.read_until("size 50 60")


def test_foreground_ctrl_c_goes_inside(ct, pty_pair):
    """The outer terminal is raw: ^C is a byte for the inner one, the runtime itself is not hit."""
    term, slave = pty_pair
    c = ct("trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.1; done")
    c.process["terminal"] = True
    proc = c.spawn("run", **on_pty(slave))
    term.read_until("ready")
    time.sleep(0.1)
    term.send("\x03")
    term.read_until("interrupted")
    assert proc.wait(10) == 9


def test_foreground_restores_the_outer_terminal(ct, pty_pair):
    import termios
    term, slave = pty_pair
    before = termios.tcgetattr(slave)
    c = ct(["true"])
    c.process["terminal"] = True
    proc = c.spawn("run", **on_pty(slave))
    assert proc.wait(10) == 0
    assert termios.tcgetattr(slave) == before


def test_foreground_large_output_through_a_terminal(ct, pty_pair):
    term, slave = pty_pair
    c = ct("guest fill 500000; echo; echo the-end")
    c.process["terminal"] = True
    proc = c.spawn("run", **on_pty(slave))
    text = term.read_until("the-end", limit=30)
    assert text.count("x") == 500000
    assert proc.wait(10) == 0


def test_foreground_output_just_before_exit_is_not_lost(ct, pty_pair):
    term, slave = pty_pair
    for i in range(5):
        c = ct("echo last-words-%d" % i)
        c.process["terminal"] = True
        proc = c.spawn("run", **on_pty(slave))
        assert proc.wait(10) == 0
        term.read_until("last-words-%d" % i)


def test_terminal_is_cooked_inside(ct, console_socket):
    """A fresh pty: lines, signals and echo are on."""
    c, term, _ = with_console(ct, console_socket, "stty -a; echo end; sleep 100")
    assert {"icanon", "isig", "echo"} <= set(term.read_until("end").split())
    term.close()


def test_foreground_terminal_does_not_double_carriage_returns(ct, pty_pair):
    """runc clears ONLCR on the inner terminal: the outer one adds its own."""
    term, slave = pty_pair
    c = ct("echo one; echo two")
    c.process["terminal"] = True
    assert c.spawn("run", **on_pty(slave)).wait(10) == 0
    text = term.read_until("two")
    assert "one" in text and "\r\r\n" not in text


def test_exec_tty_in_a_container_without_one(ct, pty_pair):
    term, slave = pty_pair
    c = ct(["sleep", "100"]).up()
    proc = c.spawn("exec", "-t", c.id, "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && exit 11",
                   **on_pty(slave))
    assert proc.wait(10) == 11


def test_signal_to_a_foreground_runtime_on_a_terminal(ct, pty_pair):
    term, slave = pty_pair
    c = ct(["guest", "sigs"])
    c.process["terminal"] = True
    proc = c.spawn("run", **on_pty(slave))
    term.read_until("ready")
    time.sleep(0.05)
    proc.send_signal(signal.SIGUSR1)
    term.read_until("got 10")
    proc.send_signal(signal.SIGTERM)
    assert proc.wait(10) == 7
    wait_for(lambda: c.rt.call("state", c.id).rc != 0, "the state to be gone")
