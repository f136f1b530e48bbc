# SPDX-License-Identifier: Apache-2.0
"""Machines for tests: bundles for coffer-oci at level `vm`, kernels, initramfs archives, hypervisors played by a script."""
import json
import os
import pathlib
import shutil
import subprocess
import textwrap

import pytest

from harness import bundle, env

KERNELS = pathlib.Path(os.environ.get("COFFER_VM_DIR", "/var/lib/coffer/vm"))
QEMU = "/usr/bin/qemu-system-x86_64"

PLAYED = '''#!/usr/bin/python3 -IS
"""In QEMU's place: its monitor is polite, and what the scene does with the rest is its own."""
import os, socket, struct, sys, threading, time
argv = sys.argv

def port(name):
    fd = next(a.split("fd=")[1] for a in argv if a.startswith("socket,id=%s," % name))
    return socket.socket(fileno=int(fd))

HEAD = struct.Struct("<IHHII")
READY, REPLY, OUTPUT, EXITED, OOM, LOG = range(1, 7)
HELLO, NETWORK, MOUNT, RUN, EXEC, INPUT, SIGNAL, RESIZE, UPDATE, PROCESSES, TIME, SHUTDOWN = range(64, 76)
LEFT, MEMBER = 7, 79
qmp, agent, share = port("qmp"), port("agent"), port("share")
refused = None  # what is in a command that the monitor refuses

def polite():
    qmp.sendall(b'{"QMP": {}}\\r\\n')
    threading.Thread(target=obey, daemon=True).start()

def obey():
    rest, files = b"", []
    while True:
        data, fds, *_ = socket.recv_fds(qmp, 65536, 8)
        files += fds
        *lines, rest = (rest + data).split(b"\\n")
        for line in lines:
            if refused and refused in line:
                qmp.sendall(b'{"error": {"class": "GenericError", "desc": "none to be had"}}\\r\\n')
                continue
            qmp.sendall(b'{"return": {}}\\r\\n')
            if b'"migrate' not in line or b"capabilities" in line:
                continue
            if b'"migrate"' in line and files:
                os.write(files[-1], b"the devices")
            qmp.sendall(b'{"event": "MIGRATION", "data": {"status": "completed"}}\\r\\n')
        if not data:
            return

def console(text):
    data = text.encode()
    while data:
        data = data[os.write(1, data):]

def say(kind, payload=b"", process=0, stream=0, id=0):
    agent.sendall(HEAD.pack(len(payload), kind, stream, process, id) + payload)

def whole(n):
    data = b""
    while len(data) < n:
        more = agent.recv(n - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data

def hear():
    size, kind, stream, process, id = HEAD.unpack(whole(HEAD.size))
    return kind, process, id, whole(size)

def ready(protocol=1, timer_percent=100):
    say(READY, struct.pack("<IIQQ", protocol, timer_percent, 1 << 28, 10 ** 9))

def answer(id, code=0, status=0, text=b""):
    say(REPLY, struct.pack("<ii", code, status) + text, id=id)

def up_to(kind):
    """Answers well until the request of this kind."""
    while True:
        got, process, id, payload = hear()
        if got == kind:
            return process, id
        if id:
            answer(id)

def running(**said):
    ready(**said)
    process, id = up_to(RUN)
    answer(id)
    return process

def ended(process, status=0):
    say(OUTPUT, process=process, stream=1)
    say(OUTPUT, process=process, stream=2)
    say(EXITED, struct.pack("<i", status), process)

def hang():
    time.sleep(3600)

SCENE
'''


def kernel():
    """The newest kernel's directory."""
    found = [d for d in KERNELS.glob("*") if (d / "info.json").exists()]
    if not found:
        pytest.skip("no kernel for machines: coffer vm fetch-kernel")
    return max(found, key=lambda d: json.loads((d / "info.json").read_text())["made"])


def archive(path, files):
    """A cpio archive as the kernel unpacks it: {name: bytes, None for a directory}."""
    out, number = b"", 0
    for name, data in list(files.items()) + [("TRAILER!!!", b"")]:
        number += 1
        mode = 0o040755 if data is None else 0o100755
        body, word = data or b"", name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(word), 0)
        head = b"070701" + b"".join(b"%08x" % f for f in fields) + word
        out += head + bytes(-len(head) % 4) + body + bytes(-len(body) % 4)
    path.write_bytes(out)
    path.chmod(0o644)
    return path


class Place:
    """A bundle with busybox, a state directory and a coffer.toml of its own; beside: the state directory of that place."""

    def __init__(self, top, beside=None):
        self.top, self.env = top, dict(beside.env if beside else os.environ)
        self.state = beside.state if beside else top / "state"
        self.group = "/coffer-vmlevel-%d%s" % (os.getpid(), "-" + top.name if beside else "")
        self.env.pop("COFFER_CONFIG", None)
        self.played = None
        self.seconds = 120  # that a machine may take until the program runs
        self.rootfs = pathlib.Path(bundle.store().rootfs(str(top / "bundle" / "rootfs")))
        self.log = top / "keeper.log"

    def configure(self, text):
        path = self.top / "coffer.toml"
        path.write_text("[vm]\n" + text + "\n")
        self.env["COFFER_CONFIG"] = str(path)

    def play(self, scene):
        """A script in the hypervisor's place."""
        path = self.top / "played"
        path.write_text(PLAYED.replace("SCENE", textwrap.dedent(scene)))
        path.chmod(0o755)
        self.played = path
        self.unused_kernel()

    def unused_kernel(self):
        """A kernel of its own, whose templates are nobody else's; the initramfs is not looked into."""
        (self.top / "vm").mkdir()
        (self.top / "initramfs").write_bytes(b"none")
        self.env["COFFER_VM_DIR"] = str(self.top / "vm")
        self.configure('kernel = "%s"\ninitramfs = "%s"' % (kernel() / "kernel", self.top / "initramfs"))

    def replace_hypervisor(self, data, mode=0o755):
        self.played = self.top / "played"
        self.played.write_bytes(data)
        self.played.chmod(mode)

    def argv(self, *words):
        oci = [env.OCI, "--root", str(self.state), "--isolation", "vm", *words]
        if not self.played:
            return oci
        script = 'mount --bind "$0" %s && exec "$@"' % QEMU
        return ["unshare", "-m", "--propagation", "private", "sh", "-c", script, str(self.played)] + oci

    def write(self, args, change=None):
        config = bundle.default_config(args, self.group)
        bundle.without_namespace(config, "network")
        config["linux"]["namespaces"].append({"type": "network"})
        if change:
            change(config)
        (self.top / "bundle" / "config.json").write_text(json.dumps(config))

    def environ(self, seconds=None):
        return dict(self.env, COFFER_VM_START_SECONDS=str(int(env.seconds(seconds or self.seconds))), COFFER_VM_LOG=str(self.log))

    def run(self, *args, seconds=None, change=None, name="one", limit=300):
        """`run`, to its end; seconds: how long the machine may take until the program runs."""
        self.write(args, change)
        return subprocess.run(self.argv("run", "--bundle", str(self.top / "bundle"), name), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, env=self.environ(seconds),
                              timeout=env.seconds(limit), errors="replace")

    def create(self, *args, change=None, name="one"):
        """`create`, whose output and the program's goes to the file `out`: it holds it open."""
        self.write(args, change)
        with open(self.top / "out", "w") as out:
            done = subprocess.run(self.argv("create", "--bundle", str(self.top / "bundle"), name), stdout=out,
                                  stderr=out, stdin=subprocess.DEVNULL, env=self.environ(), timeout=env.seconds(60))
        assert done.returncode == 0, (self.top / "out").read_text()

    def call(self, *words, limit=120, **more):
        return subprocess.run(self.argv(*words), capture_output=True, text=True, timeout=env.seconds(limit),
                              env=self.environ(), errors="replace", **more)

    def left(self):
        """What is still there of a container that ended."""
        return sorted(x.name for x in self.state.iterdir() if not x.name.startswith("@")) if self.state.exists() else []


def without_modules(source, target, *names):
    """A copy of a kernel that lacks these modules, alone in a directory for COFFER_VM_DIR."""
    target.mkdir()
    copy = target / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("initramfs-*"))
    for path in (copy / "modules").glob("*"):
        if path.name in names:
            path.unlink()
    kept = [m for m in (copy / "modules.list").read_text().split() if m not in names]
    (copy / "modules.list").write_text("".join(m + "\n" for m in kept))
    return target
