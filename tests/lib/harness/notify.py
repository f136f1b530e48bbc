# SPDX-License-Identifier: Apache-2.0
"""The receiving end of linux.seccomp.listenerPath: one notification fd, and its answers."""
import fcntl
import json
import os
import select
import socket
import struct
import threading

from . import env

NOTIF_RECV = 0xC0502100
NOTIF_SEND = 0xC0182101
CONTINUE = 1


class Listener:
    """Accepts one connection, then answers every notified call with `error` (0: let it go on)."""

    def __init__(self, directory, error=0):
        self.path = os.path.join(directory, "seccomp.sock")
        self.error = error
        self.state = None
        self.calls = []
        self.failure = None
        self.stop = False
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(self.path)
        self.sock.listen(4)
        self.sock.settimeout(env.seconds(20))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        try:
            conn, _ = self.sock.accept()
            with conn:
                data, fds, _, _ = socket.recv_fds(conn, 1 << 20, 4)
            self.state = json.loads(data)
            self._answer(fds[0])
        except (OSError, ValueError, IndexError) as e:
            self.failure = e

    def _answer(self, fd):
        while not self.stop:
            if not select.select([fd], [], [], 0.05)[0]:
                continue
            buf = bytearray(80)
            try:
                fcntl.ioctl(fd, NOTIF_RECV, buf)
            except OSError:
                break  # the process has gone
            ident, pid, _, nr = struct.unpack_from("QIIi", buf)
            self.calls.append((pid, nr))
            flags = 0 if self.error else CONTINUE
            try:
                fcntl.ioctl(fd, NOTIF_SEND, struct.pack("QqiI", ident, 0, -self.error, flags))
            except OSError:
                pass
        os.close(fd)

    def close(self):
        self.stop = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that still waits for a connection
        except OSError:
            pass
        self.sock.close()
        self.thread.join(5)
