# SPDX-License-Identifier: Apache-2.0
"""Real programs at levels ns and kernel and by runsc: servers with their clients in one sandbox, over its loopback, so that
no way of reaching a sandbox from outside counts.

A program is a shell script that prepares (not timed), works (timed inside of the sandbox, by the same clock everywhere) and
prints the work's nanoseconds. Rounds are interleaved; what is reported is the median. The root file system is Debian's, the same
directory for all; what is written goes to a tmpfs on /tmp, since runsc would keep it in memory in any case and a disk hides the rest.
"""
import json
import os
import shutil
import subprocess
import sys

import kernel_cases
from kernel_cases import case

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGES = ["redis-server", "redis-tools", "nginx-light", "wrk", "postgresql", "postgresql-contrib", "gcc", "libc6-dev", "make"]
FILES = 50000
TIMED = "t0=$(date +%s%N); {}; t1=$(date +%s%N); echo took $((t1 - t0)); {}"

REDIS = "redis-server --save '' --port 6379 >/dev/null & until redis-cli ping >/dev/null 2>&1; do sleep 0.1; done; " + TIMED.format(
    "redis-benchmark -q -t WHAT -n 20000 -c 20 >/tmp/out", "redis-cli shutdown nosave")
NGINX = ("echo small >/var/www/html/small; nginx; "
         "until wrk -t1 -c1 -d1 http://127.0.0.1/small | grep -q Requests/sec; do sleep 0.1; done; "
         # wrk works for a time: what is compared is the time of one request
         "r=$(wrk -t1 -c16 -d4 http://127.0.0.1/small | awk '/requests in/ {print $1}'); echo took $((4000000000 / r)); nginx -s quit")
PGBENCH = ("p=$(ls -d /usr/lib/postgresql/*/bin); d=/tmp/pg; rm -rf $d; install -d -o postgres $d /var/run/postgresql; s() { su postgres -c \"$1\" >/tmp/out; }; "
           "s \"$p/initdb -N -D $d\"; s \"$p/pg_ctl -w -D $d -l /tmp/pg.log -o '-F' start\"; s \"$p/pgbench -i -q postgres\"; " + TIMED.format(
               "s \"$p/pgbench -c 4 -t 250 postgres\"", "s \"$p/pg_ctl -w -m fast -D $d stop\""))
COMPILE = "rm -rf /tmp/o; mkdir /tmp/o; cd /tmp/o; " + TIMED.format(
    "make -s -j2 -f /job/Makefile", "test $(ls /tmp/o | wc -l) -gt 9")
UNTAR = "rm -rf /tmp/t; mkdir /tmp/t; " + TIMED.format("tar -C /tmp/t -xf /job/files.tar", "test $(ls /tmp/t | wc -l) -gt 9")
MAKEFILE = """S := $(filter-out %/db.c,$(wildcard /job/src/base/*.c))
all: $(notdir $(S:.c=.o))
%.o: /job/src/base/%.c
\tgcc -std=gnu17 -O1 -D_GNU_SOURCE -I/job/src -w -c -o $@ $<
"""

PROMISES = [("kernel: %s / runsc" % row, name, row, "kernel", "runsc", 1 / 2) for name, row in (
    ("kernel-redis", "redis GET"), ("kernel-redis", "redis SET"), ("kernel-nginx", "nginx small file"),
    ("kernel-pgbench", "pgbench"), ("kernel-compile", "compile"), ("kernel-untar", "untar of 50,000 files"))]


class Programs(kernel_cases.Levels):
    """The levels, with Debian's root instead of the tiny one."""

    def __init__(self, st):
        super().__init__(st)
        self.rootfs = os.path.join(st.top, "debian")
        if not os.path.isdir(self.rootfs):
            sys.path.insert(0, os.path.join(REPO, "tests/lib"))
            import libdebian  # what it imports is needed by these cases only
            libdebian.unpack(libdebian.archive(PACKAGES), self.rootfs)
            self._work()

    def _work(self):
        work = os.path.join(self.rootfs, "job")
        shutil.copytree(os.path.join(REPO, "src/base"), os.path.join(work, "src/base"))
        with open(os.path.join(work, "Makefile"), "w") as f:
            f.write(MAKEFILE)
        tree = os.path.join(self.st.top, "tree")
        for d in range(FILES // 500):
            os.makedirs(os.path.join(tree, "d%d" % d))
            for n in range(500):
                with open(os.path.join(tree, "d%d/f%d" % (d, n)), "w") as f:
                    f.write("file %d of %d\n" % (n, d) * (n % 50))
        subprocess.run(["tar", "-C", tree, "-cf", os.path.join(work, "files.tar"), "."], check=True)
        shutil.rmtree(tree)

    @staticmethod
    def _tmpfs(bundle):
        with open(os.path.join(bundle, "config.json")) as f:
            config = json.load(f)
        config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmp", "options": ["mode=1777", "size=1g"]})
        with open(os.path.join(bundle, "config.json"), "w") as f:
            json.dump(config, f)

    def once(self, name, script, turn):
        """Nanoseconds that the script tells of."""
        kept, self.st.bundles.rootfs = self.st.bundles.rootfs, self.rootfs
        try:
            b = self.bundle(name, "program%s" % turn, ("/bin/bash", "-c", script))
        finally:
            self.st.bundles.rootfs = kept
        self._tmpfs(b)
        out = subprocess.run(self.argv(name, "run", "--bundle", b, "bench-program%s" % turn), capture_output=True, text=True,
                             timeout=900, stdin=subprocess.DEVNULL)
        shutil.rmtree(b)
        took = [line.split()[1] for line in out.stdout.splitlines() if line.startswith("took ")]
        if out.returncode or not took:
            raise SystemExit("bench: %s: %s\n%s" % (name, out.stdout[-500:], out.stderr[-1000:]))
        return int(took[0])


def _measure(st, rows):
    levels, result = Programs(st), {}
    for label, script in rows:
        samples = {}
        for turn in range(3 if st.quick else 5):
            for name in levels.names():
                samples.setdefault(name, []).append(levels.once(name, script, "%d" % turn))
        result[label] = {"unit": "us", "values": {n: sorted(v)[len(v) // 2] / 1e3 for n, v in samples.items()}}
    return result


@case
def kernel_redis(st):
    """20,000 GETs and SETs of redis-benchmark, 20 clients, in the server's sandbox"""
    return _measure(st, [("redis GET", REDIS.replace("WHAT", "get")), ("redis SET", REDIS.replace("WHAT", "set"))])


@case
def kernel_nginx(st):
    """a small file of nginx under wrk, 16 connections: time of a request"""
    return _measure(st, [("nginx small file", NGINX)])


@case
def kernel_pgbench(st):
    """1000 transactions of pgbench by 4 clients, without waiting for the disk"""
    return _measure(st, [("pgbench", PGBENCH)])


@case
def kernel_compile(st):
    """gcc compiles our src/base by make -j2"""
    return _measure(st, [("compile", COMPILE)])


@case
def kernel_untar(st):
    """tar unpacks 50,000 small files of 100 directories"""
    return _measure(st, [("untar of 50,000 files", UNTAR)])
