# SPDX-License-Identifier: Apache-2.0
"""Shared by the attacks: two C helpers, a container that carries the attacker, and things that must not change."""
import os
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
CFLAGS = ["-std=gnu17", "-O2", "-static", "-w"]


def crashed(result):
    """Whether the runtime died of a bug: a signal of its own making, or a sanitizer's or Go's last words."""
    fatal = (4, 6, 7, 8, 11)  # SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV
    return -result.rc in fatal or result.rc - 128 in fatal or "Sanitizer" in result.err or "panic:" in result.err


def _build(out, name):
    path = os.path.join(str(out), name)
    subprocess.run(["cc"] + CFLAGS + ["-o", path, os.path.join(HERE, name + ".c")], check=True)
    return path


@pytest.fixture(scope="session")
def attacker(tmp_path_factory):
    """Path of the attacker's binary on the host."""
    return _build(tmp_path_factory.mktemp("attacker"), "attacker")


@pytest.fixture(scope="session")
def faultinject(tmp_path_factory):
    return _build(tmp_path_factory.mktemp("faultinject"), "faultinject")


@pytest.fixture(scope="session")
def quiet_true(tmp_path_factory):
    """A program that makes no system call but exit: what fails beside it is the runtime's."""
    path = os.path.join(str(tmp_path_factory.mktemp("true")), "true")
    source = os.path.join(HERE, "../bench/true.c")
    subprocess.run(["cc", "-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-o", path, source],
                   check=True)
    return path


@pytest.fixture
def evil(ct, attacker, runtime):
    """Like ct, with /bin/attacker in the rootfs."""
    def make(*args, **kw):
        c = ct(*args, **kw)
        shutil.copy(attacker, os.path.join(c.rootfs, "bin/attacker"))
        return c
    make.runtime = runtime
    return make


@pytest.fixture
def outside(runtime):
    """A directory of the host with a secret in it; after the test it must be as it was."""
    path = os.path.join(runtime.scratch, "outside")
    os.makedirs(path)
    with open(os.path.join(path, "secret"), "w") as f:
        f.write("secret\n")
    yield path
    assert os.listdir(path) == ["secret"], "something was made outside of the rootfs: %r" % os.listdir(path)
    with open(os.path.join(path, "secret")) as f:
        assert f.read() == "secret\n", "a file outside of the rootfs was changed"
    assert not any(line.split()[4].startswith(path) for line in open("/proc/self/mountinfo")), "mounted outside"


@pytest.fixture
def kept():
    """kept(path...) reads host files (sysctls) now; they must read the same after the test, and are restored."""
    before = {}

    def keep(*paths):
        for path in paths:
            with open(path) as f:
                before[path] = f.read()
    yield keep
    changed = []
    for path, text in before.items():
        with open(path) as f:
            now = f.read()
        if now != text:
            changed.append("%s: %r -> %r" % (path, text, now))
            with open(path, "w") as f:
                f.write(text)
    assert not changed, "the host was changed:\n  " + "\n  ".join(changed)


@pytest.fixture
def racer(attacker):
    """racer(a, b) exchanges two paths without pause until the end of the test."""
    running = []

    def race(a, b):
        running.append(subprocess.Popen([attacker, "swap", str(a), str(b)]))
        return running[-1]
    yield race
    for p in running:
        p.kill()
        p.wait()
