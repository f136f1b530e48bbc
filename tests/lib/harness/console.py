# SPDX-License-Identifier: Apache-2.0
"""Terminals: the --console-socket protocol, and a pty around the runtime itself."""
import fcntl
import os
import pty
import select
import socket
import struct
import termios
import time

from . import env


class ConsoleSocket:
    """The receiving end of --console-socket: the runtime sends one pty master over it."""

    def __init__(self, directory):
        # sun_path is short: keep the name below a short directory
        self.path = os.path.join(directory, "tty.sock")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(self.path)
        self.sock.listen(1)
        self.sock.settimeout(env.seconds(10))

    def receive(self):
        """(Terminal on the master, the name that came with it)."""
        conn, _ = self.sock.accept()
        with conn:
            conn.settimeout(env.seconds(10))
            data, fds, _, _ = socket.recv_fds(conn, 4096, 4)
        assert len(fds) == 1, "expected one fd on the console socket, got %r with %r" % (fds, data)
        return Terminal(fds[0]), data.rstrip(b"\0").decode()

    def close(self):
        self.sock.close()
        if os.path.exists(self.path):
            os.unlink(self.path)


class Terminal:
    """A pty master with patience."""

    def __init__(self, fd):
        self.fd = fd
        self.seen = ""

    def send(self, text):
        os.write(self.fd, text.encode())

    def read_until(self, text, limit=10):
        """Everything read since the last call, up to and including `text`."""
        deadline = time.monotonic() + env.seconds(limit)
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, "no %r on the terminal; it showed %r" % (text, self.seen)
            if select.select([self.fd], [], [], left)[0]:
                chunk = self._read()
                assert chunk is not None, "terminal hung up before %r; it showed %r" % (text, self.seen)
                self.seen += chunk
        at = self.seen.index(text) + len(text)
        head, self.seen = self.seen[:at], self.seen[at:]
        return head

    def drain(self, limit=10):
        """The rest, up to the hang-up."""
        deadline = time.monotonic() + env.seconds(limit)
        while time.monotonic() < deadline:
            if select.select([self.fd], [], [], 0.1)[0]:
                chunk = self._read()
                if chunk is None:
                    break
                self.seen += chunk
        out, self.seen = self.seen, ""
        return out

    def _read(self):
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: every slave end is closed
            return None
        return data.decode(errors="replace") if data else None

    def resize(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def size(self):
        return struct.unpack("HHHH", fcntl.ioctl(self.fd, termios.TIOCGWINSZ, b"\0" * 8))[:2]

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def open_pty(rows=24, cols=80):
    """(Terminal on the master, slave fd): the slave serves as a runtime's stdin, stdout and stderr."""
    master, slave = pty.openpty()
    term = Terminal(master)
    term.resize(rows, cols)
    return term, slave


def controlling(slave):
    """A preexec function: a new session with `slave` as its controlling terminal."""
    def enter():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    return enter
