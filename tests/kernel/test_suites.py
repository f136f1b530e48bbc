# SPDX-License-Identifier: Apache-2.0
"""The test programs that bash, coreutils, busybox and redis bring with their sources, run by Debian's binaries at level `kernel`. They are
fetched from Debian's archive. Some need what no container has: what passes at level `ns` must pass at level `kernel`; and most must
pass there, or nothing was tested. Without COFFER_STRESS > 1 a part of each is run. docs/kernel-programs.md has the table.
"""
import os
import re
import subprocess

import pytest

import libdebian
from harness import env
from libroot import Root

PACKAGES = ["bash", "coreutils", "busybox-static", "redis-server", "redis-tools", "tcl", "perl", "procps", "strace", "bc", "diffutils", "file"]
ALL = env.STRESS > 1

# Each prints "PASS name" for what passed.
BASH = """
cp -r /suite/bash /tmp/bash; cd /tmp/bash/tests; export THIS_SH=/bin/bash BUILD_DIR=/tmp TMPDIR=/tmp PATH=.:$PATH BASH_TSTOUT=/tmp/tstout
for x in %s; do [ -n "$(timeout 120 sh ./run-$x 2>/dev/null </dev/null)" ] || echo PASS $x; done
"""
COREUTILS = """
cp -r /suite/coreutils /tmp/cu; cd /tmp/cu; v=$(cat --version | sed -n '1s/.* //p')
mkdir -p src lib; touch lib/config.h
export VERSION=$v PACKAGE_VERSION=$v abs_top_builddir=$PWD abs_top_srcdir=$PWD abs_srcdir=$PWD srcdir=. top_srcdir=. fail=0 host_os=linux-gnu
export host_triplet=x86_64-pc-linux-gnu CONFIG_HEADER=$PWD/lib/config.h CC=false AWK=awk EGREP='grep -E' EXEEXT= MAKE=make PERL=perl SHELL=/bin/sh
export LC_ALL=C TMPDIR=/tmp built_programs="$(ls /usr/bin | tr '\\n' ' ')" LOCALE_FR=none LOCALE_FR_UTF8=none PREFERABLY_POSIX_SHELL=/bin/bash
for t in %s; do case $t in
*.pl) timeout 60 perl -w -I./tests -MCuSkip -MCoreutils -M"CuTmpdir qw($t)" $t ;;
*) timeout 60 sh $t ;;
esac >/dev/null 2>&1 </dev/null 9>&2; [ $? = 0 ] && echo PASS $t; done; true
"""
BUSYBOX = """
cp -r /suite/busybox/testsuite /tmp/bb; mkdir /tmp/bin; cp /bin/busybox /tmp/bin/busybox; cd /tmp/bb
busybox --list | sed 's/.*/\\U&/; s/[^A-Z0-9]/_/g; s/^/CONFIG_/; s/$/=y/' >/tmp/bin/.config
echo CONFIG_UNICODE_SUPPORT=y >>/tmp/bin/.config
ECHO=/bin/echo bindir=/tmp/bin timeout 500 ./runtest %s 2>/dev/null </dev/null | sed -n 's/^PASS: /PASS /p'
"""
REDIS = """
cp -r /suite/redis /tmp/redis; cd /tmp/redis; for p in server cli benchmark check-aof check-rdb sentinel; do ln -sf /usr/bin/redis-$p src/redis-$p; done
timeout 900 ./runtest --clients 2 %s 2>&1 </dev/null | sed -n 's/\\x1b\\[[0-9;]*m//g; s/^\\[ok\\]: \\(.*\\) ([0-9]* ms)/PASS \\1/p'
"""
PARTS = {
    "bash": ["array", "arith", "builtins", "case", "comsub", "coproc", "dirstack", "exec", "exp-tests", "extglob", "glob-test", "heredoc",
             "herestr", "lastpipe", "mapfile", "procsub", "read", "redir", "trap", "vredir"],
    "busybox": ["ash", "awk", "cat", "cp", "cpio", "cut", "dd", "du", "find", "grep", "gunzip", "head", "ln", "ls", "md5sum", "mkdir", "mount", "mv",
                "od", "pidof", "rm", "sed", "sh", "sort", "tail", "tar", "tee", "touch", "unzip", "wc", "xargs"],
    "coreutils": ["cp", "mv", "ln", "ls", "rm", "dd", "df", "du", "id", "mkdir", "readlink", "rmdir", "split", "tail-2", "touch", "chmod", "chown", "install"],
    "redis": ["unit/type/list", "unit/type/hash", "unit/expire", "unit/multi", "unit/pubsub", "integration/aof", "integration/rdb"],
}
# Told apart by luck of the clock or by what the test counts on: not compared.
UNSTEADY = {"bash": {"jobs", "intl"}, "coreutils": {"tests/tail-2/inotify-rotate.sh", "tests/misc/timeout.sh"}, "busybox": set(), "redis": set()}
# They skip themselves where strace cannot trace: ptrace is refused at level kernel.
BY_STRACE = {"tests/dd/nocache_eof.sh", "tests/ls/stat-free-symlinks.sh", "tests/mv/atomic.sh", "tests/mv/atomic2.sh"}


def coreutils_tests(top):
    for base, _, names in sorted(os.walk(os.path.join(top, "tests"))):
        for n in sorted(names):
            path = os.path.relpath(os.path.join(base, n), top)
            with open(os.path.join(base, n), encoding="utf-8", errors="replace") as f:
                text = f.read()
            part = os.path.basename(base)
            # A test of all memory, or of hours, is not for a machine that others use.
            if re.match(r"#!.*(sh|perl)", text) and part != "tests" and not re.search("very_expensive_|expensive_", text) and (
                    ALL or part in PARTS["coreutils"]):
                yield path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    r = Root(PACKAGES, tmp_path_factory.mktemp("suites"))
    r.add("/etc/hosts", "127.0.0.1 localhost\n")  # redis' tests find their server by it
    for name in PARTS:
        libdebian.source(name, os.path.join(r.path, "suite", name))
    support = os.path.join(r.path, "suite/bash")
    for name in ("recho", "zecho", "printenv", "xcase"):
        source = os.path.join(support, "support", name + ".c")
        subprocess.run(["cc", "-w", "-static", "-DHAVE_STDLIB_H", "-DHAVE_STRING_H", "-DHAVE_UNISTD_H", "-I" + support,
                        "-I" + support + "/include", "-o", os.path.join(support, "tests", name), source], check=True)
    yield r
    r.remove()


def script(root, name):
    if name == "coreutils":
        return COREUTILS % " ".join(coreutils_tests(os.path.join(root.path, "suite/coreutils")))
    parts = PARTS[name]
    if name == "redis":
        return REDIS % " ".join([] if ALL else ["--single " + p for p in parts])
    if ALL and name == "bash":
        parts = sorted(n[4:] for n in os.listdir(os.path.join(root.path, "suite/bash/tests")) if n.startswith("run-"))
        parts = [p for p in parts if p not in ("all", "minimal", "gprof")]
    return {"bash": BASH, "busybox": BUSYBOX}[name] % ("" if ALL and name == "busybox" else " ".join(parts))


def passed(root, level, name):
    r = root.run(level, ["bash", "-c", script(root, name)], 1800 if ALL else 600)
    return set(re.findall(r"^PASS (.*)$", r.out, re.M)) - UNSTEADY[name], r


@pytest.mark.limit(3600 if ALL else 900)
@pytest.mark.parametrize("name,least", [("bash", 10), ("coreutils", 100), ("busybox", 150), ("redis", 60)])
def test_suite(root, name, least):
    there, r = passed(root, "ns", name)
    assert len(there) >= least, "level ns: %d passed\n%s\n%s" % (len(there), r.out[-1500:], r.err[-1500:])
    there -= BY_STRACE
    lost = there - passed(root, "kernel", name)[0]
    if lost:  # what fails twice is no accident of time
        lost &= there - passed(root, "kernel", name)[0]
    assert not lost
