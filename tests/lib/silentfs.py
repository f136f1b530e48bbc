# SPDX-License-Identifier: Apache-2.0
"""A file system in user space (FUSE, by its protocol) whose server can be made silent: it hears and does not answer.

It has a directory with `file` and `other`, which anybody reads and writes.  Nothing is kept in the host's memory, so
that each call asks.
"""
import ctypes
import os
import struct
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FLUSH = 1, 2, 3, 4, 14, 15, 16, 17, 18, 25
INIT, OPENDIR, READDIR, RELEASEDIR, ACCESS, INTERRUPT, BATCH_FORGET, DESTROY = 26, 27, 28, 29, 34, 36, 42, 38
NO_ANSWER = (FORGET, INTERRUPT, BATCH_FORGET)
PARALLEL = 1 << 18  # it takes questions about one directory beside each other
MNT_FORCE, MNT_DETACH, ENOENT, ENOSYS, ENODEV = 1, 2, 2, 38, 19
NAMES = {b"file": 2, b"other": 3}


class SilentFs:
    def __init__(self, path):
        self.path, self.lock, self.held, self.silent, self.seen = path, threading.Lock(), [], False, []
        self.contents = {2: b"x" * 4096, 3: b"y" * 4096}
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % self.fd
        if LIBC.mount(b"silent", os.fsencode(path), b"fuse", 0, options.encode()) < 0:
            error = ctypes.get_errno()
            os.close(self.fd)
            raise OSError(error, os.strerror(error), path)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def close(self):
        """Every call that waits ends with an error."""
        LIBC.umount2(os.fsencode(self.path), MNT_FORCE)
        LIBC.umount2(os.fsencode(self.path), MNT_DETACH)
        self.speak()
        self.thread.join(20)
        os.close(self.fd)

    def fall_silent(self):
        with self.lock:
            self.silent = True

    def speak(self):
        """Answers what has been asked meanwhile, and from now on at once."""
        with self.lock:
            self.silent, held, self.held = False, self.held, []
            for request in held:
                self._answer(request)

    def waiting(self):
        """How many questions are not answered."""
        with self.lock:
            return len(self.held)

    def _serve(self):
        while True:
            try:
                request = os.read(self.fd, 1 << 18)
            except OSError as e:
                if e.errno == ENODEV:
                    return
                continue  # what was asked has been taken back
            with self.lock:
                if self.silent:
                    self.held.append(request)
                else:
                    self._answer(request)

    def _attr(self, node):
        mode = 0o40755 if node == 1 else 0o100666
        size = len(self.contents.get(node, b""))
        return struct.pack("<6Q10I", node, size, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def _reply(self, opcode, node, body):
        if opcode == INIT:
            return struct.pack("<IIIIHHIIHHI7I", 7, 31, 4096, PARALLEL, 128, 128, 65536, 1, 0, 0, 0, *[0] * 7)
        if opcode == LOOKUP:
            child = NAMES.get(body.rstrip(b"\0"))
            return struct.pack("<4Q2I", child, 0, 0, 0, 0, 0) + self._attr(child) if child else -ENOENT
        if opcode in (GETATTR, SETATTR):
            return struct.pack("<QII", 0, 0, 0) + self._attr(node)
        if opcode in (OPEN, OPENDIR):
            return struct.pack("<QII", 1, 0, 0)
        if opcode == READ:
            at, size = struct.unpack_from("<QI", body, 8)
            return self.contents[node][at:at + size]
        if opcode == WRITE:
            return struct.pack("<II", struct.unpack_from("<I", body, 16)[0], 0)
        if opcode == STATFS:
            return struct.pack("<5Q4I6I", 100, 50, 50, 10, 5, 4096, 255, 4096, 0, *[0] * 6)
        return b"" if opcode in (RELEASE, FLUSH, READDIR, RELEASEDIR, ACCESS, DESTROY) else -ENOSYS

    def _answer(self, request):
        _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        if opcode in NO_ANSWER:
            return
        reply = self._reply(opcode, node, request[40:])
        error, data = (reply, b"") if isinstance(reply, int) else (0, reply)
        try:
            os.write(self.fd, struct.pack("<IiQ", 16 + len(data), error, unique) + data)
        except OSError:
            pass  # nobody waits for it any more
