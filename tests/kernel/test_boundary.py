# SPDX-License-Identifier: Apache-2.0
"""What of the host's kernel can be reached at level `kernel`: read from the filters of a sandbox that runs, and compared with the
page that tells it.  COFFER_WRITE_PAGES=1 writes the page."""
import os
import re
import subprocess
import sys
import textwrap

import pytest

from harness import env
from harness.container import Runtime

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boundary")
sys.path.insert(0, HERE)
import reach  # noqa: E402  (found through the path above)

PAGE = os.path.join(env.REPO, "docs", "kernel-boundary.md")
HEAD = """# What reaches the host's kernel at level `kernel`

Read by `tests/kernel/test_boundary.py` from the two seccomp filters of a sandbox that runs, and compared with this page at each `./check`
(`COFFER_WRITE_PAGES=1` writes it). Native reading is on and the configuration has no seccomp profile: both would only make the lists shorter. Every
call that is not here stops in the sentry, has its errno, or ends the process. i386 and x32 calls end it.

A condition names arguments from 0 on, by their lower halves ("high" is the upper one), as the filter compares them. Why each may pass
is in [kernel-calls.md](kernel-calls.md), what it exposes in [THREATS.md](THREATS.md).
"""


def call_names():
    """{number: name} of the processor's calls, as the sentry's own page has them."""
    with open(os.path.join(env.REPO, "docs", "kernel-calls.md"), encoding="utf-8") as f:
        return {int(n): name for n, name in re.findall(r"^\| (\d+) \| (\w+) \|", f.read(), re.M)}


@pytest.fixture(scope="module")
def filters(tmp_path_factory):
    """{who: instructions} of a sandbox that runs."""
    program = str(tmp_path_factory.mktemp("boundary") / "filters")
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-o", program, os.path.join(HERE, "filters.c")], check=True)
    rt = Runtime("kernel")
    try:
        c = rt.container(["sleep", "1000"])
        assert "seccomp" not in c.linux
        c.up()
        guest = [p for p in rt.json("ps", "--format", "json", c.id) if p != c.pid]
        with open("/proc/%d/status" % guest[0], encoding="utf-8") as f:
            number = re.search(r"^NSpid:\s+\d+\s+(\d+)\s+\d+$", f.read(), re.M)[1]  # in the sentry's namespace of pids
        r = subprocess.run([program, str(c.pid), str(guest[0]), number], capture_output=True, text=True, timeout=env.seconds(30))
        assert r.returncode == 0, r.stderr
    finally:
        rt.close()
    found = re.findall(r"^filter\n((?:[0-9a-f ]+\n)+)end\n", r.stdout, re.M)
    assert len(found) == 2, r.stdout[:2000]
    sentry, stub = [[tuple(int(x, 16) for x in line.split()) for line in body.splitlines()] for body in found]
    return {"guest": stub, "sentry": sentry}


def rows(table):
    return "".join("| %s | %s |\n" % (name, text or "always") for name, text in table.items())


def test_page_names_what_the_filters_let_pass(filters):
    names = call_names()
    tables = {who: reach.table(insns, names) for who, insns in filters.items()}
    page = HEAD
    for who, title in (("guest", "From a guest's thread"), ("sentry", "From the sentry")):
        free = [n for n, text in tables[who].items() if not text]
        bound = {n: text for n, text in tables[who].items() if text}
        page += "\n## %s\n\n%d calls. Whatever their arguments:\n\n%s.\n\nBy their arguments:\n\n| call | passes if |\n|---|---|\n%s" % (
            title, len(tables[who]), textwrap.fill(", ".join(free), 140), rows(bound))
    if os.environ.get("COFFER_WRITE_PAGES"):
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(page)
    with open(PAGE, encoding="utf-8") as f:
        assert f.read() == page, "the filters and docs/kernel-boundary.md differ: COFFER_WRITE_PAGES=1 writes the page anew"


@pytest.mark.parametrize("name", ["execve", "execveat", "open", "openat", "openat2", "socket", "connect", "mount", "unshare", "setns", "bpf",
                                  "io_uring_setup", "perf_event_open", "ptrace", "process_vm_readv", "userfaultfd", "keyctl", "ioctl",
                                  "sendmsg", "recvmsg", "pwritev", "dup2", "chdir", "chroot", "init_module", "kexec_load"])
def test_never_from_a_guest(filters, name):
    number = {v: k for k, v in call_names().items()}[name]
    assert not reach.ways(filters["guest"], number)


@pytest.mark.parametrize("name", ["execve", "execveat", "fork", "vfork", "clone3", "mount", "umount2", "pivot_root", "move_mount", "open_tree",
                                  "setns", "chroot", "bpf", "io_uring_setup", "init_module", "kexec_load", "userfaultfd", "keyctl", "reboot",
                                  "open_by_handle_at"])
def test_never_from_the_sentry(filters, name):
    number = {v: k for k, v in call_names().items()}[name]
    assert not reach.ways(filters["sentry"], number)


def test_the_reader_finds_a_hole():
    """A filter with a hole in it is told: the walk sees both sides of a jump."""
    hole = [(0x20, 0, 0, 0), (0x15, 0, 3, 59), (0x20, 0, 0, 16), (0x15, 0, 1, 7), (0x06, 0, 0, reach.ALLOW), (0x06, 0, 0, 0)]
    assert reach.table(hole, {59: "execve", 60: "exit"}) == {"execve": "0 = 7"}
