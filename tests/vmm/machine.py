# SPDX-License-Identifier: Apache-2.0
"""Runs coffer-vmm as its driver does: descriptors on the command line, requests over a socket."""
import array
import os
import select
import socket
import struct
import subprocess
import time

from harness import env

HERE = os.path.dirname(os.path.abspath(__file__))
PAUSE, RESUME, SAVE = 1, 2, 3


def program():
    return os.path.join(os.path.dirname(os.path.abspath(env.OCI)), "coffer-vmm")


def why_not():
    """Why no machine can be run here, or None."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError:
        return "no /dev/kvm"
    return None


def build_guest(path):
    subprocess.run(["cc", "-O1", "-ffreestanding", "-nostdlib", "-static", "-no-pie", "-fno-pie", "-mno-red-zone",
                    "-mgeneral-regs-only", "-fno-stack-protector", "-fcf-protection=none", "-Wl,-Ttext-segment=0x1000000",
                    "-Wl,-e,start", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-o", path, os.path.join(HERE, "guest.c")],
                   check=True)
    return path


class Machine:
    """One coffer-vmm; what its guest prints gathers in `text`."""

    def __init__(self, kernel=None, cmdline="", memory=32 << 20, fds=None, args=()):
        self.console, console = os.pipe()
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.agent, agent = socket.socketpair()
        self.text, opened = b"", [os.open("/dev/kvm", os.O_RDWR), console]
        line = [program(), "run", "kvm=%d" % opened[0], "console=%d" % console, "control=%d" % control.fileno(),
                "agent=%d" % agent.fileno(), "memory=%d" % memory, "cmdline=%s" % cmdline]
        if kernel:
            opened.append(os.open(kernel, os.O_RDONLY))
            line.append("kernel=%d" % opened[-1])
        passed = list((fds or {}).values())
        line += ["%s=%d" % (key, fd) for key, fd in (fds or {}).items()] + list(args)
        self.started = time.monotonic()
        self.process = subprocess.Popen(line, pass_fds=opened + passed + [control.fileno(), agent.fileno()],
                                        stderr=subprocess.PIPE)
        for fd in opened:
            os.close(fd)
        control.close()
        agent.close()

    def reply(self):
        """(code, message) of the next answer; None where there is none any more."""
        self.control.settimeout(env.seconds(60))
        got = self.control.recv(512)
        return (struct.unpack("<i", got[:4])[0], got[4:].rstrip(b"\0").decode()) if got else None

    def ask(self, kind, fd=None, at=0, memory_at=0):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd is not None else []
        self.control.sendmsg([struct.pack("<IIQQ", kind, 0, at, memory_at)], rights)
        return self.reply()

    def until(self, word, seconds=60):
        """Everything printed so far, once `word` is in it."""
        end = time.monotonic() + env.seconds(seconds)
        while word not in self.text:
            ready, _, _ = select.select([self.console], [], [], max(0, end - time.monotonic()))
            got = os.read(self.console, 65536) if ready else b""
            assert got, "the guest said %r, not %r" % (self.text[-2000:], word)
            self.text += got
        return self.text

    def drain(self):
        while select.select([self.console], [], [], 0.05)[0]:
            got = os.read(self.console, 65536)
            if not got:
                break
            self.text += got
        return self.text

    def wait(self, seconds=60):
        code = self.process.wait(env.seconds(seconds))
        self.drain()
        return code, self.process.stderr.read().decode()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self.console)
        self.control.close()
        self.agent.close()
