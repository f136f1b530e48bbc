# SPDX-License-Identifier: Apache-2.0
"""The keeper's side of src/wire/guest.h, and an agent to talk to, in namespaces of its own."""
import collections
import json
import os
import select
import signal
import socket
import struct
import subprocess
import time

from harness import bundle, env

AGENT = os.path.join(os.path.dirname(env.OCI), "coffer-agent")

PROTOCOL, DATA_MAX, WINDOW, LIVE_MAX = 1, 32 << 10, 256 << 10, 1024
READY, REPLY, OUTPUT, EXITED, OOM, LOG, LEFT = range(1, 8)
HELLO, NETWORK, MOUNT, RUN, EXEC, INPUT, SIGNAL, RESIZE, UPDATE, PROCESSES, TIME, SHUTDOWN, STATS, FREEZE, THAW, MEMBER, PAUSE, RESUME = range(64, 82)
CREDIT = 128
TERMINAL, STDIN, OUTSIDE = 1, 2, 4

HEAD = struct.Struct("<IHHII")
ROW = struct.Struct("<iiIIQQQQ16s184s")
MS_BIND, MS_REC = 4096, 16384

Reply = collections.namedtuple("Reply", "code exit_status text")


class Gone(Exception):
    """The agent closed the stream."""


class Keeper:
    """Frames over a socket.  Output is collected, and credited at once unless `stingy`."""

    def __init__(self, sock):
        self.sock, self.buf, self.serial = sock, b"", 0
        self.ready, self.stingy = None, False
        self.replies, self.output, self.ended, self.status = {}, collections.defaultdict(bytearray), set(), {}
        self.room = collections.defaultdict(lambda: WINDOW)
        self.ooms, self.order, self.left = [], [], []

    def send(self, kind, payload=b"", process=0, stream=0, id=0):
        self.sock.sendall(HEAD.pack(len(payload), kind, stream, process, id) + payload)

    def step(self, timeout):
        """Reads what is there; False where nothing came."""
        if not select.select([self.sock], [], [], timeout)[0]:
            return False
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            raise Gone()
        self.buf += data
        at = 0
        while len(self.buf) - at >= HEAD.size:
            size, kind, stream, process, id = HEAD.unpack_from(self.buf, at)
            if len(self.buf) - at - HEAD.size < size:
                break
            payload = self.buf[at + HEAD.size:at + HEAD.size + size]
            at += HEAD.size + size
            self.take(kind, stream, process, id, payload)
        self.buf = self.buf[at:]
        return True

    def take(self, kind, stream, process, id, payload):
        self.order.append((kind, stream, process))
        if kind == READY:
            self.ready = struct.unpack("<IIQQ", payload)
        elif kind == REPLY:
            code, status = struct.unpack_from("<ii", payload)
            assert id and id not in self.replies
            self.replies[id] = Reply(code, status, payload[8:])
        elif kind == OUTPUT:
            assert (process, stream) not in self.ended and len(payload) <= DATA_MAX
            if not payload:
                self.ended.add((process, stream))
                return
            self.output[process, stream] += payload
            if not self.stingy:
                self.credit(process, stream, len(payload))
        elif kind == EXITED:
            assert process not in self.status
            self.status[process] = struct.unpack("<i", payload)[0]
        elif kind == OOM:
            self.ooms.append(process)
        elif kind == LEFT:
            self.left += struct.unpack("<I", payload)
        elif kind == CREDIT:
            self.room[process] += struct.unpack("<I", payload)[0]
            assert self.room[process] <= WINDOW
        else:
            raise AssertionError("frame of type %d" % kind)

    def until(self, true, seconds=20):
        end = time.monotonic() + env.seconds(seconds)
        while not true():
            left = end - time.monotonic()
            assert left > 0, "waited in vain: %r %r %r" % (self.replies, dict(self.output), self.status)
            self.step(left)

    def credit(self, process, stream, n):
        self.send(CREDIT, struct.pack("<I", n), process, stream)

    def start(self, kind, payload=b"", process=0):
        self.serial += 1
        self.send(kind, payload, process, id=self.serial)
        return self.serial

    def ask(self, kind, payload=b"", process=0):
        id = self.start(kind, payload, process)
        self.until(lambda: id in self.replies)
        return self.replies[id]

    # ---- requests ----

    def hello(self, protocol=PROTOCOL):
        return self.ask(HELLO, struct.pack("<IIQ", protocol, 0, time.time_ns()) + os.urandom(32))

    def mount(self, kind, source, target, flags=0, data=""):
        strings = b"".join(s.encode() + b"\0" for s in (kind, source, target, data))
        return self.ask(MOUNT, struct.pack("<Q", flags) + strings)

    @staticmethod
    def process(document, flags, rows, columns):
        return struct.pack("<IHH", flags, rows, columns) + json.dumps(document).encode()

    def run(self, config, process=1, flags=0, rows=0, columns=0):
        return self.ask(RUN, self.process(config, flags, rows, columns), process)

    def exec(self, document, process, flags=0, rows=0, columns=0):
        return self.ask(EXEC, self.process(document, flags, rows, columns), process)

    def input(self, process, data):
        """Waits for room, as a keeper does."""
        for at in range(0, len(data), DATA_MAX):
            piece = data[at:at + DATA_MAX]
            self.until(lambda: self.room[process] >= len(piece))
            self.room[process] -= len(piece)
            self.send(INPUT, piece, process)

    def end_input(self, process):
        self.send(INPUT, b"", process)

    def signal(self, number, process=0, everybody=False):
        return self.ask(SIGNAL, struct.pack("<II", number, int(everybody)), process)

    def over(self, process):
        return process in self.status and {(process, 1), (process, 2)} <= self.ended

    def wait(self, process, seconds=20):
        """The wait status, once all output is there."""
        self.until(lambda: self.over(process), seconds)
        return self.status[process]

    def processes(self, above=0):
        reply = self.ask(PROCESSES, struct.pack("<i", above))
        assert reply.code == 0 and len(reply.text) % ROW.size == 0, reply
        rows = []
        for at in range(0, len(reply.text), ROW.size):
            f = ROW.unpack_from(reply.text, at)
            rows.append({"pid": f[0], "parent": f[1], "uid": f[2], "resident": f[7],
                         "terminal": f[8].split(b"\0")[0].decode(), "command": f[9].split(b"\0")[0].decode()})
        return rows

    def stats(self):
        reply = self.ask(STATS)
        assert reply.code == 0 and len(reply.text) == 48, reply
        return dict(zip(("memory", "peak", "inactive_file", "limit", "failures", "pids"),
                        struct.unpack("<6Q", reply.text)))


SCRIPT = """
mount -t proc proc /proc && mount -t tmpfs -o mode=755 run /run && mkdir -p /run/coffer
exec "$0" --socket 3 "$@"
"""


class Agent(Keeper):
    """coffer-agent in mount, pid and network namespaces of its own; "/run/coffer/root" is a busybox."""

    def __init__(self, top, greet=True, root=True, ports=None):
        ours, theirs = socket.socketpair()
        self.log = open(os.path.join(top, "agent.log"), "w+")
        theirs_fd = theirs.fileno()
        self.child = subprocess.Popen(
            ["unshare", "-m", "-p", "-n", "-f", "--kill-child", "--propagation", "private", "sh", "-c", SCRIPT, AGENT]
            + (["--ports", ports] if ports else []),
            preexec_fn=lambda: os.dup2(theirs_fd, 3), pass_fds=(3,), stderr=self.log, stdin=subprocess.DEVNULL)
        theirs.close()
        super().__init__(ours)
        self.until(lambda: self.ready)
        if greet:
            assert self.hello().code == 0
        if greet and root:
            self.rootfs = bundle.store().rootfs(os.path.join(top, "rootfs"))
            assert self.mount("none", self.rootfs, "/run/coffer/root", MS_BIND | MS_REC) == (0, 0, b"")

    def pid(self):
        """Of the agent itself, on the host."""
        return int(open("/proc/%d/task/%d/children" % (self.child.pid, self.child.pid)).read().split()[0])

    def close(self):
        self.sock.close()
        try:
            self.child.wait(env.seconds(20))
        finally:
            self.child.send_signal(signal.SIGKILL)
            self.child.wait()
        self.log.seek(0)
        return self.log.read()


def config(*args, **process):
    """What a keeper makes of a container's configuration."""
    c = bundle.default_config(args, "/coffer-agent-%d" % os.getpid())
    c["root"]["path"] = "/run/coffer/root"
    bundle.without_namespace(c, "network")
    c["process"].update(process)
    return c


def process(*args, **more):
    p = dict(config(*args)["process"])
    p.update(more)
    return p


class Member(Keeper):
    """The keeper of a further container, behind ports of its own: listening sockets in the agent's --ports directory."""

    def __init__(self, first, ports, number, top, root=True, flags=0):
        listeners = []
        for name in ("dev.coffer.agent.%d" % number, "dev.coffer.share.%d" % number):
            s = socket.socket(socket.AF_UNIX)
            s.bind(os.path.join(ports, name))
            s.listen(1)
            s.settimeout(env.seconds(20))
            listeners.append(s)
        self.reply = first.ask(MEMBER, struct.pack("<II", number, flags))
        assert self.reply.code == 0, self.reply
        sock, self.share = (s.accept()[0] for s in listeners)
        for s in listeners:
            s.close()
        super().__init__(sock)
        self.until(lambda: self.ready)
        assert self.hello().code == 0
        if root:
            self.rootfs = bundle.store().rootfs(os.path.join(top, "rootfs-%d" % number))
            assert self.mount("none", self.rootfs, "/run/coffer/root", MS_BIND | MS_REC) == (0, 0, b"")

    def close(self):
        self.sock.close()
        self.share.close()


SHARES_PIDS = 1


def member_config(*args, pids=None, **more):
    """As a keeper makes it of a further container's configuration: no IPC, no host name of its own, no group's path."""
    c = config(*args, **more)
    if pids:
        next(n for n in c["linux"]["namespaces"] if n["type"] == "pid")["path"] = pids
    for kind in ("ipc", "uts"):
        bundle.without_namespace(c, kind)
    c.pop("hostname", None)
    c["linux"].pop("cgroupsPath", None)
    for m in c["mounts"]:
        if m["destination"] == "/dev/shm":
            m.update(type="bind", source="/run/coffer/shm", options=["bind", "nosuid", "nodev", "noexec"])
    return c
