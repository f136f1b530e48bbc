# SPDX-License-Identifier: Apache-2.0
"""Real programs inside of the sandbox: CPython's own tests of what it asks the kernel for, and crowds of processes, threads and
writers. The root file system is Debian's. A module of tests that fails inside must fail natively (level `ns`) as well.

Few modules run always, the rest with COFFER_STRESS > 1. docs/kernel-programs.md has the table.
"""
import re

import pytest

from harness import env
from libroot import Root

PACKAGES = ["python3", "libpython3.11-testsuite", "procps"]
FAST = ["epoll", "fcntl", "mmap", "poll", "posix", "select", "tempfile"]
SLOW = ["os", "signal", "pty", "selectors", "wait3", "wait4", "fork1", "resource", "ioctl", "openpty", "shutil", "pathlib", "glob",
        "socket", "subprocess", "threading", "thread", "multiprocessing_fork", "multiprocessing_spawn", "concurrent_futures",
        "asyncio", "faulthandler", "eintr", "socketserver", "ssl", "tarfile", "zipfile", "io", "fileio", "largefile", "timeout",
        "mailbox", "logging", "httpservers", "ftplib", "time", "sys", "locale", "threadsignals", "popen"]
KNOWN = {}
MODULES = FAST + (SLOW if env.STRESS > 1 else [])

THREADS = """
import threading
gate = threading.Barrier(1001)
for _ in range(1000): threading.Thread(target=gate.wait, daemon=True).start()
gate.wait(); print("all")
"""
PROCESSES = """
import os
r, w = os.pipe()
pids = []
for _ in range(1000):
    pid = os.fork()
    if not pid:
        os.read(r, 1); os._exit(7)
    pids.append(pid)
os.write(w, b"x" * 1000)
print(sum(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) == 7 for p in pids))
"""
CHAIN = """
import os
def go(n):
    pid = n and os.fork()
    if n and pid == 0: os._exit(go(n - 1))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if n else 9
print(go(200))
"""
WRITERS = """
import os, sqlite3
def db(): return sqlite3.connect("/tmp/x.db", timeout=60, isolation_level=None)
db().execute("create table t (a)")
for _ in range(6):
    if not os.fork():
        c = db()
        for i in range(50): c.execute("insert into t values (?)", (i,))
        os._exit(0)
print([os.wait()[1] for _ in range(6)], db().execute("select count(*) from t").fetchone()[0], db().execute("pragma integrity_check").fetchone()[0])
"""
STORM = """
import os, signal
n = 0
def got(*_):
    global n; n += 1
signal.signal(signal.SIGUSR1, got)
me = os.getpid()
pid = os.fork()
if not pid:
    for _ in range(20000): os.kill(me, signal.SIGUSR1)
    os._exit(0)
r, w = os.pipe()
for _ in range(5000): os.write(w, b"abcd"); assert os.read(r, 4) == b"abcd"
print(os.waitpid(pid, 0)[1], n > 0)
"""
CROWDS = [("threads", THREADS, "all"), ("processes", PROCESSES, "1000"), ("chain", CHAIN, "9"),
          ("writers", WRITERS, "[0, 0, 0, 0, 0, 0] 300 ok"), ("storm", STORM, "0 True")]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    r = Root(PACKAGES, tmp_path_factory.mktemp("programs"))
    r.add("/etc/hosts", "127.0.0.1 localhost\n")
    yield r
    r.remove()


def failing(level, root, module):
    """Names of what failed, or why the whole could not be run."""
    r = root.run(level, ["sh", "-c", "exec python3 -m test.regrtest -v test_%s 2>&1" % module], 600)
    return set(re.findall(r"^(?:FAIL|ERROR): (\S+)", r.out, re.M)) | ({r.out[-300:]} if r.rc not in (0, 2) else set())


@pytest.mark.limit(1260)
@pytest.mark.parametrize("module", MODULES)
def test_python(root, module):
    wrong = failing("kernel", root, module) - KNOWN.get(module, set())
    if wrong:
        wrong -= failing("ns", root, module)
    assert not wrong


@pytest.mark.parametrize("name,script,says", CROWDS, ids=[c[0] for c in CROWDS])
def test_crowd(root, name, script, says):
    r = root.run("kernel", ["python3", "-c", script], 120)
    assert r.rc == 0 and r.out.strip() == says, r.out + r.err
