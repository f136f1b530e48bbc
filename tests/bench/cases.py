# SPDX-License-Identifier: Apache-2.0
"""The cases of the bench. Each takes the stage and returns {row: {variant: value}} with a unit per row.

A row is {"unit": "us"|"kB"|..., "values": {variant name: number}}.
"""
import re
import statistics
import subprocess

ALL = {}


def case(function):
    ALL[function.__name__.replace("_", "-")] = function
    return function


def _median_us(samples):
    return statistics.median(s.ns for s in samples) / 1e3


def _rows(timed, labels):
    """Rows of medians, spread and memory from {variant: {label: samples}}."""
    rows = {}
    for label in labels:
        values = {n: _median_us(t[label]) for n, t in timed.items() if label in t}
        best = {n: statistics.quantiles([s.ns / 1e3 for s in t[label]], n=10)[0]
                for n, t in timed.items() if label in t}
        rows[label] = {"unit": "us", "values": values}
        rows[label + " (fastest tenth)"] = {"unit": "us", "values": best}
        rows[label + " peak memory"] = {"unit": "kB", "values": {
            n: max(s.rss for s in t[label]) for n, t in timed.items() if label in t}}
    return rows


def _run(st, seccomp):
    plan = []
    for rt in st.runtimes:
        b = st.bundle(rt, "run" if seccomp else "plain", seccomp=seccomp)
        plan.append(st.variant(rt.name, rt.view, ("T", "run", rt.argv("run", "--bundle", b, "bench%n"))))
    return _rows(st.time(plan + st.floors("run", seccomp)), ["run"])


@case
def run(st):
    """run of a static true with Docker's default config"""
    return _run(st, True)


@case
def run_plain(st):
    """the same without the seccomp profile"""
    return _run(st, False)


@case
def life(st):
    """create, start and delete, each timed"""
    plan = []
    for rt in st.runtimes:
        b = st.bundle(rt, "life")
        plan.append(st.variant(rt.name, rt.view, ("T", "create", rt.argv("create", "--bundle", b, "bench%n")),
                               ("T", "start", rt.argv("start", "bench%n")), ("S", 100),
                               ("T", "delete", rt.argv("delete", "bench%n"))))
    return _rows(st.time(plan), ["create", "start", "delete"])


@case
def exec(st):
    """exec of true into a running container"""
    plan = []
    for rt in st.runtimes:
        b = st.bundle(rt, "exec", args=("/true", "stay"))
        rt.call("run", "--detach", "--bundle", b, "bench-exec")
        plan.append(st.variant(rt.name, rt.view, ("T", "exec", rt.argv("exec", "bench-exec", "/true"))))
    try:
        return _rows(st.time(plan), ["exec"])
    finally:
        for rt in st.runtimes:
            rt.call("delete", "--force", "bench-exec")


@case
def many(st):
    """state, list and delete while 1, 100 and 1000 containers exist"""
    rows = {}
    chosen = [r for r in (st.runtime("coffer"), st.runtime("crun"), st.runtime("runc")) if r]
    made = {r.name: 0 for r in chosen}
    try:
        for count in (1, 100) if st.quick else (1, 100, 1000):
            plan = []
            for rt in chosen:
                if count == 1000 and rt.kind == "runc":
                    continue  # 1000 waiting inits of runc are several gigabytes
                while made[rt.name] < count:
                    n = made[rt.name] = made[rt.name] + 1
                    rt.call("create", "--bundle", st.bundle(rt, "many%d" % n), "bench-many%d" % n)
                b = st.bundle(rt, "extra%d" % count)
                plan.append(st.variant(
                    rt.name, rt.view, ("T", "state", rt.argv("state", "bench-many1")), ("T", "list", rt.argv("list")),
                    ("U", rt.argv("create", "--bundle", b, "bench-x")),
                    ("T", "delete", rt.argv("delete", "--force", "bench-x"))))
            timed = st.time(plan, runs=min(st.runs, 20), warmup=1)
            for label in ("state", "list", "delete"):
                rows["%s beside %d" % (label, count)] = {
                    "unit": "us", "values": {n: _median_us(t[label]) for n, t in timed.items()}}
    finally:
        for rt in chosen:
            for n in range(1, made[rt.name] + 1):
                rt.call("delete", "--force", "bench-many%d" % n)
    return rows


@case
def storm(st):
    """1000 containers created, started and deleted, 50 at a time"""
    count, parallel = (100, 20) if st.quick else (1000, 50)
    rates, lost, left = {}, {}, {}
    for rt in st.runtimes:
        first = st.bundle(rt, "storm0")
        for n in range(1, count):
            st.bundle(rt, "storm%d" % n)
        where = first.replace("storm0", "storm%n")
        plan = st.variant(rt.name, rt.view, ("T", "create", rt.argv("create", "--bundle", where, "bench%n")),
                          ("T", "start", rt.argv("start", "bench%n")),
                          ("T", "delete", rt.argv("delete", "--force", "bench%n")))
        seconds, lost[rt.name] = st.storm(plan, count, parallel)
        rates[rt.name] = count / seconds
        left[rt.name] = len(st.left_behind(rt))
    return {"starts per second": {"unit": "/s", "values": rates}, "lost of %d" % count: {"unit": "", "values": lost},
            "left behind": {"unit": "", "values": left}}


@case
def calls(st):
    """system calls of run, exec, create, by strace -f -c"""
    rows = {}
    for rt in st.runtimes:
        b = st.bundle(rt, "calls")
        stay = st.bundle(rt, "calls-stay", args=("/true", "stay"))
        rt.call("run", "--detach", "--bundle", stay, "bench-stay")
        for verb, argv in (("run", rt.argv("run", "--bundle", b, "bench-calls")),
                           ("exec", rt.argv("exec", "bench-stay", "/true")),
                           ("state", rt.argv("state", "bench-stay"))):
            done = subprocess.run(["strace", "-f", "-c", "-o", "/dev/stderr"] + argv, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  preexec_fn=rt.view.enter if rt.view.fd >= 0 else None)
            total = re.search(r"^\s*100\.00\s+\S+\s+\S+\s+(\d+)\s.*total$", done.stderr, re.M)
            row = rows.setdefault("calls of " + verb, {"unit": "", "values": {}})
            row["values"][rt.name] = int(total.group(1)) if total else None
        rt.call("delete", "--force", "bench-stay")
    return rows


@case
def size(st):
    """size of the binary"""
    return {"binary": {"unit": "kB", "values": {
        r.name: v["bytes"] / 1024 for r in st.runtimes for v in [st.versions()["found"][r.name]]}}}
